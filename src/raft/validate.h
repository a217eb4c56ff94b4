/*
 * What comes in from outside is looked at before anything is done with it.
 *
 * Refused is only what no correct member could send and what would break a promise inside; any
 * other message, odd as it may be, is processed by the rules.
 */
#ifndef RAFT_VALIDATE_H
#define RAFT_VALIDATE_H

#include "raft/core.h"

/* false: must not be stepped. Changes nothing. */
bool raft_message_is_sound(const struct floe_raft *r, const struct floe_message *m);

#endif
