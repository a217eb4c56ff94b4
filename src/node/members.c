/* A sorted array: clusters have a handful of members, and order must not depend on hashing. */
#include "node/members.h"

#include "base/addr.h"
#include "base/assert.h"
#include "base/mem.h"
#include "codec/pack.h"

#include <string.h>

#define MEMBERS_FORMAT 1
#define MEMBER_TEXT_MAX 1024 /* bytes of a name or address that we believe */

static void member_deinit(struct member *member)
{
    mem_free(member->name);
    mem_free(member->peer_address);
    mem_free(member->http_address);
}

void members_deinit(struct members *members)
{
    for (size_t i = 0; i < members->count; i++)
        member_deinit(&members->list[i]);
    mem_free(members->list);
    mem_free(members->removed.id);
    *members = (struct members){0};
}

/* Position of the first member with an id >= id. */
static size_t lower_bound(const struct members *members, floe_id id)
{
    size_t at = 0;
    while (at < members->count && members->list[at].id < id)
        at++;
    return at;
}

struct member *members_find(const struct members *members, floe_id id)
{
    size_t at = lower_bound(members, id);
    return at < members->count && members->list[at].id == id ? &members->list[at] : NULL;
}

bool members_was_removed(const struct members *members, floe_id id)
{
    return floe_ids_contain(&members->removed, id);
}

const struct member *members_by_address(const struct members *members, const char *address)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->list[i].peer_address, address) == 0)
            return &members->list[i];
    return NULL;
}

static void replace_text(char **text, const char *with)
{
    char *copy = mem_strdup(with);
    mem_free(*text);
    *text = copy;
}

void members_put(struct members *members, floe_id id, const char *peer_address)
{
    struct member *known = members_find(members, id);
    if (known != NULL) {
        replace_text(&known->peer_address, peer_address);
        return;
    }
    size_t at = lower_bound(members, id);
    members->list = mem_grow(members->list, members->count, &members->cap,
                             sizeof *members->list);
    memmove(members->list + at + 1, members->list + at,
            (members->count - at) * sizeof *members->list);
    members->list[at] = (struct member){.id = id,
                                        .name = mem_strdup(""),
                                        .peer_address = mem_strdup(peer_address),
                                        .http_address = mem_strdup("")};
    members->count++;
}

bool members_set_info(struct members *members, floe_id id, const char *name,
                      const char *http_address)
{
    struct member *member = members_find(members, id);
    if (member == NULL ||
        (strcmp(member->name, name) == 0 && strcmp(member->http_address, http_address) == 0))
        return false;
    replace_text(&member->name, name);
    replace_text(&member->http_address, http_address);
    return true;
}

void members_remove(struct members *members, floe_id id)
{
    struct member *member = members_find(members, id);
    if (member != NULL) {
        size_t at = (size_t)(member - members->list);
        member_deinit(member);
        members->count--;
        memmove(members->list + at, members->list + at + 1,
                (members->count - at) * sizeof *members->list);
    }
    if (!members_was_removed(members, id))
        floe_ids_push(&members->removed, id);
}

void members_encode(const struct members *members, const uint64_t *hash, struct buf *out)
{
    pack_array(out, hash != NULL ? 4 : 3);
    pack_u64(out, MEMBERS_FORMAT);
    pack_array(out, (uint32_t)members->count);
    for (size_t i = 0; i < members->count; i++) {
        pack_array(out, 6);
        pack_u64(out, members->list[i].id);
        pack_str(out, members->list[i].name);
        pack_str(out, members->list[i].peer_address);
        pack_str(out, members->list[i].http_address);
        pack_u64(out, members->list[i].seed);
        pack_u64(out, members->list[i].stays_learner ? 1 : 0);
    }
    pack_array(out, (uint32_t)members->removed.count);
    for (size_t i = 0; i < members->removed.count; i++)
        pack_u64(out, members->removed.id[i]);
    if (hash != NULL)
        pack_u64(out, *hash);
}

/* A text without NUL bytes, owned by caller; NULL if the input has none such. */
static char *unpack_text(struct unpack *in)
{
    size_t len = 0;
    const uint8_t *data = unpack_bin(in, &len);
    if (in->failed || len > MEMBER_TEXT_MAX || (len > 0 && memchr(data, 0, len) != NULL)) {
        in->failed = true;
        return NULL;
    }
    char *text = mem_alloc(len + 1);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = 0;
    return text;
}

static void unpack_member(struct unpack *in, struct members *out)
{
    uint32_t fields = unpack_array(in);
    if (fields < 4)
        in->failed = true;
    floe_id id = unpack_u64(in);
    char *name = unpack_text(in);
    char *peer = unpack_text(in);
    char *http = unpack_text(in);
    uint64_t seed = fields > 4 ? unpack_u64(in) : 0;
    bool stays = fields > 5 && unpack_u64(in) != 0;
    unpack_rest(in, fields, fields > 5 ? 6 : fields > 4 ? 5 : 4);
    if (!in->failed && id != 0) {
        members_put(out, id, peer);
        (void)members_set_info(out, id, name, http);
        members_find(out, id)->seed = seed;
        members_find(out, id)->stays_learner = stays;
    }
    mem_free(name);
    mem_free(peer);
    mem_free(http);
}

enum err members_decode(struct members *members, const uint8_t *data, size_t len, bool *has_hash,
                        uint64_t *hash)
{
    struct unpack in = unpack_init(data, len);
    struct members read = {0};
    uint32_t fields = unpack_array(&in);
    if (fields < 3 || unpack_u64(&in) != MEMBERS_FORMAT)
        return ERR_INVALID;
    uint32_t count = unpack_array(&in);
    for (uint32_t i = 0; i < count && !in.failed; i++)
        unpack_member(&in, &read);
    count = unpack_array(&in);
    for (uint32_t i = 0; i < count && !in.failed; i++)
        floe_ids_push(&read.removed, unpack_u64(&in));
    uint64_t chain = fields > 3 ? unpack_u64(&in) : 0;
    unpack_rest(&in, fields, fields > 3 ? 4 : 3);
    enum err err = unpack_end(&in);
    if (err != ERR_OK) {
        members_deinit(&read);
        return err;
    }
    *has_hash = fields > 3;
    *hash = chain;
    members_deinit(members);
    *members = read;
    return ERR_OK;
}

struct floe_blob *member_context_encode(const char *peer_address, uint64_t seed,
                                        bool stays_learner)
{
    struct buf out = {0};
    uint32_t fields = stays_learner ? 3 : seed != 0 ? 2 : 1;
    pack_array(&out, fields);
    pack_str(&out, peer_address);
    if (fields > 1)
        pack_u64(&out, seed);
    if (fields > 2)
        pack_u64(&out, 1);
    struct floe_blob *blob = floe_blob_new(out.data, out.len);
    buf_deinit(&out);
    return blob;
}

enum err member_context_decode(const struct floe_blob *blob, struct member_context *out)
{
    *out = (struct member_context){.address = NULL};
    if (floe_blob_size(blob) == 0)
        return ERR_OK;
    struct unpack in = unpack_init(floe_blob_data(blob), floe_blob_size(blob));
    uint32_t fields = unpack_array(&in);
    struct member_context context = {.address = fields > 0 ? unpack_text(&in) : NULL};
    context.seed = fields > 1 ? unpack_u64(&in) : 0;
    context.stays_learner = fields > 2 && unpack_u64(&in) != 0;
    unpack_rest(&in, fields, fields > 3 ? 3 : fields > 0 ? fields : 1);
    enum err err = unpack_end(&in);
    struct addr parsed;
    const char *why;
    if (err == ERR_OK && context.address != NULL)
        err = addr_parse(context.address, strlen(context.address), &parsed, &why);
    if (err != ERR_OK || context.address == NULL) {
        mem_free(context.address);
        return ERR_INVALID;
    }
    *out = context;
    return ERR_OK;
}

void member_info_encode(struct buf *out, floe_id id, const char *name, const char *http_address)
{
    pack_array(out, 3);
    pack_u64(out, id);
    pack_str(out, name);
    pack_str(out, http_address);
}

enum err member_info_decode(const uint8_t *data, size_t len, struct member_info *out)
{
    struct unpack in = unpack_init(data, len);
    uint32_t fields = unpack_array(&in);
    if (fields < 3)
        return ERR_INVALID;
    struct member_info info = {.id = unpack_u64(&in)};
    info.name = unpack_text(&in);
    info.http_address = unpack_text(&in);
    unpack_rest(&in, fields, 3);
    enum err err = unpack_end(&in);
    if (err != ERR_OK) {
        mem_free(info.name);
        mem_free(info.http_address);
        return err;
    }
    *out = info;
    return ERR_OK;
}
