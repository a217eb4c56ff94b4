/* See linear_twin.h. */
#include "linear_twin.h"

#include <string.h>

/* Every order, every choice of what never happened, every revision that nobody told. */
struct twin {
    const struct linear_op *ops;
    size_t count;
    bool used[SMALL];
    uint64_t revision; /* of the store; only larger ones come */
    uint64_t revision_max;
    uint64_t value[KEYS]; /* 0: not there */
    uint64_t mod[KEYS];
};

static bool twin_run(struct twin *twin);

static bool twin_write(struct twin *twin, const struct linear_op *op, uint64_t value)
{
    struct twin before = *twin;
    for (uint64_t r = before.revision + 1; r <= before.revision_max; r++) {
        if (op->known && op->revision != 0 && op->revision != r)
            continue;
        twin->revision = r;
        twin->value[op->key] = value;
        twin->mod[op->key] = value != 0 ? r : 0;
        bool good = twin_run(twin);
        *twin = before;
        if (good)
            return true;
    }
    return false;
}

static bool twin_do(struct twin *twin, const struct linear_op *op)
{
    uint64_t value = twin->value[op->key];
    uint64_t mod = twin->mod[op->key];
    switch (op->kind) {
    case LINEAR_READ:
        return op->known && op->value == value && (op->revision == 0 || op->revision == mod) &&
               twin_run(twin);
    case LINEAR_PUT: return twin_write(twin, op, op->value);
    case LINEAR_DELETE:
        if (op->known && op->ok != (value != 0))
            return false;
        return value != 0 ? twin_write(twin, op, 0) : twin_run(twin);
    case LINEAR_CAS:
        if (op->known && op->ok != (op->expected == mod))
            return false;
        if (op->expected == mod)
            return twin_write(twin, op, op->value);
        return (!op->known || op->revision == 0 || op->revision == mod) && twin_run(twin);
    }
    return false;
}

static bool twin_may_be_next(const struct twin *twin, size_t at)
{
    for (size_t i = 0; i < twin->count; i++)
        if (!twin->used[i] && twin->ops[i].known && twin->ops[i].returned < twin->ops[at].invoked)
            return false;
    return !twin->used[at];
}

static bool twin_run(struct twin *twin)
{
    bool done = true;
    for (size_t i = 0; i < twin->count; i++)
        done = done && (twin->used[i] || !twin->ops[i].known);
    for (size_t i = 0; i < twin->count && !done; i++) {
        if (!twin_may_be_next(twin, i))
            continue;
        twin->used[i] = true;
        done = twin_do(twin, &twin->ops[i]);
        twin->used[i] = false;
    }
    return done;
}

bool linear_twin_check(const struct linear_op *ops, size_t count)
{
    struct twin twin = {.ops = ops, .count = count};
    for (size_t i = 0; i < count; i++) {
        if (ops[i].revision > twin.revision_max)
            twin.revision_max = ops[i].revision;
        if (ops[i].expected > twin.revision_max)
            twin.revision_max = ops[i].expected;
    }
    twin.revision_max += count;
    return twin_run(&twin);
}
