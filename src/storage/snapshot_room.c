/* The file that room is reserved in, who has it, and what is left of it. */
#include "storage/snapshot_room.h"

#include "base/assert.h"
#include "base/mem.h"
#include "storage/snapshot_internal.h"

struct snapshot_room {
    struct fs fs;
    struct fs_file *file; /* NULL: none */
    uint64_t bytes;
    bool lent; /* it has the name of a snapshot that is being written */
};

/* Nothing is promised of a file that does not open. */
static bool open_file(struct snapshot_room *room, enum fs_open_mode mode)
{
    const struct fs_ops *ops = room->fs.ops;
    if (ops->open(room->fs.ctx, SNAPSHOT_RESERVED, mode, &room->file) != ERR_OK) {
        room->file = NULL;
        return false;
    }
    if (ops->size(room->fs.ctx, room->file, &room->bytes) != ERR_OK)
        room->bytes = 0;
    return true;
}

struct snapshot_room *snapshot_room_new(struct fs fs)
{
    struct snapshot_room *room = mem_calloc(1, sizeof *room);
    room->fs = fs;
    (void)open_file(room, FS_OPEN_WRITE);
    return room;
}

void snapshot_room_free(struct snapshot_room *room)
{
    if (room == NULL)
        return;
    ASSERT(!room->lent);
    if (room->file != NULL)
        room->fs.ops->close(room->fs.ctx, room->file);
    mem_free(room);
}

uint64_t snapshot_room_bytes(const struct snapshot_room *room)
{
    return room->bytes;
}

static bool grow(struct snapshot_room *room, uint64_t bytes)
{
    const struct fs_ops *ops = room->fs.ops;
    if (ops->allocate(room->fs.ctx, room->file, bytes) == ERR_OK) {
        room->bytes = bytes;
        return true;
    }
    (void)ops->truncate(room->fs.ctx, room->file, room->bytes); /* a part of it may be there */
    return false;
}

bool snapshot_room_resize(struct snapshot_room *room, uint64_t bytes)
{
    if (room->file == NULL && !open_file(room, FS_OPEN_CREATE))
        return false;
    if (bytes > room->bytes)
        return grow(room, bytes);
    if (room->lent || room->fs.ops->truncate(room->fs.ctx, room->file, bytes) != ERR_OK)
        return bytes == room->bytes;
    room->bytes = bytes;
    return true;
}

/* The name is durable before anything is written: no power cut can leave two names of one file. */
struct fs_file *snapshot_room_lend(struct snapshot_room *room, const char *path)
{
    if (room == NULL || room->file == NULL || room->lent ||
        room->fs.ops->rename(room->fs.ctx, SNAPSHOT_RESERVED, path) != ERR_OK)
        return NULL;
    room->lent = true;
    if (room->fs.ops->sync_dir(room->fs.ctx, "snap") == ERR_OK)
        return room->file;
    snapshot_room_take_back(room, path);
    return NULL;
}

bool snapshot_room_is_lent(const struct snapshot_room *room, const struct fs_file *file)
{
    return room != NULL && room->lent && room->file == file;
}

void snapshot_room_take_back(struct snapshot_room *room, const char *path)
{
    ASSERT(room->lent);
    const struct fs_ops *ops = room->fs.ops;
    room->lent = false;
    if (ops->rename(room->fs.ctx, path, SNAPSHOT_RESERVED) == ERR_OK) {
        if (ops->size(room->fs.ctx, room->file, &room->bytes) != ERR_OK)
            room->bytes = 0;
        return;
    }
    ops->close(room->fs.ctx, room->file);
    (void)ops->remove(room->fs.ctx, path);
    room->file = NULL;
    room->bytes = 0;
}

enum err snapshot_room_part(struct snapshot_room *room, uint64_t used)
{
    ASSERT(room->lent);
    uint64_t rest = room->bytes > used ? room->bytes - used : 0;
    enum err err = room->fs.ops->truncate(room->fs.ctx, room->file, used);
    if (err != ERR_OK)
        return err;
    room->lent = false;
    room->file = NULL; /* the writer's */
    room->bytes = 0;
    if (rest > 0)
        (void)snapshot_room_resize(room, rest);
    return ERR_OK;
}
