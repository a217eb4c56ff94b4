/* Semantic comparison leaves the library's log lines out; differences are shown line by line. */
#include "script.h"

#include "base/mem.h"

#include <string.h>

static bool is_log_line(const char *line, size_t len)
{
    static const char *const levels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR ", "FATAL "};
    while (len > 0 && line[0] == ' ') {
        line++;
        len--;
    }
    for (size_t i = 0; i < 5; i++)
        if (len >= strlen(levels[i]) && memcmp(line, levels[i], strlen(levels[i])) == 0)
            return true;
    return false;
}

void script_semantic(const char *text, struct buf *out)
{
    size_t begin = out->len;
    while (*text != 0) {
        size_t len = strcspn(text, "\n");
        if (!is_log_line(text, len)) {
            buf_add(out, text, len);
            buf_add_u8(out, '\n');
        }
        text += len + (text[len] == '\n');
    }
    if (out->len == begin)
        buf_printf(out, "ok\n");
}

/* ---- diff ---------------------------------------------------------------------------------------- */

#define LINES_MAX 1500 /* more are cut: a first difference shows well before */

struct lines {
    const char *at[LINES_MAX];
    size_t len[LINES_MAX];
    size_t count;
};

static void split(const char *text, struct lines *out)
{
    out->count = 0;
    while (*text != 0 && out->count < LINES_MAX) {
        out->at[out->count] = text;
        out->len[out->count] = strcspn(text, "\n");
        text += out->len[out->count];
        text += *text == '\n';
        out->count++;
    }
}

static bool same(const struct lines *a, size_t i, const struct lines *b, size_t j)
{
    return a->len[i] == b->len[j] && memcmp(a->at[i], b->at[j], a->len[i]) == 0;
}

static void put(struct buf *out, char sign, const struct lines *from, size_t i)
{
    buf_add_u8(out, (uint8_t)sign);
    buf_add(out, from->at[i], from->len[i]);
    buf_add_u8(out, '\n');
}

/* Longest common subsequence by the textbook table. */
void script_diff(const char *expected, const char *actual, struct buf *out)
{
    struct lines *a = mem_alloc(sizeof *a);
    struct lines *b = mem_alloc(sizeof *b);
    split(expected, a);
    split(actual, b);
    size_t width = b->count + 1;
    uint16_t *table = mem_calloc((a->count + 1) * width, sizeof *table);
    for (size_t i = a->count; i-- > 0;)
        for (size_t j = b->count; j-- > 0;) {
            uint16_t down = table[(i + 1) * width + j];
            uint16_t right = table[i * width + j + 1];
            uint16_t diagonal = table[(i + 1) * width + j + 1];
            table[i * width + j] = same(a, i, b, j) ? (uint16_t)(diagonal + 1)
                                   : down > right   ? down
                                                    : right;
        }
    size_t i = 0;
    size_t j = 0;
    while (i < a->count || j < b->count) {
        if (i < a->count && j < b->count && same(a, i, b, j)) {
            put(out, ' ', a, i++);
            j++;
        } else if (j == b->count ||
                   (i < a->count && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            put(out, '-', a, i++);
        } else {
            put(out, '+', b, j++);
        }
    }
    mem_free(table);
    mem_free(a);
    mem_free(b);
}
