/* Random commands: most make sense, some only nearly. For tests only. */
#ifndef TEST_KV_DRAW_H
#define TEST_KV_DRAW_H

#include "base/prng.h"
#include "kv/kv.h"
#include "twin.h"

struct draw {
    struct prng prng;
    const struct twin *twin; /* the state that commands are made for */
    const struct kv *kv;     /* the same, for what the twin has no number of */
    uint64_t term;
    unsigned tickets; /* so many were drawn */
};

/* kv_command_deinit gives it back. */
void draw_command(struct draw *draw, struct kv_command *command);
/* Its bytes belong to command. */
struct kv_range draw_range(struct draw *draw, struct kv_command *command);

#endif
