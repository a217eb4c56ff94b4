/*
 * From files to a running core. The newest snapshot file that can be read counts, if the log has
 * all that follows it; also one that is newer than the log's mark (a crash between rename and
 * mark): it holds a committed prefix in any case.
 */
#include "node/internal.h"

#include <inttypes.h>
#include <string.h>

/* With several appends under way, late acknowledgements of what is durable already are daily
 * business: the core says so at info, which would drown what an operator looks for. */
static bool is_daily(const char *text)
{
    static const char prefix[] = "entry at ";
    return strncmp(text, prefix, sizeof prefix - 1) == 0;
}

static void core_log(void *arg, enum floe_log_level level, const char *text)
{
    const struct node *node = arg;
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_ERROR};
    logger_log(node->logger, is_daily(text) ? LOG_DEBUG : levels[level], "raft: %s", text);
}

uint32_t recover_election_ticks(const struct node *node)
{
    uint32_t ticks = node->options.election_ms / node->options.heartbeat_ms;
    return ticks > 2 ? ticks : 2;
}

static enum err open_core(struct node *node, struct buf *why)
{
    struct floe_config config = {.id = node->options.id,
                                 .election_tick = recover_election_ticks(node),
                                 .heartbeat_tick = 1,
                                 .storage = floe_memstore_storage(node->store),
                                 .applied = node->applied,
                                 .async_storage_writes = true,
                                 .max_size_per_msg = UINT64_C(1) << 20,
                                 .max_committed_size_per_ready = UINT64_C(4) << 20,
                                 .max_uncommitted_entries_size = node->options.pending_bytes,
                                 .max_inflight_msgs = NODE_INFLIGHT_MSGS,
                                 .max_inflight_bytes = NODE_INFLIGHT_BYTES,
                                 .check_quorum = true,
                                 .pre_vote = true,
                                 .step_down_on_removal = true,
                                 .seed = node->options.seed,
                                 .log = core_log,
                                 .log_arg = node};
    if (floe_raft_new(&config, &node->raft) == FLOE_OK)
        return ERR_OK;
    buf_printf(why, "the consensus core does not take the configuration (see the log)");
    return ERR_INVALID;
}

/* First start of a cluster: every member writes the same entries. */
static enum err bootstrap(struct node *node, struct buf *why)
{
    size_t count = node->options.member_count;
    floe_id *ids = mem_calloc(count, sizeof *ids);
    struct floe_blob **contexts = mem_calloc(count, sizeof *contexts);
    for (size_t i = 0; i < count; i++) {
        ids[i] = node->options.members[i].id;
        contexts[i] = member_context_encode(node->options.members[i].address, 0, false);
    }
    enum floe_err err = floe_raft_bootstrap(node->raft, ids, contexts, count);
    for (size_t i = 0; i < count; i++)
        floe_blob_unref(contexts[i]);
    mem_free(contexts);
    mem_free(ids);
    if (err == FLOE_OK)
        return ERR_OK;
    buf_printf(why, "cannot start a new cluster: %s", floe_strerror(err));
    return ERR_INVALID;
}

static enum err check_identity(const struct node *node, const struct wal_meta *meta,
                               struct buf *why)
{
    if (meta->id != node->options.id) {
        buf_printf(why,
                   "the data directory belongs to member %" PRIu64 ", the configuration says "
                   "id = %" PRIu64,
                   meta->id, node->options.id);
        return ERR_MISMATCH;
    }
    if (strcmp(meta->cluster, node->options.cluster) != 0) {
        buf_printf(why,
                   "the data directory belongs to cluster \"%s\", the configuration says \"%s\"",
                   meta->cluster, node->options.cluster);
        return ERR_MISMATCH;
    }
    return ERR_OK;
}

/* Does the log hold the snapshot's last entry? Then what is behind it is a valid continuation. */
static bool log_continues(const struct wal_recovered *log, const struct snapshot_meta *meta)
{
    if (meta->index <= log->snapshot_index)
        return true; /* load_snapshot takes none that is too old */
    size_t at = (size_t)(meta->index - log->snapshot_index - 1);
    return at < log->entry_count && log->entries[at].term == meta->term;
}

/* The entries behind base, where the log continues it. */
static void fill_entries(struct node *node, struct wal_recovered *log, floe_index base)
{
    if (base < log->snapshot_index) {
        size_t skip = (size_t)(base - log->first_index);
        ASSERT(base >= log->first_index && skip <= log->older_count);
        floe_memstore_append(node->store, log->older + skip, log->older_count - skip);
        base = log->snapshot_index;
    }
    size_t skip = (size_t)(base - log->snapshot_index);
    if (skip < log->entry_count)
        floe_memstore_append(node->store, log->entries + skip, log->entry_count - skip);
}

/* Never before what the snapshots show, whichever of them can be read, nor before the term of the
 * last entry (0: none): a power cut may have kept the entries and not the state that was written
 * with them. No vote of that term can have got out then. */
static struct floe_hard_state hard_state_of(const struct wal_recovered *log,
                                            const struct snapshot_meta *meta, floe_term last_term)
{
    bool ahead = meta->index >= log->snapshot_index;
    floe_index commit = ahead ? meta->index : log->snapshot_index;
    floe_term term = ahead ? meta->term : log->snapshot_term;
    term = term < last_term ? last_term : term;
    struct floe_hard_state hs = log->hard_state;
    if (hs.commit < commit)
        hs.commit = commit;
    if (hs.term < term)
        hs = (struct floe_hard_state){.term = term, .vote = 0, .commit = hs.commit};
    return hs;
}

/* Fills the memory log: snapshot, then the entries behind it. */
static enum err fill_store(struct node *node, struct wal_recovered *log, floe_index newest,
                           struct buf *why)
{
    struct snapshot_meta meta = {.index = 0};
    if (newest != 0) {
        meta.index = node->applied;
        meta.term = node->applied_term;
        struct floe_snapshot snapshot = {
            .index = meta.index, .term = meta.term, .conf_state = node->conf_state};
        if (floe_memstore_apply_snapshot(node->store, &snapshot) != FLOE_OK)
            return ERR_CORRUPT;
    }
    bool continues = log_continues(log, &meta);
    if (continues)
        fill_entries(node, log, meta.index);
    const struct floe_entry *last =
        floe_memstore_entry(node->store, floe_memstore_last_index(node->store));
    struct floe_hard_state hs = hard_state_of(log, &meta, last != NULL ? last->term : 0);
    if (hs.commit > floe_memstore_last_index(node->store)) {
        buf_printf(why,
                   "the log ends at %" PRIu64 " but says that %" PRIu64 " was committed: its end "
                   "is missing",
                   floe_memstore_last_index(node->store), hs.commit);
        return ERR_CORRUPT;
    }
    if (hs.term != 0 || hs.commit != 0)
        floe_memstore_set_hard_state(node->store, hs);
    node->hard_state = hs;
    if (meta.index <= log->snapshot_index)
        return ERR_OK;
    enum err err = wal_mark_snapshot(node->wal, meta.index, meta.term, continues);
    if (err == ERR_OK)
        err = wal_append(node->wal, &hs, NULL, 0);
    if (err == ERR_OK)
        err = wal_sync_now(node->wal);
    return err;
}

void recover_compare_members(const struct node *node)
{
    if (!node->had_data)
        return;
    bool differ = node->members.count != node->options.member_count;
    for (size_t i = 0; i < node->options.member_count && !differ; i++) {
        const struct member *member =
            members_find(&node->members, node->options.members[i].id);
        differ = member == NULL ||
                 strcmp(member->peer_address, node->options.members[i].address) != 0;
    }
    if (differ && node->members.count > 0)
        log_warn(node->logger, "the member list of the data directory differs from the "
                               "configuration file's and wins");
}

/* From *index on downwards, the first that can be read; 0: none, and the log has everything. */
static enum err try_snapshots(struct node *node, const struct wal_recovered *log,
                              floe_index *index, struct buf *why)
{
    enum err err = ERR_CORRUPT;
    while (err == ERR_CORRUPT && *index >= log->first_index) {
        struct buf text = {0};
        err = *index != 0 ? snapshots_recover(node, *index, &text) : ERR_OK;
        if (err != ERR_OK)
            buf_printf(why, "%s%s", why->len > 0 ? "; " : "", buf_str(&text));
        buf_deinit(&text);
        if (err == ERR_CORRUPT && snapshot_folder_before(node->fs, *index, index) != ERR_OK)
            err = ERR_IO;
    }
    if (err == ERR_CORRUPT)
        buf_printf(why,
                   "%sthe log starts behind a snapshot at %" PRIu64 " that is missing from snap/ "
                   "or damaged; the log is good up to index %" PRIu64,
                   why->len > 0 ? "; " : "", log->first_index,
                   log->snapshot_index + log->entry_count);
    return err;
}

/* What the next release must leave: the snapshot before this one, if the log follows it. */
static enum err find_kept(struct node *node, const struct wal_recovered *log, floe_index index)
{
    floe_index older = 0;
    enum err err = index != 0 ? snapshot_folder_before(node->fs, index, &older) : ERR_OK;
    node->kept_index = older >= log->first_index ? older : index;
    return err;
}

static enum err load_snapshot(struct node *node, const struct wal_recovered *log,
                              floe_index *newest, struct buf *why)
{
    enum err err = snapshot_folder_open(node->fs, node->logger, newest);
    if (err != ERR_OK) {
        buf_printf(why, "snap/: %s", node->fs.ops->last_error(node->fs.ctx));
        return err;
    }
    floe_index index = *newest;
    err = try_snapshots(node, log, &index, why);
    if (err != ERR_OK)
        return err;
    if (index < log->snapshot_index)
        log_error(node->logger,
                  "the snapshot at %" PRIu64 " cannot be used (%s): started from the one at "
                  "%" PRIu64 " and the log behind it",
                  log->snapshot_index, why->len > 0 ? buf_str(why) : "it is missing", index);
    buf_clear(why);
    *newest = index;
    node->mark_index = index > log->snapshot_index ? index : log->snapshot_index;
    return find_kept(node, log, index);
}

/* A first start of a cluster that broke off: without a term nothing was promised to anybody, and
 * entries without the hard state that makes them count would be a cluster of nobody. */
static void drop_unfinished(struct wal_recovered *log)
{
    for (size_t i = 0; i < log->entry_count; i++)
        floe_entry_deinit(&log->entries[i]);
    log->entry_count = 0;
}

/* There is none: a first start, or somebody has deleted all of it, which nothing in its own folder
 * could tell. A member that starts anew has none until it has made this one. */
static enum err create_log(struct node *node, bool has_snapshots, struct buf *why)
{
    const char *trace = has_snapshots ? "are snapshots" : "is the file " HAS_LOG_FILE;
    if (has_snapshots || (marks_has(node, HAS_LOG_FILE) && !reseed_is_mute(node))) {
        buf_printf(why, "wal/ is missing or empty, but there %s: this member had a log, of which "
                        "nothing can be read", trace);
        return ERR_CORRUPT;
    }
    struct wal_meta meta = {.id = node->options.id};
    memcpy(meta.cluster, node->options.cluster, strlen(node->options.cluster) + 1);
    return wal_create(node->wal, &meta);
}

/* Only once the log is durable, and before anything is promised: a power cut at a first start is no
 * damage. Without room for it the member does without. Who made it may have died before it was
 * synced. */
static enum err note_log(struct node *node)
{
    if (marks_has(node, HAS_LOG_FILE))
        return node->fs.ops->sync_dir(node->fs.ctx, "");
    marks_put(node, HAS_LOG_FILE, "This member has a log in wal/: if it is gone, it was lost.\n");
    return ERR_OK;
}

static enum err recover_from(struct node *node, struct wal_recovered *log, struct buf *why)
{
    bool promised = log->hard_state.term != 0 || log->snapshot_index != 0;
    if (!promised && !node->options.join)
        drop_unfinished(log);
    bool empty = log->entry_count == 0 && !promised;
    enum err err = ERR_OK;
    if (!log->fresh)
        err = check_identity(node, &log->meta, why);
    floe_index newest = 0;
    if (err == ERR_OK)
        err = load_snapshot(node, log, &newest, why);
    if (err == ERR_OK)
        reserve_open(node);
    if (err == ERR_OK && log->fresh)
        err = create_log(node, newest != 0, why);
    if (err == ERR_OK)
        err = note_log(node);
    if (err == ERR_OK)
        err = fill_store(node, log, newest, why);
    if (err == ERR_OK)
        err = open_core(node, why);
    bool alone = !node->options.join && node->reseed.stage == RESEED_NONE;
    if (err == ERR_OK && empty && newest == 0 && alone)
        err = bootstrap(node, why);
    if (err != ERR_OK)
        return err;
    bool unborn = empty && newest == 0;
    peer_set_accept_unknown(node->peers, true); /* there is no leader yet */
    node->had_data = !unborn;
    log_info(node->logger,
             "started id=%" PRIu64 " cluster=%s term=%" PRIu64 " commit=%" PRIu64
             " snapshot=%" PRIu64 " last=%" PRIu64 " torn_bytes=%" PRIu64 "%s",
             node->options.id, node->options.cluster, node->hard_state.term,
             node->hard_state.commit, node->snapshot_index,
             floe_memstore_last_index(node->store), log->torn_bytes,
             reseed_is_mute(node) ? " (starts anew, does not count yet)"
             : !unborn            ? ""
             : node->options.join ? " (new, waits to be added)"
                                  : " (new)");
    reseed_on_members(node);
    return ERR_OK;
}

enum err recover_open(struct node *node, struct buf *why)
{
    if (changes_was_self_removed(node)) {
        buf_printf(why, "this member was removed from the cluster; its id cannot be used again "
                        "(use a new id and a new data directory)");
        return ERR_NOT_FOUND;
    }
    enum err err = reseed_open(node, why);
    if (err == ERR_OK)
        err = rollback_refuse_marked(node, why);
    if (err != ERR_OK)
        return err;
    struct wal_options options = {.fs = node->fs,
                                  .logger = node->logger,
                                  .first_segment_bytes = node->options.log_segment_bytes,
                                  .segment_bytes = node->options.log_segment_bytes};
    struct wal_recovered log = {0};
    err = wal_open(&options, &node->wal, &log, why);
    if (err == ERR_CORRUPT && node->options.reseed_stamp != 0) { /* again, during a re-seed */
        buf_clear(why);
        err = reseed_begin(node, why);
        if (err == ERR_OK)
            err = wal_open(&options, &node->wal, &log, why);
    }
    if (err != ERR_OK)
        return err;
    err = recover_from(node, &log, why);
    wal_recovered_deinit(&log);
    if (err != ERR_OK && why->len == 0)
        buf_printf(why, "recovery failed: %s (%s)", err_str(err), wal_last_error(node->wal));
    return err;
}
