/* See chain.h. The recent hashes are two rings, by index. */
#include "node/chain.h"

#include "base/assert.h"
#include "codec/checksum.h"

#define BOOTSTRAP_TERM 1u

static void remember(struct chain *chain)
{
    struct chain_mark mark = {chain->index, chain->hash};
    chain->recent[chain->index % CHAIN_RECENT] = mark;
    if (chain->index % CHAIN_MARK_EVERY == 0)
        chain->marks[chain->index / CHAIN_MARK_EVERY % CHAIN_MARKS] = mark;
}

void chain_restart(struct chain *chain, floe_index index, const uint64_t *hash)
{
    ASSERT(index > 0);
    *chain =
        (struct chain){.unknown = hash == NULL, .index = index, .hash = hash != NULL ? *hash : 0};
    if (hash != NULL)
        remember(chain);
}

void chain_add(struct chain *chain, const struct floe_entry *entry)
{
    ASSERT(entry->index == chain->index + 1);
    chain->index = entry->index;
    if (chain->unknown)
        return;
    bool own = entry->term <= BOOTSTRAP_TERM;
    size_t size = own ? 0 : floe_blob_size(entry->data);
    const uint64_t words[4] = {chain->hash, entry->index, entry->term, (uint64_t)entry->type};
    chain->hash = checksum_chain(words, 4, size > 0 ? floe_blob_data(entry->data) : NULL, size);
    remember(chain);
}

bool chain_find(const struct chain *chain, floe_index index, uint64_t *hash)
{
    if (index == 0 || chain->unknown)
        return false;
    const struct chain_mark *mark = &chain->recent[index % CHAIN_RECENT];
    if (mark->index != index)
        mark = &chain->marks[index / CHAIN_MARK_EVERY % CHAIN_MARKS];
    if (mark->index != index)
        return false;
    *hash = mark->hash;
    return true;
}
