/* Log lines: a constant event text, then key=value pairs; where they go is the owner's business. */
#ifndef BASE_LOGGER_H
#define BASE_LOGGER_H

enum log_level { LOG_DEBUG = 0, LOG_INFO, LOG_WARN, LOG_ERROR };

/* line has neither time nor newline; borrowed for the call. */
typedef void (*logger_fn)(void *arg, enum log_level level, const char *line);

struct logger {
    enum log_level level; /* lines below it are not made */
    logger_fn write;      /* NULL: silent */
    void *arg;
};

/* A NULL logger is silent. A line is cut at 2 KiB. */
__attribute__((format(printf, 3, 4))) void logger_log(const struct logger *logger,
                                                      enum log_level level, const char *format,
                                                      ...);
const char *log_level_name(enum log_level level);

#define log_debug(lg, ...) logger_log((lg), LOG_DEBUG, __VA_ARGS__)
#define log_info(lg, ...) logger_log((lg), LOG_INFO, __VA_ARGS__)
#define log_warn(lg, ...) logger_log((lg), LOG_WARN, __VA_ARGS__)
#define log_error(lg, ...) logger_log((lg), LOG_ERROR, __VA_ARGS__)

#endif
