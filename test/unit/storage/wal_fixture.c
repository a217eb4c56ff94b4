/* Not more than a disk in memory and the calls that nearly every test makes. */
#include "wal_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static const struct wal_meta meta = {.id = 3, .cluster = "blue"};

enum err fixture_try_open(struct fixture *f)
{
    struct wal_options options = {.fs = mem_fs_table(f->disk),
                                  .first_segment_bytes = f->segment_bytes,
                                  .segment_bytes = f->segment_bytes,
                                  .max_record_bytes = f->max_record_bytes};
    buf_clear(&f->why);
    return wal_open(&options, &f->wal, &f->found, &f->why);
}

void fixture_close(struct fixture *f)
{
    if (f->wal != NULL)
        wal_close(f->wal);
    f->wal = NULL;
    wal_recovered_deinit(&f->found);
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    enum err err = fixture_try_open(f);
    if (err != ERR_OK)
        fail_msg("%s: %s", err_str(err), buf_str(&f->why));
}

static int setup_with(void **state, uint64_t segment_bytes)
{
    static struct fixture fixture;
    fixture = (struct fixture){.disk = mem_fs_new(), .segment_bytes = segment_bytes};
    assert_int_equal(fixture_try_open(&fixture), ERR_OK);
    assert_true(fixture.found.fresh);
    assert_int_equal(wal_create(fixture.wal, &meta), ERR_OK);
    *state = &fixture;
    return 0;
}

int fixture_setup(void **state)
{
    return setup_with(state, 4096);
}

int fixture_setup_small(void **state)
{
    return setup_with(state, 600);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    buf_deinit(&f->why);
    mem_fs_free(f->disk);
    return 0;
}

enum err fixture_append_sized(struct fixture *f, floe_index index, floe_term term, size_t size)
{
    struct floe_entry entry = {.index = index, .term = term, .data = floe_blob_alloc(size)};
    if (size > 0)
        memset(floe_blob_bytes(entry.data), (int)('A' + index % 26), size);
    struct floe_hard_state hs = {term, 3, index - 1};
    enum err err = wal_append(f->wal, &hs, &entry, 1);
    floe_entry_deinit(&entry);
    return err;
}

void fixture_append(struct fixture *f, floe_index index, floe_term term)
{
    assert_int_equal(fixture_append_sized(f, index, term, 20), ERR_OK);
}

enum err fixture_poll(struct fixture *f)
{
    struct fs fs = mem_fs_table(f->disk);
    uint64_t token;
    enum err outcome;
    enum err err = ERR_OK;
    while (err == ERR_OK && fs.ops->sync_poll(fs.ctx, &token, &outcome))
        err = wal_sync_finished(f->wal, token, outcome);
    return err;
}

void fixture_sync(struct fixture *f)
{
    assert_int_equal(wal_sync_start(f->wal), ERR_OK);
    assert_int_equal(fixture_poll(f), ERR_OK);
    assert_int_equal(wal_durable(f->wal), wal_appended(f->wal));
}

void fixture_fill(struct fixture *f, floe_index count)
{
    for (floe_index i = 1; i <= count; i++) {
        fixture_append(f, i, 1);
        fixture_sync(f);
    }
}
