/* What the targets share: how they take numbers and pieces out of the bytes that drive them. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The target of each program; libFuzzer or replay.c calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const uint8_t *data;
    size_t len;
    size_t pos;
};

static inline bool fuzz_more(const struct fuzz_input *in)
{
    return in->pos < in->len;
}

static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
    return fuzz_more(in) ? in->data[in->pos++] : 0;
}

/* Small ones mostly: a byte is itself, 0xfe comes before two bytes, 0xff before eight. */
static inline uint64_t fuzz_number(struct fuzz_input *in)
{
    uint8_t first = fuzz_byte(in);
    uint64_t value = 0;
    for (int i = first < 0xfe ? 0 : first == 0xfe ? 2 : 8; i > 0; i--)
        value = value << 8 | fuzz_byte(in);
    return first < 0xfe ? first : value;
}

/* The next bytes, as many as a number in front says and as there are. */
static inline const uint8_t *fuzz_piece(struct fuzz_input *in, size_t *len)
{
    uint64_t want = fuzz_number(in);
    const uint8_t *at = in->data + in->pos;
    *len = want < in->len - in->pos ? (size_t)want : in->len - in->pos;
    in->pos += *len;
    return at;
}

#endif
