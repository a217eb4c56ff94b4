/*
 * A disk in memory for tests of the storage floor. It keeps what programs see apart from what would
 * survive a power cut, can stop working at the n-th operation, and can be cut off with several
 * ideas of what reached the platter. Names are as strict as POSIX: a file's name survives once its
 * folder was synced, and a folder with all that is in it once the folder that holds it was.
 */
#ifndef TEST_MEM_FS_H
#define TEST_MEM_FS_H

#include "base/prng.h"
#include "storage/fs.h"

enum mem_fs_crash {
    MEM_FS_LOSE_ALL, /* only what was synced survives */
    MEM_FS_KEEP_ALL, /* the process died, the machine did not: nothing is lost yet */
    MEM_FS_PREFIX,   /* a prefix of the unsynced operations of each file, the last one torn; a
                      * prefix of the unsynced changes of names, as with a journal */
    MEM_FS_SCATTER,  /* any 64-byte pieces of the unsynced writes, in any order; any of the names */
    MEM_FS_CRASH_COUNT,
};

struct mem_fs;

struct mem_fs *mem_fs_new(void);
void mem_fs_free(struct mem_fs *fs);
struct fs mem_fs_table(struct mem_fs *fs);
/* Operations that change something, so far. */
unsigned mem_fs_operations(const struct mem_fs *fs);
/* From the n-th operation from now on (1 = the next) everything fails. 0: never. */
void mem_fs_stop_at(struct mem_fs *fs, unsigned n);
/* Only the n-th operation from now on fails. */
void mem_fs_fail_at(struct mem_fs *fs, unsigned n);
/* Room for this many bytes over all files; 0: no end. What would not fit is an error, and a write
 * does as much as fits, as disks do. Lowering it takes nothing away. */
void mem_fs_set_capacity(struct mem_fs *fs, uint64_t bytes);
uint64_t mem_fs_used(const struct mem_fs *fs);
/* Power is back: everything open is forgotten. */
void mem_fs_crash(struct mem_fs *fs, enum mem_fs_crash kind, struct prng *prng);
/* The content that programs see, to read and to damage; NULL: no such file. */
uint8_t *mem_fs_content(struct mem_fs *fs, const char *path, size_t *size);
/* Makes a file, durable at once. */
void mem_fs_put(struct mem_fs *fs, const char *path, const void *data, size_t size);
unsigned mem_fs_open_files(const struct mem_fs *fs);
/* What was done since the disk was made. */
struct mem_fs_counts {
    unsigned writes;
    unsigned sync_starts;
    unsigned most_in_flight; /* syncs that were started and not yet finished, at most */
};
struct mem_fs_counts mem_fs_counts(const struct mem_fs *fs);
unsigned mem_fs_count(const struct mem_fs *fs, const char *suffix); /* files with such a name */
/* Syncs started finish only when asked to (default: at once). */
void mem_fs_hold_syncs(struct mem_fs *fs, bool hold);

#endif
