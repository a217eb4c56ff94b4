/* Line by line; nothing here knows what commands mean. */
#include "parse.h"

#include "base/mem.h"

#include <string.h>

struct reader {
    const char *text;
    size_t len;
    size_t pos;
    unsigned line;
};

struct slice {
    const char *at;
    size_t len;
};

static bool take_line(struct reader *r, struct slice *out)
{
    if (r->pos >= r->len)
        return false;
    const char *begin = r->text + r->pos;
    const char *nl = memchr(begin, '\n', r->len - r->pos);
    size_t len = nl != NULL ? (size_t)(nl - begin) : r->len - r->pos;
    r->pos += nl != NULL ? len + 1 : len;
    r->line++;
    if (len > 0 && begin[len - 1] == '\r')
        len--;
    *out = (struct slice){begin, len};
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_space(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static bool equals(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static char *dup(struct slice s)
{
    char *text = mem_alloc(s.len + 1);
    memcpy(text, s.at, s.len);
    text[s.len] = 0;
    return text;
}

static void add_line(struct buf *out, struct slice s)
{
    buf_add(out, s.at, s.len);
    buf_add_u8(out, '\n');
}

static char *take_text(struct buf *buf)
{
    char *text = mem_strdup(buf_str(buf));
    buf_deinit(buf);
    return text;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void push_value(struct script_arg *arg, struct slice value)
{
    arg->values = mem_realloc(arg->values, (arg->value_count + 1) * sizeof *arg->values);
    arg->values[arg->value_count++] = dup(value);
}

/* A list behind "key=(": cut at commas outside of inner parentheses. Bytes used; 0: no end. */
static size_t take_list(struct script_arg *arg, struct slice s)
{
    unsigned depth = 0;
    size_t begin = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (c == '(') {
            depth++;
        } else if ((c == ',' || c == ')') && depth == 0) {
            while (begin < i && s.at[begin] == ' ')
                begin++;
            push_value(arg, (struct slice){s.at + begin, i - begin});
            begin = i + 1;
            if (c == ')')
                return i + 1;
        } else if (c == ')') {
            depth--;
        }
    }
    return 0;
}

static const char *take_args(struct script_directive *d, struct slice s)
{
    while ((s = trim(s)).len > 0) {
        size_t key = 0;
        while (key < s.len && s.at[key] != ' ' && s.at[key] != '=')
            key++;
        d->args = mem_realloc(d->args, (d->arg_count + 1) * sizeof *d->args);
        struct script_arg *arg = &d->args[d->arg_count++];
        *arg = (struct script_arg){.key = dup((struct slice){s.at, key})};
        struct slice whole = s;
        bool has_value = key < s.len && s.at[key] == '=';
        s.at += key + has_value;
        s.len -= key + has_value;
        if (!has_value) {
            arg->raw = mem_strdup(arg->key);
            continue;
        }
        size_t used = 0;
        if (s.len > 0 && s.at[0] == '(') {
            used = take_list(arg, (struct slice){s.at + 1, s.len - 1});
            if (used == 0)
                return "a list without its closing parenthesis";
            used++;
        } else {
            while (used < s.len && s.at[used] != ' ')
                used++;
            push_value(arg, (struct slice){s.at, used});
        }
        s.at += used;
        s.len -= used;
        arg->raw = dup((struct slice){whole.at, whole.len - s.len});
    }
    return NULL;
}

/* ---- directives ------------------------------------------------------------------------------ */

/* The plain form: up to a blank line, which is not part of it. */
static void take_plain(struct reader *r, struct script_directive *d, struct buf *out)
{
    struct slice s;
    d->end = r->pos;
    while (take_line(r, &s) && trim(s).len > 0) {
        add_line(out, s);
        d->end = r->pos;
    }
}

/* The double form, behind its second ----: up to two successive ---- and a blank line. */
static const char *take_doubled(struct reader *r, struct script_directive *d, struct buf *out)
{
    struct slice s;
    while (take_line(r, &s)) {
        struct reader second = *r;
        struct slice next;
        if (equals(s, "----") && take_line(&second, &next) && equals(next, "----")) {
            *r = second;
            d->end = r->pos;
            if (take_line(r, &s) && trim(s).len > 0)
                return "a blank line must follow the double ----";
            return NULL;
        }
        add_line(out, s);
    }
    return "an output in double ---- without its end";
}

static const char *take_expected(struct reader *r, struct script_directive *d)
{
    struct buf out = {0};
    struct reader ahead = *r;
    struct slice s;
    const char *why = NULL;
    if (take_line(&ahead, &s) && equals(s, "----")) {
        *r = ahead;
        why = take_doubled(r, d, &out);
    } else {
        take_plain(r, d, &out);
    }
    d->expected = take_text(&out);
    return why;
}

/* Everything behind the directive line: input, and the expected output if there is a ----. */
static const char *take_body(struct reader *r, struct script_directive *d)
{
    struct buf input = {0};
    struct slice s;
    while (!d->has_output && take_line(r, &s)) {
        d->has_output = equals(s, "----");
        if (!d->has_output)
            add_line(&input, s);
    }
    const char *text = input.data != NULL ? (const char *)input.data : "";
    d->input = dup(trim((struct slice){text, input.len}));
    d->raw_input = take_text(&input);
    d->end = r->pos;
    if (d->has_output)
        return take_expected(r, d);
    d->expected = mem_strdup("");
    return NULL;
}

static const char *take_directive(struct reader *r, struct slice line, struct script_directive *d)
{
    struct buf joined = {0};
    struct buf head = {0};
    add_line(&head, line);
    line = trim(line);
    while (line.len > 0 && line.at[line.len - 1] == '\\') {
        buf_add(&joined, line.at, line.len - 1);
        buf_add_u8(&joined, ' ');
        if (!take_line(r, &line))
            line = (struct slice){"", 0};
        else
            add_line(&head, line);
        line = trim(line);
    }
    buf_add(&joined, line.at, line.len);
    d->head = take_text(&head);
    struct slice all = {(const char *)joined.data, joined.len};
    size_t word = 0;
    while (word < all.len && all.at[word] != ' ')
        word++;
    d->command = dup((struct slice){all.at, word});
    const char *why = take_args(d, (struct slice){all.at + word, all.len - word});
    buf_deinit(&joined);
    d->end = r->pos;
    d->is_subtest = strcmp(d->command, "subtest") == 0;
    if (why == NULL && !d->is_subtest)
        why = take_body(r, d);
    return why;
}

const char *script_parse(const char *text, size_t len, struct script *out, unsigned *line)
{
    *out = (struct script){.text = mem_dup(text, len), .len = len};
    struct reader r = {.text = out->text, .len = len};
    size_t cap = 0;
    struct slice s;
    for (;;) {
        size_t begin = r.pos;
        if (!take_line(&r, &s))
            return NULL;
        struct slice word = trim(s);
        if (word.len == 0 || word.at[0] == '#')
            continue;
        out->directives = mem_grow(out->directives, out->count, &cap, sizeof *out->directives);
        struct script_directive *d = &out->directives[out->count++];
        *d = (struct script_directive){.line = r.line, .begin = begin};
        *line = r.line;
        const char *why = take_directive(&r, s, d);
        if (why != NULL)
            return why;
    }
}

void script_free(struct script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        struct script_directive *d = &script->directives[i];
        for (size_t j = 0; j < d->arg_count; j++) {
            for (size_t k = 0; k < d->args[j].value_count; k++)
                mem_free(d->args[j].values[k]);
            mem_free(d->args[j].values);
            mem_free(d->args[j].key);
            mem_free(d->args[j].raw);
        }
        mem_free(d->args);
        mem_free(d->head);
        mem_free(d->command);
        mem_free(d->input);
        mem_free(d->raw_input);
        mem_free(d->expected);
    }
    mem_free(script->directives);
    mem_free(script->text);
    *script = (struct script){0};
}

const struct script_arg *script_find(const struct script_directive *d, const char *key)
{
    for (size_t i = 0; i < d->arg_count; i++)
        if (strcmp(d->args[i].key, key) == 0)
            return &d->args[i];
    return NULL;
}

bool script_parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}
