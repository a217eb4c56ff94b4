/* The wiring: event base, files, node, peers, API and HTTP server, and the loop that turns them. */
#ifndef FLOED_SERVER_H
#define FLOED_SERVER_H

#include "base/logger.h"
#include "floed/conf.h"

#define EXIT_DAMAGED 3

/* Serves until a signal or the cluster ends it. The exit status of the process: 0 after an orderly
 * stop or when this member was removed, EXIT_DAMAGED if the stored data is damaged (it was left as
 * it is), 1 after any other failure; why is in the log. reseed_stamp: as in
 * struct node_options. */
int server_run(const struct conf *conf, const struct logger *logger, uint64_t reseed_stamp);

#endif
