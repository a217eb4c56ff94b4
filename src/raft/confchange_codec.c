/*
 * Payloads of configuration entries, in the protobuf wire format of raftpb so that sizes agree:
 *   ConfChange   (V1): 2 type, 3 node_id, 4 context      (1 is an id that nobody sets)
 *   ConfChangeV2: 1 transition, 2 repeated {1 type, 2 node_id}, 3 context
 */
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <floe/confchange.h>

#include <string.h>

#define CHANGES_MAX 4096

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct floe_conf_change floe_conf_change_make(enum floe_conf_transition transition,
                                              const struct floe_conf_change_single *changes,
                                              size_t change_count, struct floe_blob *context)
{
    struct floe_conf_change change = {.transition = transition,
                                      .transition_set = true,
                                      .change_count = change_count,
                                      .context = floe_blob_ref(context)};
    if (change_count > 0)
        change.changes = mem_dup(changes, change_count * sizeof *changes);
    return change;
}

void floe_conf_change_deinit(struct floe_conf_change *change)
{
    mem_free(change->changes);
    floe_blob_unref(change->context);
    *change = (struct floe_conf_change){0};
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void put_varint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_add_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_add_u8(out, (uint8_t)value);
}

static void put_field(struct buf *out, uint8_t field, uint64_t value)
{
    buf_add_u8(out, (uint8_t)(field << 3 | WIRE_VARINT));
    put_varint(out, value);
}

static void put_bytes(struct buf *out, uint8_t field, const void *data, size_t len)
{
    buf_add_u8(out, (uint8_t)(field << 3 | WIRE_BYTES));
    put_varint(out, len);
    buf_add(out, data, len);
}

static struct floe_blob *to_blob(struct buf *bytes)
{
    struct floe_blob *blob = floe_blob_new(bytes->data, bytes->len);
    buf_deinit(bytes);
    return blob;
}

struct floe_blob *floe_conf_change_encode(const struct floe_conf_change *change)
{
    struct buf out = {0};
    if (!change->transition_set && change->transition == FLOE_CONF_TRANSITION_AUTO &&
        change->change_count == 0 && change->context == NULL)
        return NULL;
    if (change->transition_set || change->transition != FLOE_CONF_TRANSITION_AUTO)
        put_field(&out, 1, change->transition);
    for (size_t i = 0; i < change->change_count; i++) {
        struct buf single = {0};
        put_field(&single, 1, change->changes[i].type);
        put_field(&single, 2, change->changes[i].node_id);
        put_bytes(&out, 2, single.data, single.len);
        buf_deinit(&single);
    }
    if (change->context != NULL)
        put_bytes(&out, 3, floe_blob_data(change->context), floe_blob_size(change->context));
    return to_blob(&out);
}

struct floe_blob *floe_conf_change_encode_v1(struct floe_conf_change_single change,
                                             struct floe_blob *context)
{
    struct buf out = {0};
    put_field(&out, 2, change.type);
    put_field(&out, 3, change.node_id);
    if (context != NULL)
        put_bytes(&out, 4, floe_blob_data(context), floe_blob_size(context));
    return to_blob(&out);
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct wire {
    const uint8_t *data;
    size_t len;
    size_t pos;
};

struct wire_field {
    uint64_t number;
    uint64_t value;      /* of a varint */
    const uint8_t *data; /* of bytes */
    size_t len;
    bool is_bytes;
};

static bool take_varint(struct wire *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->pos == in->len)
            return false;
        uint8_t byte = in->data[in->pos++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool take_field(struct wire *in, struct wire_field *out)
{
    uint64_t key;
    if (!take_varint(in, &key))
        return false;
    *out = (struct wire_field){.number = key >> 3};
    uint64_t size = 0;
    switch (key & 7) {
    case WIRE_VARINT: return out->number != 0 && take_varint(in, &out->value);
    case WIRE_FIXED64: size = 8; break;
    case WIRE_FIXED32: size = 4; break;
    case WIRE_BYTES:
        if (!take_varint(in, &size))
            return false;
        out->is_bytes = true;
        break;
    default: return false;
    }
    if (size > in->len - in->pos || out->number == 0)
        return false;
    out->data = in->data + in->pos;
    out->len = (size_t)size;
    in->pos += (size_t)size;
    return true;
}

static void push_single(struct floe_conf_change *out, size_t *cap,
                        struct floe_conf_change_single single)
{
    out->changes = mem_grow(out->changes, out->change_count, cap, sizeof *out->changes);
    out->changes[out->change_count++] = single;
}

static bool take_single(const struct wire_field *from, struct floe_conf_change_single *out)
{
    struct wire in = {.data = from->data, .len = from->len};
    struct wire_field field;
    *out = (struct floe_conf_change_single){0};
    while (in.pos < in.len) {
        if (!take_field(&in, &field))
            return false;
        if (field.number == 1 && field.value > FLOE_CONF_ADD_LEARNER)
            return false;
        if (field.number == 1)
            out->type = (enum floe_conf_change_type)field.value;
        else if (field.number == 2)
            out->node_id = field.value;
    }
    return true;
}

static void set_context(struct floe_conf_change *out, const struct wire_field *field)
{
    floe_blob_unref(out->context);
    out->context = floe_blob_new(field->data, field->len);
}

static bool take_v1(struct wire *in, struct floe_conf_change *out)
{
    struct floe_conf_change_single single = {0};
    struct wire_field field;
    size_t cap = 0;
    while (in->pos < in->len) {
        if (!take_field(in, &field) || (field.number == 2 && field.value > FLOE_CONF_ADD_LEARNER))
            return false;
        if (field.number == 2)
            single.type = (enum floe_conf_change_type)field.value;
        else if (field.number == 3)
            single.node_id = field.value;
        else if (field.number == 4 && field.is_bytes)
            set_context(out, &field);
    }
    push_single(out, &cap, single);
    return true;
}

static bool take_v2(struct wire *in, struct floe_conf_change *out)
{
    struct wire_field field;
    size_t cap = 0;
    while (in->pos < in->len) {
        struct floe_conf_change_single single;
        if (!take_field(in, &field))
            return false;
        if (field.number == 1) {
            if (field.value > FLOE_CONF_TRANSITION_JOINT_EXPLICIT)
                return false;
            out->transition = (enum floe_conf_transition)field.value;
            out->transition_set = true;
        } else if (field.number == 2) {
            if (!field.is_bytes || !take_single(&field, &single) ||
                out->change_count == CHANGES_MAX)
                return false;
            push_single(out, &cap, single);
        } else if (field.number == 3 && field.is_bytes) {
            set_context(out, &field);
        }
    }
    return true;
}

enum floe_err floe_conf_change_decode(enum floe_entry_type type, const struct floe_blob *data,
                                      struct floe_conf_change *out)
{
    ASSERT(type == FLOE_ENTRY_CONF_CHANGE || type == FLOE_ENTRY_CONF_CHANGE_V2);
    struct floe_conf_change change = {0};
    struct wire in = {.data = floe_blob_data(data), .len = floe_blob_size(data)};
    /* an empty payload is the empty change for either type; V1 fields of it are all zero */
    bool v1 = type == FLOE_ENTRY_CONF_CHANGE;
    if (!(v1 ? take_v1(&in, &change) : take_v2(&in, &change))) {
        floe_conf_change_deinit(&change);
        return FLOE_ERR_INVALID;
    }
    *out = change;
    return FLOE_OK;
}
