/*
 * floe consensus library: membership changes (thesis chapter 4).
 *
 * One change alone is a simple change (thesis 4.1); several, or an explicit wish, go through a
 * joint configuration (thesis 4.3). An empty change leaves a joint configuration.
 */
#ifndef FLOE_CONFCHANGE_H
#define FLOE_CONFCHANGE_H

#include <floe/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum floe_conf_change_type {
    FLOE_CONF_ADD_NODE = 0, /* voter; a learner is promoted */
    FLOE_CONF_REMOVE_NODE = 1,
    FLOE_CONF_UPDATE_NODE = 2, /* changes nothing here; carries a context for the application */
    FLOE_CONF_ADD_LEARNER = 3, /* a voter is demoted */
};

enum floe_conf_transition {
    FLOE_CONF_TRANSITION_AUTO = 0,           /* one change: simple; several: as JOINT_IMPLICIT */
    FLOE_CONF_TRANSITION_JOINT_IMPLICIT = 1, /* joint, left by the leader itself when applied */
    FLOE_CONF_TRANSITION_JOINT_EXPLICIT = 2, /* joint, left by an empty change */
};

struct floe_conf_change_single {
    enum floe_conf_change_type type;
    floe_id node_id; /* 0: skipped */
};

/* Owns its array and one reference to context. */
struct floe_conf_change {
    enum floe_conf_transition transition;
    bool transition_set; /* counts 2 bytes in sizes (presence); set by floe_conf_change_make */
    struct floe_conf_change_single *changes;
    size_t change_count;
    struct floe_blob *context; /* the application's: floed puts name and addresses here */
};

/* A change with a copy of changes and one more reference to context. Owned by caller. */
FLOE_EXPORT struct floe_conf_change floe_conf_change_make(
    enum floe_conf_transition transition, const struct floe_conf_change_single *changes,
    size_t change_count, struct floe_blob *context);
FLOE_EXPORT void floe_conf_change_deinit(struct floe_conf_change *change);

/* The payload of a CONF_CHANGE_V2 entry (protobuf wire format of ConfChangeV2, so that sizes agree
 * with etcd's). Returns NULL for the empty automatic change. One reference to the caller. */
FLOE_EXPORT struct floe_blob *floe_conf_change_encode(const struct floe_conf_change *change);
/* The payload of a CONF_CHANGE (V1) entry: one change. */
FLOE_EXPORT struct floe_blob *floe_conf_change_encode_v1(struct floe_conf_change_single change,
                                                         struct floe_blob *context);
/* Reads the payload of either entry type into *out (owned by caller); data NULL or empty is an
 * empty automatic change (V2), or one change that names node 0 (V1). FLOE_ERR_INVALID for damaged
 * bytes, *out untouched. */
FLOE_EXPORT enum floe_err floe_conf_change_decode(enum floe_entry_type type,
                                                  const struct floe_blob *data,
                                                  struct floe_conf_change *out) FLOE_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
