/* Formatting happens only for lines that somebody will see. */
#include "base/logger.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

void logger_log(const struct logger *logger, enum log_level level, const char *format, ...)
{
    if (logger == NULL || logger->write == NULL || level < logger->level)
        return;
    char line[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    logger->write(logger->arg, level, line);
}

const char *log_level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG: return "debug";
    case LOG_INFO: return "info";
    case LOG_WARN: return "warn";
    case LOG_ERROR: return "error";
    }
    return "?";
}
