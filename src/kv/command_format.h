/* What the sources about commands share; the head of command.c says what the numbers mean. */
#ifndef KV_COMMAND_FORMAT_H
#define KV_COMMAND_FORMAT_H

#include "kv/command.h"

/* kv_command_check of one operation; of a transaction's branches nothing. */
enum kv_status kv_op_check(const struct kv_op *op) MUST_USE;

enum {
    PUT_FIELDS = 5,
    DELETE_FIELDS = 5,
    RANGE_FIELDS = 13,
    TXN_FIELDS = 4,
    GRANT_FIELDS = 3,
    COMPARE_FIELDS = 6,
};

#define PUT_KEEP_VALUE 1U
#define PUT_KEEP_LEASE 2U
#define PUT_WANT_PREV 4U
#define RANGE_KEYS_ONLY 1U
#define RANGE_COUNT_ONLY 2U

#endif
