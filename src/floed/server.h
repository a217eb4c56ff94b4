/* The wiring: event base, files, node, peers, API and HTTP server, and the loop that turns them. */
#ifndef FLOED_SERVER_H
#define FLOED_SERVER_H

#include "base/logger.h"
#include "floed/conf.h"

/* Serves until a signal or the cluster ends it. The exit status of the process: 0 after an orderly
 * stop or when this member was removed, 1 after a failure (which is in the log),
 * 3 when the data cannot be trusted. */
int server_run(const struct conf *conf, const struct logger *logger);

#endif
