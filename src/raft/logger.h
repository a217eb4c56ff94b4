/* Log lines of the core: where they go comes with the configuration. */
#ifndef RAFT_LOGGER_H
#define RAFT_LOGGER_H

#include "base/buf.h"

#include <floe/raft.h>

struct raft_logger {
    floe_log_fn fn; /* NULL: silent, and nothing is formatted */
    void *arg;
};

__attribute__((format(printf, 3, 4))) void raft_logf(const struct raft_logger *logger,
                                                     enum floe_log_level level,
                                                     const char *format, ...);

#define raft_debug(lg, ...) raft_logf((lg), FLOE_LOG_DEBUG, __VA_ARGS__)
#define raft_info(lg, ...) raft_logf((lg), FLOE_LOG_INFO, __VA_ARGS__)
#define raft_warn(lg, ...) raft_logf((lg), FLOE_LOG_WARN, __VA_ARGS__)
#define raft_error(lg, ...) raft_logf((lg), FLOE_LOG_ERROR, __VA_ARGS__)

#endif
