/*
 * A machine's disk. It keeps what programs see apart from what would survive a power cut: each file
 * has its durable bytes and the writes since its last sync, the directories have the changes of
 * names since their last sync. Syncs take time; writes may fail; damage may be done.
 */
#ifndef TEST_SIM_DISK_H
#define TEST_SIM_DISK_H

#include "base/prng.h"
#include "storage/fs.h"

enum disk_cut {
    DISK_LOSE_ALL, /* only what was synced survives */
    DISK_KEEP_ALL, /* the process died, the machine did not */
    DISK_PREFIX,   /* a prefix of the unsynced writes of each file, the last one torn */
    DISK_SCATTER,  /* any 64-byte pieces of the unsynced writes, in any order */
    DISK_CUT_COUNT,
};

struct disk_manner {
    uint64_t now_us;
    uint32_t sync_us;        /* how long a sync takes */
    uint64_t stuck_until_us; /* none ends before */
    bool sync_inline;
    bool full; /* no file grows */
    uint64_t capacity; /* bytes of all files; 0: no end */
};

struct disk;

struct disk *disk_new(bool strict_names);
void disk_free(struct disk *disk);
struct fs disk_table(struct disk *disk);
/* To be set before each turn of the process. */
struct disk_manner *disk_manner(struct disk *disk);
/* Time that calls which wait have taken since it was asked last. */
uint64_t disk_take_waited_us(struct disk *disk);
/* When the next sync that was started ends; SIM_NEVER: there is none. */
uint64_t disk_next_sync_us(const struct disk *disk);
/* Bytes read and written since it was asked last. */
struct disk_bytes {
    uint64_t log; /* and small files */
    uint64_t snapshots;
};
struct disk_bytes disk_take_bytes(struct disk *disk);

/* The power goes at the n-th change from now on (1 = the next). */
void disk_stop_at(struct disk *disk, unsigned n);
bool disk_is_stopped(const struct disk *disk);
/* The n-th change or sync from now on fails with EIO; 0: none does. */
void disk_fail_at(struct disk *disk, unsigned n);
/* A file was not to grow since it was asked last. */
bool disk_take_refused_room(struct disk *disk);
/* An operation has failed for one of the other reasons above since it was asked last. */
bool disk_take_failed(struct disk *disk);
/* Power is back, or a new process comes: everything open is forgotten. */
void disk_cut(struct disk *disk, enum disk_cut kind, struct prng *prng);
/* Turns a bit that was durable before others were written that tell so; false: there is none. */
bool disk_flip(struct disk *disk, struct prng *prng);
/* Keeps a copy of all files, in place of an older one; the process has ended. */
void disk_copy(struct disk *disk);
bool disk_has_copy(const struct disk *disk);
/* The files are what they were when the copy was made, and durable. It is gone then. */
void disk_put_copy_back(struct disk *disk);
/* Nothing was ever durable on it. */
bool disk_is_blank(const struct disk *disk);

#endif
