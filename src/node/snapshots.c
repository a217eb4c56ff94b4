/*
 * Snapshots of our own, written from a view of the store in slices while writes go on; and the way
 * back: a snapshot file read into a new store in slices, which then replaces the old one.
 *
 * Order that survives a crash anywhere: file synced and renamed, log marked, mark synced, only
 * then older files and log segments are removed.
 */
#include "node/internal.h"

#include <inttypes.h>
#include <string.h>

#define RETRY_MS 2000u

/* ---- writing --------------------------------------------------------------------------------- */

static void own_clear(struct node *node)
{
    struct own_snapshot *own = &node->own;
    if (own->view != NULL)
        kv_view_free(own->view);
    if (own->writer != NULL)
        snapshot_writer_abort(own->writer);
    snapshot_meta_deinit(&own->meta);
    *own = (struct own_snapshot){0};
}

/* An installed snapshot overtakes the one being written. */
static void own_overtaken(struct node *node)
{
    if (node->own.syncing)
        node->own.discard = true;
    else
        own_clear(node);
}

static void own_failed(struct node *node, const char *what)
{
    log_error(node->logger, "snapshot not written step=%s why=%s", what,
              node->fs.ops->last_error(node->fs.ctx));
    own_clear(node);
    node->applied_bytes = 0; /* the next try comes after as much work again */
    node->snapshot_retry_ms = node->now_ms + RETRY_MS; /* and not at once in any case */
    wal_give_up_spares(node->wal);                     /* for want of room, perhaps */
}

/* A snapshot costs what the store and its history have; it is worth that once the log has grown by
 * twice as much, within bounds, since all of that log is in memory and is read again at a start. */
static bool has_grown(const struct node *node)
{
    uint64_t entries = node->options.snapshot_entries;
    uint64_t log_bytes = 2 * (kv_size_bytes(node->kv) + kv_history_bytes(node->kv));
    if (log_bytes < NODE_LOG_BYTES_MIN)
        log_bytes = NODE_LOG_BYTES_MIN;
    if (log_bytes > NODE_LOG_BYTES_MAX)
        log_bytes = NODE_LOG_BYTES_MAX;
    return node->applied_bytes >= (entries == 0 ? log_bytes : NODE_LOG_BYTES_MAX) ||
           (entries > 0 && node->applied - node->snapshot_index >= entries);
}

static bool is_due(const struct node *node)
{
    if (node->own.writer != NULL || node->loading.reader != NULL || node->applied == 0 ||
        node->applied <= node->mark_index || node->now_ms < node->snapshot_retry_ms)
        return false;
    return node->snapshot_wanted || has_grown(node);
}

/* Up to index nothing is read again, once what was logged by now is durable. */
static void release_upto(struct node *node, floe_index index)
{
    node->kept_index = index;
    node->release_index = index; /* 0 = there is only one snapshot, and all of the log */
    node->release_at = wal_appended(node->wal);
    node->sync_wanted = true;
}

static bool is_short(const struct node *node)
{
    return wal_is_short(node->wal) || room_is_tight(node);
}

/* The log is short of room, and older segments are kept only for want of a newer snapshot, or for
 * the case that the newest one gets damaged: this goes first. */
static void heed_space_hint(struct node *node)
{
    if (is_short(node) && node->kept_index < node->snapshot_index && node->release_index == 0) {
        log_warn(node->logger, "short of room: nothing is kept behind the newest snapshot index=%"
                 PRIu64, node->snapshot_index);
        release_upto(node, node->snapshot_index);
    }
    if (!wal_take_space_hint(node->wal))
        return;
    log_info(node->logger, "snapshot wanted early: the log is short of room applied=%" PRIu64,
             node->applied);
    node->snapshot_wanted = true;
}

void snapshots_maybe_start(struct node *node)
{
    heed_space_hint(node);
    if (!is_due(node) || node->life != NODE_RUNNING || node->release_index != 0 ||
        kv_is_applying(node->kv))
        return;
    struct own_snapshot *own = &node->own;
    own->meta = (struct snapshot_meta){.index = node->applied,
                                       .term = node->applied_term,
                                       .conf_state = floe_conf_state_copy(&node->conf_state)};
    members_encode(&node->members, node->chain.unknown ? NULL : &node->chain.hash,
                   &own->meta.app);
    own->view = kv_view_new(node->kv);
    own->tombstone_bytes = kv_tombstone_bytes(node->kv);
    own->grown_bytes = kv_grown_bytes(node->kv);
    log_info(node->logger, "snapshot started index=%" PRIu64 " term=%" PRIu64 " keys=%" PRIu64,
             own->meta.index, own->meta.term, kv_count(node->kv));
    node->applied_bytes = 0;
    node->snapshot_wanted = false;
    if (snapshot_writer_open(node->fs, node->reserve.room, &own->meta, &own->writer) != ERR_OK) {
        own->writer = NULL;
        own_failed(node, "open");
    }
}

static void write_slice(struct node *node)
{
    struct own_snapshot *own = &node->own;
    struct buf slice = {0};
    bool complete = kv_view_read(own->view, &slice, node->slice_bytes);
    enum err err = ERR_OK;
    for (size_t at = 0; at < slice.len && err == ERR_OK; at += SNAPSHOT_CHUNK_MAX) {
        size_t left = slice.len - at;
        err = snapshot_writer_add(own->writer, slice.data + at,
                                  left < SNAPSHOT_CHUNK_MAX ? left : SNAPSHOT_CHUNK_MAX);
    }
    buf_deinit(&slice);
    if (err == ERR_OK && complete) {
        kv_view_free(own->view);
        own->view = NULL;
        own->syncing = true;
        err = snapshot_writer_finish(own->writer, NODE_TOKEN_OWN_SNAPSHOT);
        own->syncing = err == ERR_OK;
    }
    if (err != ERR_OK)
        own_failed(node, "write");
}

/* How much log stays in memory behind a snapshot, for members that are a little behind. */
static floe_index trailing_start(const struct node *node, floe_index index)
{
    uint64_t entries = node->options.snapshot_entries;
    uint64_t keep = entries == 0 ? NODE_TRAILING_ENTRIES : entries / 2;
    if (node->room.is_starving)
        keep = 0;
    floe_index first = floe_memstore_first_index(node->store);
    floe_index from = index;
    uint64_t bytes = 0;
    while (from > first && index - from < keep && bytes < NODE_TRAILING_BYTES_MAX) {
        bytes += floe_entry_size(floe_memstore_entry(node->store, from));
        from--;
    }
    floe_index held = transfers_hold_back(node);
    return from < held ? from : held;
}

/* A slice of it a turn. The core is told what was applied in whole batches: until then it still
 * reads what it has not heard of, and a snapshot may already hold the half of a batch. */
void snapshots_compact_log(struct node *node)
{
    floe_index upto = trailing_start(node, node->snapshot_index);
    floe_index heard = floe_raft_basic_status(node->raft).applied;
    floe_index first = floe_memstore_first_index(node->store);
    node->log_waits = upto > heard;
    if (node->log_waits)
        upto = heard;
    if (upto < first)
        return;
    if (upto - first >= NODE_TURN_COMPACT_ENTRIES) {
        upto = first + NODE_TURN_COMPACT_ENTRIES - 1;
        node->log_waits = true;
    }
    enum floe_err err = floe_memstore_compact(node->store, upto);
    ASSERT(err == FLOE_OK);
}

static void own_durable(struct node *node)
{
    struct own_snapshot *own = &node->own;
    floe_index index = own->meta.index;
    struct snapshot_writer *writer = own->writer;
    own->writer = NULL;
    if (snapshot_writer_commit(writer) != ERR_OK) {
        own_failed(node, "rename");
        return;
    }
    enum floe_err stored =
        floe_memstore_create_snapshot(node->store, index, &own->meta.conf_state, NULL);
    ASSERT(stored == FLOE_OK);
    if (wal_mark_snapshot(node->wal, index, own->meta.term, true) != ERR_OK) {
        node_fail(node, "cannot write the log", wal_last_error(node->wal));
        return;
    }
    log_info(node->logger, "snapshot written index=%" PRIu64, index);
    release_upto(node, is_short(node) ? index : node->snapshot_index);
    node->snapshot_index = index;
    node->mark_index = index;
    reserve_on_snapshot(node, own->tombstone_bytes, own->grown_bytes);
    own_clear(node);
    snapshots_compact_log(node);
}

void snapshots_on_sync(struct node *node, uint64_t token, enum err outcome)
{
    if (token == NODE_TOKEN_INCOMING) {
        transfers_on_sync(node, outcome);
        return;
    }
    ASSERT(token == NODE_TOKEN_OWN_SNAPSHOT && node->own.syncing);
    node->own.syncing = false;
    if (outcome != ERR_OK)
        own_failed(node, "sync");
    else if (node->own.discard)
        own_clear(node);
    else
        own_durable(node);
}

void snapshots_release(struct node *node)
{
    if (node->release_index == 0 || wal_durable(node->wal) < node->release_at)
        return;
    floe_index index = node->release_index;
    node->release_index = 0;
    if (snapshot_folder_release(node->fs, index) != ERR_OK)
        log_warn(node->logger, "old snapshots not removed why=%s",
                 node->fs.ops->last_error(node->fs.ctx));
    if (wal_release(node->wal, index) != ERR_OK)
        log_warn(node->logger, "old log segments not removed why=%s", wal_last_error(node->wal));
    room_on_released(node);
}

/* ---- reading in ------------------------------------------------------------------------------ */

static void loading_clear(struct node *node)
{
    if (node->loading.reader != NULL)
        snapshot_reader_close(node->loading.reader);
    if (node->loading.loader != NULL && node->kv != NULL)
        kv_loader_discard(node->kv, node->loading.loader); /* it may hold much: in slices */
    else if (node->loading.loader != NULL)
        kv_loader_free(node->loading.loader);
    node->loading = (struct loading){0};
}

enum err snapshots_reader_open(struct node *node, floe_index index, struct snapshot_reader **out)
{
    struct buf why = {0};
    enum err err = snapshot_reader_open(node->fs, index, out, &why);
    if (err != ERR_OK) {
        log_error(node->logger, "snapshot does not open index=%" PRIu64 " why=%s", index,
                  why.len > 0 ? buf_str(&why) : err_str(err));
        node->snapshot_wanted = true; /* another one, that can be sent */
    }
    buf_deinit(&why);
    return err;
}

static void take_meta(struct node *node, const struct snapshot_meta *meta)
{
    bool has_hash = false;
    uint64_t hash = 0;
    if (members_decode(&node->members, meta->app.data, meta->app.len, &has_hash, &hash) != ERR_OK)
        log_error(node->logger, "snapshot without a member table index=%" PRIu64, meta->index);
    chain_restart(&node->chain, meta->index, has_hash ? &hash : NULL);
    floe_conf_state_deinit(&node->conf_state);
    node->conf_state = floe_conf_state_copy(&meta->conf_state);
}

void snapshots_install(struct node *node, const struct floe_snapshot *snapshot)
{
    own_overtaken(node);
    loading_clear(node);
    struct snapshot_reader *reader;
    if (snapshots_reader_open(node, snapshot->index, &reader) != ERR_OK) {
        node->damaged = true;
        node_fail(node, "a snapshot that was just received cannot be read", "see the log");
        return;
    }
    log_info(node->logger, "snapshot installing index=%" PRIu64 " term=%" PRIu64,
             snapshot->index, snapshot->term);
    take_meta(node, snapshot_reader_meta(reader));
    apply_members_to_peers(node);
    node->loading = (struct loading){.reader = reader,
                                     .loader = kv_loader_new(),
                                     .index = snapshot->index,
                                     .term = snapshot->term};
    requests_on_snapshot(node, snapshot->index);
    node->snapshot_index = snapshot->index;
    node->mark_index = snapshot->index;
    release_upto(node, snapshot->index);
}

static void finish_loading(struct node *node)
{
    struct kv *loaded;
    if (kv_loader_finish(node->loading.loader, &loaded) != ERR_OK) {
        node->damaged = true;
        node_fail(node, "a snapshot is damaged", "its items do not add up");
        return;
    }
    if (node->kv != NULL)
        kv_discard(loaded, node->kv);
    node->kv = loaded;
    node->kv_generation++;
    node->applied = node->loading.index;
    node->applied_term = node->loading.term;
    node->applied_bytes = 0;
    reserve_on_snapshot(node, kv_tombstone_bytes(node->kv), kv_grown_bytes(node->kv));
    log_info(node->logger, "snapshot installed index=%" PRIu64 " keys=%" PRIu64, node->applied,
             kv_count(node->kv));
    loading_clear(node);
    reseed_on_members(node);
    bool member = members_find(&node->members, node->options.id) != NULL;
    if (!member && members_was_removed(&node->members, node->options.id))
        changes_on_self_removed(node, "this member was removed from the cluster");
}

/* One record of the file; true when the store is complete. */
static enum err load_record(struct node *node, bool *complete)
{
    struct record record;
    enum err err = snapshot_reader_next(node->loading.reader, &record, NULL);
    if (err == ERR_OK && record.type == SNAPSHOT_CHUNK)
        err = kv_loader_feed(node->loading.loader, record.payload, record.payload_len);
    *complete = err == ERR_OK && record.type == SNAPSHOT_END;
    return err;
}

static void load_slice(struct node *node)
{
    bool complete = false;
    enum err err = load_record(node, &complete);
    node->damaged = err != ERR_OK && err != ERR_IO;
    if (err != ERR_OK)
        node_fail(node, "a snapshot cannot be read", err_str(err));
    else if (complete)
        finish_loading(node);
}

enum err snapshots_recover(struct node *node, floe_index index, struct buf *why)
{
    struct snapshot_reader *reader;
    enum err err = snapshot_reader_open(node->fs, index, &reader, why);
    if (err != ERR_OK)
        return err;
    const struct snapshot_meta *meta = snapshot_reader_meta(reader);
    node->loading = (struct loading){
        .reader = reader, .loader = kv_loader_new(), .index = meta->index, .term = meta->term};
    bool complete = false;
    while (err == ERR_OK && !complete)
        err = load_record(node, &complete);
    struct kv *loaded = NULL;
    if (err == ERR_OK)
        err = kv_loader_finish(node->loading.loader, &loaded);
    if (err == ERR_INVALID)
        err = ERR_CORRUPT; /* its items do not add up */
    if (err == ERR_OK) {
        take_meta(node, meta);
        kv_free(node->kv);
        node->kv = loaded;
        node->applied = index;
        node->applied_term = node->loading.term;
        node->snapshot_index = index;
    } else {
        buf_printf(why, "snap/%016" PRIx64 ".snap: %s", index, err_str(err));
    }
    loading_clear(node);
    return err;
}

/* ---- turns ----------------------------------------------------------------------------------- */

void snapshots_work(struct node *node)
{
    if (node->own.view != NULL)
        write_slice(node);
    if (node->loading.reader != NULL && node->life == NODE_RUNNING)
        load_slice(node);
    node->kv_untidy = kv_tidy(node->kv, node->tidy_steps);
    node->more = node->more || node->kv_untidy;
    if (node->log_waits)
        snapshots_compact_log(node);
    snapshots_release(node);
}

bool snapshots_have_work(const struct node *node)
{
    return node->own.view != NULL || node->loading.reader != NULL;
}

void snapshots_deinit(struct node *node)
{
    node->own.syncing = false;
    own_clear(node);
    loading_clear(node);
}
