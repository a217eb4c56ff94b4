/*
 * Sets of member ids: struct floe_ids kept sorted ascending and without duplicates.
 *
 * Membership sets are small and change rarely, so a flat array with binary search is enough.
 */
#ifndef RAFT_IDS_H
#define RAFT_IDS_H

#include <floe/types.h>

bool raft_ids_has(const struct floe_ids *ids, floe_id id);
bool raft_ids_insert(struct floe_ids *ids, floe_id id); /* false: was there already */
bool raft_ids_remove(struct floe_ids *ids, floe_id id); /* false: was not there */
struct floe_ids raft_ids_copy(const struct floe_ids *ids);
struct floe_ids raft_ids_union(const struct floe_ids *a, const struct floe_ids *b);
/* How many ids are in exactly one of both. */
size_t raft_ids_difference(const struct floe_ids *a, const struct floe_ids *b);
void raft_ids_deinit(struct floe_ids *ids); /* zeroes *ids */

#endif
