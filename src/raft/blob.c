/* Shared bytes: one allocation, count in front. */
#include "base/assert.h"
#include "base/mem.h"

#include <floe/types.h>

#include <string.h>

struct floe_blob {
    size_t refs;
    size_t size;
    uint8_t bytes[];
};

struct floe_blob *floe_blob_alloc(size_t size)
{
    ASSERT(size <= SIZE_MAX - sizeof(struct floe_blob));
    struct floe_blob *blob = mem_alloc(sizeof *blob + size);
    blob->refs = 1;
    blob->size = size;
    return blob;
}

struct floe_blob *floe_blob_new(const void *data, size_t size)
{
    struct floe_blob *blob = floe_blob_alloc(size);
    if (size > 0)
        memcpy(blob->bytes, data, size);
    return blob;
}

struct floe_blob *floe_blob_ref(struct floe_blob *blob)
{
    if (blob != NULL)
        blob->refs++;
    return blob;
}

void floe_blob_unref(struct floe_blob *blob)
{
    if (blob == NULL)
        return;
    ASSERT(blob->refs > 0);
    if (--blob->refs == 0)
        mem_free(blob);
}

const uint8_t *floe_blob_data(const struct floe_blob *blob)
{
    return blob != NULL ? blob->bytes : (const uint8_t *)"";
}

size_t floe_blob_size(const struct floe_blob *blob)
{
    return blob != NULL ? blob->size : 0;
}

uint8_t *floe_blob_bytes(struct floe_blob *blob)
{
    return blob->bytes;
}
