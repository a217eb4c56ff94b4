/*
 * What a snapshot of a store consists of: a row of parts, numbers little-endian, each of them u32
 * length of what follows, u8 kind, then
 *
 *   1 begin    first: u32 format version (4), u64 revision, compact revision,
 *              chain (kv_hash), first position of the history, its end, the last ticket's sequence
 *              number + 1, term of the last grant of a lease, number of grants in that term
 *   2 lease    u64 id, granted seconds, remaining seconds, term and number of its grant; before
 *              all keys
 *   3 ticket   u64 sequence, revision, term, fingerprint, u8 status, u8 succeeded, bytes; in order
 *              of sequence
 *   4 key      u64 create, mod, version, lease, position of its event, u32 key length, key, value:
 *              its newest version; in ascending order of keys
 *   5 older    u64 create, mod, version, lease, position, value: a version of the same key before
 *              the last one
 *   7 alarm    u64 member, u8 kind; before all leases, in their order
 *   6 end      last: u64 versions, leases, tickets, kv_hash, sum of the XXH3 of all parts before
 *
 * Versions that are still read: 3 knows nothing of grants; 2 has no alarms and no fingerprints,
 * either.
 *
 * Versions that compaction has made invisible are not in it, whether they have been freed or not.
 * A version older than the compact revision is the state then: it has no event, its position is 0.
 */
#ifndef KV_FORMAT_H
#define KV_FORMAT_H

#include <stdint.h>

enum {
    PART_BEGIN = 1,
    PART_LEASE = 2,
    PART_TICKET = 3,
    PART_KEY = 4,
    PART_OLDER = 5,
    PART_END = 6,
    PART_ALARM = 7,
    FORMAT_VERSION = 4,
    FORMAT_VERSION_NO_BIRTHS = 3,
    FORMAT_VERSION_NO_ALARMS = 2,
    LENGTH_BYTES = 4,
    /* With the kind, without bytes of variable number. */
    BEGIN_BYTES = 1 + 4 + 8 * 8,
    LEASE_BYTES = 1 + 5 * 8,
    BIRTH_BYTES = 2 * 8,
    ALARM_BYTES = 1 + 8 + 1,
    TICKET_BYTES = 1 + 4 * 8 + 2,
    FINGERPRINT_BYTES = 8,
    OLDER_BYTES = 1 + 5 * 8,
    KEY_BYTES = OLDER_BYTES + 4,
    END_BYTES = 1 + 5 * 8,
};

#endif
