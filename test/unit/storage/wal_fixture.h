/* A log that was just created, on a disk in memory: each test of it begins so. */
#ifndef TEST_WAL_FIXTURE_H
#define TEST_WAL_FIXTURE_H

#include "base/buf.h"
#include "mem_fs.h"
#include "storage/wal.h"

#define FIRST "wal/0000000000000001.wal"
#define SECOND "wal/0000000000000002.wal"

struct fixture {
    struct mem_fs *disk;
    struct wal *wal; /* NULL: closed */
    struct wal_recovered found;
    struct buf why; /* the last open was refused */
    uint64_t segment_bytes;
    uint64_t max_record_bytes;
};

/* A test with segments of 4096 bytes, and one with so small ones (600) that two or three entries
 * fill one. */
#define LARGE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define SMALL(test) cmocka_unit_test_setup_teardown(test, fixture_setup_small, fixture_teardown)

int fixture_setup(void **state);
int fixture_setup_small(void **state);
int fixture_teardown(void **state);
/* Opens the log, which must be closed; f->why says why not. */
enum err fixture_try_open(struct fixture *f);
void fixture_close(struct fixture *f); /* may be closed already */
void fixture_reopen(struct fixture *f);
/* One entry with size bytes of a letter that tells its index, and a hard state that commits what is
 * before it. */
enum err fixture_append_sized(struct fixture *f, floe_index index, floe_term term, size_t size);
void fixture_append(struct fixture *f, floe_index index, floe_term term); /* 20 bytes */
/* Entries 1 to count, each durable before the next. */
void fixture_fill(struct fixture *f, floe_index count);
/* Tells the log of all syncs that are done. */
enum err fixture_poll(struct fixture *f);
/* All that was appended becomes durable. */
void fixture_sync(struct fixture *f);

#endif
