/* One write a line, so that lines of several processes on one terminal do not mix. */
#include "floed/log_sink.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

void log_sink_write(void *arg, enum log_level level, const char *line)
{
    const struct log_sink *sink = arg;
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    char stamp[32];
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    char text[2304];
    int len = snprintf(text, sizeof text, "%s.%03ldZ %-5s %s %s\n", stamp,
                       now.tv_nsec / 1000000, log_level_name(level), sink->name, line);
    if (len <= 0)
        return;
    size_t size = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    ssize_t written = write(STDERR_FILENO, text, size);
    (void)written; /* nobody could be told */
}
