/*
 * Private to the files of the disk in memory: mem_fs.c is what programs see, mem_fs_power.c what
 * would survive a power cut. Each file keeps its durable bytes and the operations since its last
 * sync; the names keep a list of changes since the last sync of their folder.
 */
#ifndef TEST_MEM_FS_INTERNAL_H
#define TEST_MEM_FS_INTERNAL_H

#include "base/buf.h"
#include "mem_fs.h"

struct mem_fs_change {
    bool resize;     /* else a write */
    uint64_t offset; /* or the new size */
    struct buf data;
};

struct mem_fs_node {
    unsigned refs; /* names and handles */
    struct buf now;
    struct buf durable;
    struct mem_fs_change *changes;
    size_t change_count;
    size_t change_cap;
};

struct mem_fs_name {
    char *path;
    struct mem_fs_node *node;
};

struct mem_fs_names {
    struct mem_fs_name *list;
    size_t count;
    size_t cap;
};

struct mem_fs_name_change {
    char *path;               /* gets node; NULL: none */
    char *gone;               /* is removed; NULL: none */
    struct mem_fs_node *node; /* NULL with both: the folder gone is called path now */
};

struct fs_file {
    struct mem_fs_node *node;
    bool writable;
    bool is_log;
    struct fs_file *next;
};

struct mem_fs_done {
    uint64_t token;
    struct fs_file *file;
};

struct mem_fs {
    struct mem_fs_names now;
    struct mem_fs_names durable;
    struct mem_fs_name_change *changes;
    size_t change_count;
    size_t change_cap;
    struct fs_file *files;
    struct mem_fs_done *syncs;
    size_t sync_count;
    size_t sync_cap;
    bool hold;
    bool has_wal;
    bool has_snap;
    bool durable_wal; /* the folder's own name */
    bool durable_snap;
    struct mem_fs_counts counts;
    unsigned operations;
    unsigned stop_at;
    unsigned fail_at;
    uint64_t capacity; /* 0: no end */
    bool stopped;
    bool full; /* the last error was for want of room */
};

/* ---- what programs see (mem_fs.c) ------------------------------------------------------------ */

void mem_fs_node_unref(struct mem_fs_node *node);
void mem_fs_resize(struct buf *buf, size_t size);
void mem_fs_write_to(struct buf *buf, uint64_t offset, const uint8_t *data, size_t len);
void mem_fs_names_remove(struct mem_fs_names *names, const char *path);
void mem_fs_names_set(struct mem_fs_names *names, const char *path, struct mem_fs_node *node);
void mem_fs_names_move(struct mem_fs_names *names, const char *from, const char *to);
void mem_fs_names_clear(struct mem_fs_names *names);
/* A path below folder from gets to in its place; false: it is not below it. */
bool mem_fs_move_path(char **path, const char *from, const char *to);
void mem_fs_close_all(struct mem_fs *fs);

/* ---- what would survive (mem_fs_power.c) ----------------------------------------------------- */

/* A change of names; the arguments are as in struct mem_fs_name_change. */
void mem_fs_note_name(struct mem_fs *fs, const char *path, const char *gone,
                      struct mem_fs_node *node);
void mem_fs_note_change(struct mem_fs_node *node, bool is_resize, uint64_t offset, const void *data,
                        size_t len);
/* Syncs: of a file, and of the names in a folder ("" = the data directory). */
void mem_fs_settle(struct mem_fs_node *node);
void mem_fs_settle_folder(struct mem_fs *fs, const char *folder);
void mem_fs_forget_names(struct mem_fs *fs); /* the changes of names since their syncs */

#endif
