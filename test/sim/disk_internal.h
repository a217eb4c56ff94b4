/* The inside of a disk: files by name, as programs see them and as they would be after a power
 * cut. */
#ifndef TEST_SIM_DISK_INTERNAL_H
#define TEST_SIM_DISK_INTERNAL_H

#include "base/buf.h"
#include "content.h"
#include "disk.h"

/* A change of a file that no sync has covered. */
struct disk_change {
    bool resize;     /* else a write */
    uint64_t offset; /* or the new size */
    struct buf data;
};

struct disk_file {
    unsigned refs; /* names and handles */
    bool of_snapshot;
    struct content now;
    struct content durable;
    struct disk_change *changes;
    size_t change_count;
    size_t change_cap;
    /* Ends of what the last three syncs covered, the newest first: what lies before the last is
     * cold, since something was written after it was known to be durable, and is durable too. */
    uint64_t covered[3];
};

struct disk_name {
    char *path;
    struct disk_file *file;
};

struct disk_names {
    struct disk_name *list;
    size_t count;
    size_t cap;
};

/* A change of a directory that no sync has covered. */
struct disk_rename {
    char *path; /* gets file; NULL: none */
    char *gone; /* is removed; NULL: none */
    struct disk_file *file;
};

struct fs_file { /* a handle */
    struct disk_file *file;
    bool writable;
    bool is_log;
    struct fs_file *next;
};

struct disk_sync {
    uint64_t token;
    uint64_t done_us;
    struct fs_file *handle;
    size_t changes; /* of the file that were there when it started */
    bool fails;
};

struct disk_folder {
    bool made;
    bool durable; /* its own name in the data directory is */
};

struct disk {
    struct disk_manner manner;
    bool strict_names;
    struct disk_names now;
    struct disk_names durable;
    struct disk_names copy; /* of another day; its files are its own */
    struct disk_rename *renames;
    size_t rename_count;
    size_t rename_cap;
    struct fs_file *handles;
    struct disk_sync *syncs;
    size_t sync_count;
    size_t sync_cap;
    struct disk_folder wal;
    struct disk_folder snap;
    uint64_t operations;
    uint64_t stop_at;
    uint64_t fail_at;
    bool stopped;
    bool failed; /* since asked last */
    bool refused_room;
    const char *error;
    uint64_t waited_us;
    struct disk_bytes bytes;
};

/* disk_names.c */
void disk_file_unref(struct disk_file *file);
struct disk_file *disk_names_find(const struct disk_names *names, const char *path);
void disk_names_set(struct disk_names *names, const char *path, struct disk_file *file);
void disk_names_remove(struct disk_names *names, const char *path);
void disk_names_clear(struct disk_names *names);
/* Notes a change of names that the next sync of their directory makes durable. */
void disk_rename_note(struct disk *disk, const char *path, const char *gone,
                      struct disk_file *file);
/* Those whose directory is dir become durable; NULL: all are forgotten. */
void disk_rename_settle(struct disk *disk, const char *dir);
void disk_rename_apply(struct disk *disk, const struct disk_rename *change);
/* The directory that path is or lies in; NULL: the data directory itself. */
struct disk_folder *disk_folder_of(struct disk *disk, const char *path);
/* It gets another name, under which nobody looks for anything. */
enum err disk_folder_move_away(struct disk *disk, struct disk_folder *folder, const char *name);

/* disk_power.c */
void disk_change_note(struct disk_file *file, bool resize, uint64_t offset, const void *data,
                      size_t len);
/* The oldest count changes of the file become durable. */
void disk_change_settle(struct disk_file *file, size_t count);

#endif
