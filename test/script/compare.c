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

/* ---- diff ------------------------------------------------------------------------------------ */

#define CELLS_MAX (4u << 20) /* of the table; two larger texts are shown as removed and added */
#define CONTEXT 3u

struct lines {
    const char **at;
    size_t *len;
    size_t count;
};

static struct lines split(const char *text)
{
    struct lines out = {0};
    size_t max = 1;
    for (const char *c = text; *c != 0; c++)
        max += *c == '\n';
    out.at = mem_calloc(max, sizeof *out.at);
    out.len = mem_calloc(max, sizeof *out.len);
    while (*text != 0) {
        out.at[out.count] = text;
        out.len[out.count] = strcspn(text, "\n");
        text += out.len[out.count];
        text += *text == '\n';
        out.count++;
    }
    return out;
}

static void lines_deinit(struct lines *lines)
{
    mem_free(lines->at);
    mem_free(lines->len);
}

static bool same(const struct lines *a, size_t i, const struct lines *b, size_t j)
{
    return a->len[i] == b->len[j] && memcmp(a->at[i], b->at[j], a->len[i]) == 0;
}

struct diff {
    struct lines a;
    struct lines b;
    char *sign; /* ' ', '-' or '+', in the order of the diff */
    size_t count;
};

static size_t common_prefix(const struct diff *d)
{
    size_t n = 0;
    while (n < d->a.count && n < d->b.count && same(&d->a, n, &d->b, n))
        n++;
    return n;
}

static size_t common_suffix(const struct diff *d, size_t prefix)
{
    size_t n = 0;
    while (prefix + n < d->a.count && prefix + n < d->b.count &&
           same(&d->a, d->a.count - 1 - n, &d->b, d->b.count - 1 - n))
        n++;
    return n;
}

/* Signs of a[from, a_end) and b[from, b_end): longest common subsequence by the textbook table. */
static void fill_middle(struct diff *d, size_t from, size_t a_end, size_t b_end)
{
    size_t rows = a_end - from;
    size_t width = b_end - from + 1;
    bool fits = rows + 1 <= CELLS_MAX / width;
    uint32_t *table = fits ? mem_calloc((rows + 1) * width, sizeof *table) : NULL;
    for (size_t i = rows; fits && i-- > 0;)
        for (size_t j = width - 1; j-- > 0;) {
            uint32_t down = table[(i + 1) * width + j];
            uint32_t right = table[i * width + j + 1];
            table[i * width + j] = same(&d->a, from + i, &d->b, from + j)
                                       ? table[(i + 1) * width + j + 1] + 1
                                       : (down > right ? down : right);
        }
    size_t i = 0;
    size_t j = 0;
    while (i < rows || j + 1 < width) {
        bool both = i < rows && j + 1 < width;
        if (fits && both && same(&d->a, from + i, &d->b, from + j)) {
            d->sign[d->count++] = ' ';
            i++;
            j++;
        } else if (!both ? i < rows
                         : !fits || table[(i + 1) * width + j] >= table[i * width + j + 1]) {
            d->sign[d->count++] = '-';
            i++;
        } else {
            d->sign[d->count++] = '+';
            j++;
        }
    }
    mem_free(table);
}

static void fill(struct diff *d)
{
    size_t prefix = common_prefix(d);
    size_t suffix = common_suffix(d, prefix);
    d->sign = mem_alloc(d->a.count + d->b.count + 1);
    for (size_t i = 0; i < prefix; i++)
        d->sign[d->count++] = ' ';
    fill_middle(d, prefix, d->a.count - suffix, d->b.count - suffix);
    for (size_t i = 0; i < suffix; i++)
        d->sign[d->count++] = ' ';
}

/* The end of the hunk that begins at begin: further changes join it while their context touches. */
static size_t hunk_end(const struct diff *d, size_t begin)
{
    size_t end = begin;
    for (size_t i = begin; i < d->count && i <= end + 2 * CONTEXT; i++)
        if (d->sign[i] != ' ')
            end = i + 1;
    return end + CONTEXT < d->count ? end + CONTEXT : d->count;
}

struct position {
    size_t a;
    size_t b;
};

static void put_hunk(const struct diff *d, size_t begin, size_t end, struct position *at,
                     struct buf *out)
{
    for (size_t i = begin; i < end; i++) {
        char sign = d->sign[i];
        const struct lines *from = sign == '+' ? &d->b : &d->a;
        size_t line = sign == '+' ? at->b : at->a;
        buf_add_u8(out, (uint8_t)sign);
        buf_add(out, from->at[line], from->len[line]);
        buf_add_u8(out, '\n');
        at->a += sign != '+';
        at->b += sign != '-';
    }
}

void script_diff(const char *expected, const char *actual, const char *title, struct buf *out)
{
    struct diff d = {.a = split(expected), .b = split(actual)};
    struct position at = {0, 0};
    size_t done = 0;
    fill(&d);
    for (size_t i = 0; i < d.count; i++) {
        if (d.sign[i] == ' ')
            continue;
        size_t begin = i > done + CONTEXT ? i - CONTEXT : done;
        at.a += begin - done; /* what lies between two hunks is common */
        at.b += begin - done;
        size_t end = hunk_end(&d, i);
        struct position first = at;
        struct buf body = {0};
        put_hunk(&d, begin, end, &at, &body);
        size_t a_count = at.a - first.a;
        size_t b_count = at.b - first.b;
        buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@ %s\n", first.a + (a_count > 0), a_count,
                   first.b + (b_count > 0), b_count, title);
        buf_add(out, body.data, body.len);
        buf_deinit(&body);
        done = end;
        i = end - 1;
    }
    mem_free(d.sign);
    lines_deinit(&d.a);
    lines_deinit(&d.b);
}
