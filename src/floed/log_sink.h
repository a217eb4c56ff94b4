/* Where log lines go: standard error, one line each, with time and the member's name. */
#ifndef FLOED_LOG_SINK_H
#define FLOED_LOG_SINK_H

#include "base/logger.h"

struct log_sink {
    char name[64];
};

void log_sink_write(void *arg, enum log_level level, const char *line);

#endif
