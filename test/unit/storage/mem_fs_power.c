/*
 * What would survive a power cut of the disk in memory: what was synced, and of the rest whatever
 * the test's idea of the platter lets through.
 */
#include "base/mem.h"
#include "base/prng.h"
#include "mem_fs_internal.h"

#include <string.h>

#define PIECE 64

/* ---- what waits for a sync ------------------------------------------------------------------- */

void mem_fs_note_name(struct mem_fs *fs, const char *path, const char *gone,
                      struct mem_fs_node *node)
{
    fs->changes = mem_grow(fs->changes, fs->change_count, &fs->change_cap, sizeof *fs->changes);
    fs->changes[fs->change_count++] =
        (struct mem_fs_name_change){.path = path != NULL ? mem_strdup(path) : NULL,
                                    .gone = gone != NULL ? mem_strdup(gone) : NULL,
                                    .node = node};
    if (node != NULL)
        node->refs++;
}

static bool is_folder_move(const struct mem_fs_name_change *change)
{
    return change->node == NULL && change->path != NULL;
}

static void settle_change(struct mem_fs *fs, const struct mem_fs_name_change *change)
{
    if (is_folder_move(change)) {
        mem_fs_names_move(&fs->durable, change->gone, change->path);
        fs->durable_wal = fs->durable_wal && strcmp(change->gone, "wal") != 0;
        fs->durable_snap = fs->durable_snap && strcmp(change->gone, "snap") != 0;
        return;
    }
    if (change->path != NULL)
        mem_fs_names_set(&fs->durable, change->path, change->node);
    if (change->gone != NULL)
        mem_fs_names_remove(&fs->durable, change->gone);
}

static void end_change(struct mem_fs *fs, struct mem_fs_name_change *change, bool is_durable)
{
    if (is_durable)
        settle_change(fs, change);
    mem_free(change->path);
    mem_free(change->gone);
    if (change->node != NULL)
        mem_fs_node_unref(change->node);
}

static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (len == 0)
        return strchr(path, '/') == NULL;
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The changes of names in one folder become durable, in their order; the others go on waiting
 * (those in a folder that has moved: under its new name). */
void mem_fs_settle_folder(struct mem_fs *fs, const char *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < fs->change_count; i++) {
        struct mem_fs_name_change change = fs->changes[i];
        if (!is_in_folder(change.path != NULL ? change.path : change.gone, folder)) {
            fs->changes[kept++] = change;
            continue;
        }
        for (size_t k = 0; k < kept && is_folder_move(&change); k++) {
            (void)mem_fs_move_path(&fs->changes[k].path, change.gone, change.path);
            (void)mem_fs_move_path(&fs->changes[k].gone, change.gone, change.path);
        }
        end_change(fs, &change, true);
    }
    fs->change_count = kept;
}

void mem_fs_note_change(struct mem_fs_node *node, bool is_resize, uint64_t offset, const void *data,
                        size_t len)
{
    node->changes =
        mem_grow(node->changes, node->change_count, &node->change_cap, sizeof *node->changes);
    struct mem_fs_change *change = &node->changes[node->change_count++];
    *change = (struct mem_fs_change){.resize = is_resize, .offset = offset};
    buf_add(&change->data, data, len);
}

static void forget_changes(struct mem_fs_node *node)
{
    for (size_t i = 0; i < node->change_count; i++)
        buf_deinit(&node->changes[i].data);
    node->change_count = 0;
}

void mem_fs_settle(struct mem_fs_node *node)
{
    buf_clear(&node->durable);
    buf_add(&node->durable, node->now.data, node->now.len);
    forget_changes(node);
}

/* ---- power ----------------------------------------------------------------------------------- */

static void apply_change(struct buf *to, const struct mem_fs_change *change, size_t len)
{
    if (change->resize)
        mem_fs_resize(to, (size_t)change->offset);
    else
        mem_fs_write_to(to, change->offset, change->data.data, len);
}

static void lose_suffix(struct mem_fs_node *node, struct prng *prng)
{
    size_t keep = (size_t)prng_below(prng, node->change_count + 1);
    for (size_t i = 0; i < keep; i++)
        apply_change(&node->durable, &node->changes[i], node->changes[i].data.len);
    if (keep == node->change_count || node->changes[keep].resize)
        return;
    const struct mem_fs_change *torn = &node->changes[keep];
    apply_change(&node->durable, torn, (size_t)prng_below(prng, torn->data.len + 1));
}

static void scatter(struct mem_fs_node *node, struct prng *prng)
{
    for (size_t i = 0; i < node->change_count; i++) {
        const struct mem_fs_change *change = &node->changes[i];
        if (change->resize)
            apply_change(&node->durable, change, 0);
        for (size_t at = 0; at < change->data.len;) {
            size_t len = PIECE - (size_t)((change->offset + at) % PIECE);
            if (len > change->data.len - at)
                len = change->data.len - at;
            if (prng_below(prng, 2) == 0)
                mem_fs_write_to(&node->durable, change->offset + at, change->data.data + at, len);
            at += len;
        }
    }
}

static void settle_node(struct mem_fs_node *node, enum mem_fs_crash kind, struct prng *prng)
{
    if (kind == MEM_FS_PREFIX)
        lose_suffix(node, prng);
    else if (kind == MEM_FS_SCATTER)
        scatter(node, prng);
    forget_changes(node);
    buf_clear(&node->now);
    buf_add(&node->now, node->durable.data, node->durable.len);
}

static void settle_names(struct mem_fs *fs, enum mem_fs_crash kind, struct prng *prng)
{
    size_t prefix = kind == MEM_FS_PREFIX ? (size_t)prng_below(prng, fs->change_count + 1) : 0;
    for (size_t i = 0; i < fs->change_count; i++)
        end_change(fs, &fs->changes[i],
                   i < prefix || (kind == MEM_FS_SCATTER && prng_below(prng, 2) == 0));
    fs->change_count = 0;
}

/* A folder whose own name is lost takes everything in it along. */
static void lose_folder(struct mem_fs *fs, const char *folder)
{
    for (size_t i = fs->durable.count; i > 0; i--)
        if (is_in_folder(fs->durable.list[i - 1].path, folder))
            mem_fs_names_remove(&fs->durable, fs->durable.list[i - 1].path);
}

static bool settle_folder_itself(struct mem_fs *fs, const char *folder, bool is_durable,
                                 enum mem_fs_crash kind, struct prng *prng)
{
    bool stays = is_durable || (kind != MEM_FS_LOSE_ALL && prng_below(prng, 2) == 0);
    if (!stays)
        lose_folder(fs, folder);
    return stays;
}

void mem_fs_crash(struct mem_fs *fs, enum mem_fs_crash kind, struct prng *prng)
{
    mem_fs_close_all(fs);
    fs->sync_count = 0;
    fs->stopped = false;
    fs->stop_at = 0;
    fs->fail_at = 0;
    if (kind == MEM_FS_KEEP_ALL)
        return;
    settle_names(fs, kind, prng);
    if (fs->has_wal)
        fs->has_wal = settle_folder_itself(fs, "wal", fs->durable_wal, kind, prng);
    if (fs->has_snap)
        fs->has_snap = settle_folder_itself(fs, "snap", fs->durable_snap, kind, prng);
    fs->durable_wal = fs->has_wal;
    fs->durable_snap = fs->has_snap;
    mem_fs_names_clear(&fs->now);
    for (size_t i = 0; i < fs->durable.count; i++) {
        settle_node(fs->durable.list[i].node, kind, prng);
        mem_fs_names_set(&fs->now, fs->durable.list[i].path, fs->durable.list[i].node);
        fs->has_wal = fs->has_wal || strncmp(fs->durable.list[i].path, "wal/", 4) == 0;
        fs->has_snap = fs->has_snap || strncmp(fs->durable.list[i].path, "snap/", 5) == 0;
    }
}

void mem_fs_forget_names(struct mem_fs *fs)
{
    settle_names(fs, MEM_FS_LOSE_ALL, NULL);
}
