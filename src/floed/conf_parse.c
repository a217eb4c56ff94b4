/* One pass, no recursion: arrays hold scalars only. */
#include "floed/conf_parse.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64
#define ITEMS_MAX 1024

struct parser {
    const struct conf_source *source;
    struct buf *why;
    size_t pos;
    unsigned line;
    char table[NAME_MAX_BYTES + 1];
};

static enum err refuse(struct parser *p, const char *text)
{
    if (p->why->len == 0)
        buf_printf(p->why, "%s:%u: %s", p->source->name, p->line, text);
    return ERR_INVALID;
}

static int peek(const struct parser *p)
{
    return p->pos < p->source->len ? (unsigned char)p->source->text[p->pos] : -1;
}

static bool looking_at(const struct parser *p, const char *text)
{
    size_t len = strlen(text);
    return p->source->len - p->pos >= len && memcmp(p->source->text + p->pos, text, len) == 0;
}

static void skip_blanks(struct parser *p)
{
    while (peek(p) == ' ' || peek(p) == '\t')
        p->pos++;
}

static void skip_comment(struct parser *p)
{
    if (peek(p) == '#')
        while (peek(p) != '\n' && peek(p) != -1)
            p->pos++;
}

/* To the start of the next line; nothing but blanks and a comment may stand in between. */
static enum err end_line(struct parser *p)
{
    skip_blanks(p);
    skip_comment(p);
    if (peek(p) == '\r' && looking_at(p, "\r\n"))
        p->pos++;
    if (peek(p) == -1)
        return ERR_OK;
    if (peek(p) != '\n')
        return refuse(p, "something stands behind the end of this");
    p->pos++;
    p->line++;
    return ERR_OK;
}

/* Blanks, comments and line ends, as arrays may hold. */
static void skip_space(struct parser *p)
{
    for (;;) {
        skip_blanks(p);
        skip_comment(p);
        if (looking_at(p, "\r\n"))
            p->pos++;
        if (peek(p) != '\n')
            return;
        p->pos++;
        p->line++;
    }
}

static bool is_bare(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static enum err take_name(struct parser *p, char *out)
{
    size_t len = 0;
    if (peek(p) == '"' || peek(p) == '\'')
        return refuse(p, "quoted keys are not supported");
    while (is_bare(peek(p)) && len < NAME_MAX_BYTES)
        out[len++] = p->source->text[p->pos++];
    out[len] = 0;
    if (len == 0)
        return refuse(p, "a key or [table] must stand here");
    if (is_bare(peek(p)))
        return refuse(p, "this name is too long");
    skip_blanks(p);
    if (peek(p) == '.')
        return refuse(p, "dotted keys are not supported");
    return ERR_OK;
}

/* ---- strings --------------------------------------------------------------------------------- */

static void add_utf8(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_add_u8(out, (uint8_t)code);
    } else if (code < 0x800) {
        buf_add_u8(out, (uint8_t)(0xc0 | (code >> 6)));
        buf_add_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buf_add_u8(out, (uint8_t)(0xe0 | (code >> 12)));
        buf_add_u8(out, (uint8_t)(0x80 | ((code >> 6) & 0x3f)));
        buf_add_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        buf_add_u8(out, (uint8_t)(0xf0 | (code >> 18)));
        buf_add_u8(out, (uint8_t)(0x80 | ((code >> 12) & 0x3f)));
        buf_add_u8(out, (uint8_t)(0x80 | ((code >> 6) & 0x3f)));
        buf_add_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum err take_unicode(struct parser *p, int digits, struct buf *out)
{
    uint32_t code = 0;
    for (int i = 0; i < digits; i++) {
        int digit = hex_digit(peek(p));
        if (digit < 0)
            return refuse(p, "a \\u escape needs 4 hexadecimal digits, \\U needs 8");
        code = code << 4 | (uint32_t)digit;
        p->pos++;
    }
    if (code == 0)
        return refuse(p, "a NUL character is not allowed");
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return refuse(p, "this escape names no character");
    add_utf8(out, code);
    return ERR_OK;
}

static enum err take_escape(struct parser *p, struct buf *out)
{
    static const char names[] = "btnfr\"\\";
    static const char values[] = "\b\t\n\f\r\"\\";
    int c = peek(p);
    p->pos++;
    if (c == 'u' || c == 'U')
        return take_unicode(p, c == 'u' ? 4 : 8, out);
    const char *at = c > 0 ? strchr(names, c) : NULL;
    if (at == NULL)
        return refuse(p, "unknown escape in a string");
    buf_add_u8(out, (uint8_t)values[at - names]);
    return ERR_OK;
}

static enum err take_string(struct parser *p, struct conf_value *out)
{
    int quote = peek(p);
    if (looking_at(p, "\"\"\"") || looking_at(p, "'''"))
        return refuse(p, "multi-line strings are not supported");
    struct buf text = {0};
    enum err err = ERR_OK;
    p->pos++;
    while (err == ERR_OK && peek(p) != quote) {
        int c = peek(p);
        if (c == -1 || c == '\n' || c == '\r') {
            err = refuse(p, "the string does not end on its line");
            break;
        }
        p->pos++;
        if (c == '\\' && quote == '"')
            err = take_escape(p, &text);
        else
            buf_add_u8(&text, (uint8_t)c);
    }
    if (err == ERR_OK) {
        p->pos++;
        out->type = CONF_STRING;
        out->string = mem_strdup(buf_str(&text));
    }
    buf_deinit(&text);
    return err;
}

/* ---- other values ---------------------------------------------------------------------------- */

static enum err take_integer(struct parser *p, struct conf_value *out)
{
    bool negative = peek(p) == '-';
    if (peek(p) == '-' || peek(p) == '+')
        p->pos++;
    size_t begin = p->pos;
    int64_t value = 0;
    bool digit_before = false;
    for (;; p->pos++) {
        int c = peek(p);
        if (c == '_' && digit_before) {
            digit_before = false;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        if (p->pos > begin && p->source->text[begin] == '0')
            return refuse(p, "an integer must not begin with 0");
        if (value > (INT64_MAX - (c - '0')) / 10)
            return refuse(p, "this integer is too large, the last one is 9223372036854775807 (a "
                             "larger id goes in quotes)");
        value = value * 10 + (c - '0');
        digit_before = true;
    }
    if (!digit_before)
        return refuse(p, "a value must stand here: string, integer, true, false or array");
    if (peek(p) == '.' || peek(p) == 'e' || peek(p) == 'E')
        return refuse(p, "floating-point numbers are not supported");
    if (is_bare(peek(p)) || peek(p) == ':')
        return refuse(p, "only decimal integers are supported, no dates, no other bases");
    out->type = CONF_INTEGER;
    out->integer = negative ? -value : value;
    return ERR_OK;
}

static enum err take_scalar(struct parser *p, struct conf_value *out)
{
    out->line = p->line;
    if (peek(p) == '"' || peek(p) == '\'')
        return take_string(p, out);
    for (int truth = 0; truth < 2; truth++) {
        const char *word = truth ? "true" : "false";
        size_t len = strlen(word);
        if (!looking_at(p, word) ||
            (p->pos + len < p->source->len && is_bare(p->source->text[p->pos + len])))
            continue;
        p->pos += len;
        out->type = CONF_BOOLEAN;
        out->boolean = truth == 1;
        return ERR_OK;
    }
    if (peek(p) == '{')
        return refuse(p, "inline tables are not supported");
    return take_integer(p, out);
}

static void free_text(const char *text)
{
    char *owned;
    memcpy(&owned, &text, sizeof owned); /* ours: made by take_string */
    mem_free(owned);
}

struct items {
    struct conf_value *list;
    size_t count;
    size_t cap;
};

static enum err take_items(struct parser *p, struct items *items)
{
    p->pos++;
    for (;;) {
        skip_space(p);
        if (peek(p) == ']')
            break;
        if (peek(p) == '[')
            return refuse(p, "arrays in arrays are not supported");
        if (items->count == ITEMS_MAX)
            return refuse(p, "this array is too long");
        items->list = mem_grow(items->list, items->count, &items->cap, sizeof *items->list);
        struct conf_value *item = &items->list[items->count];
        *item = (struct conf_value){.type = CONF_BOOLEAN};
        enum err err = take_scalar(p, item);
        if (err != ERR_OK)
            return err;
        items->count++;
        skip_space(p);
        if (peek(p) == ',')
            p->pos++;
        else if (peek(p) != ']')
            return refuse(p, "a comma or ] must stand here");
    }
    p->pos++;
    return ERR_OK;
}

static enum err take_key(struct parser *p)
{
    char key[NAME_MAX_BYTES + 1];
    enum err err = take_name(p, key);
    if (err != ERR_OK)
        return err;
    if (peek(p) != '=')
        return refuse(p, "= must follow the key");
    p->pos++;
    skip_blanks(p);
    struct conf_value value = {.line = p->line};
    struct items items = {0};
    bool array = peek(p) == '[';
    err = array ? take_items(p, &items) : take_scalar(p, &value);
    if (array) {
        value.type = CONF_ARRAY;
        value.items = items.list;
        value.item_count = items.count;
    }
    unsigned line = p->line;
    if (err == ERR_OK)
        err = end_line(p);
    if (err == ERR_OK)
        err = p->source->on_key(p->source->arg, p->table, key, &value);
    if (err != ERR_OK && p->why->len == 0) {
        p->line = line;
        (void)refuse(p, "not understood");
    }
    for (size_t i = 0; i < items.count; i++)
        free_text(items.list[i].string);
    mem_free(items.list);
    free_text(value.string);
    return err;
}

static enum err take_table(struct parser *p)
{
    unsigned line = p->line;
    p->pos++;
    if (peek(p) == '[')
        return refuse(p, "arrays of tables are not supported");
    skip_blanks(p);
    enum err err = take_name(p, p->table);
    if (err != ERR_OK)
        return err;
    if (peek(p) != ']')
        return refuse(p, "the closing ] is missing");
    p->pos++;
    err = end_line(p);
    return err == ERR_OK ? p->source->on_table(p->source->arg, p->table, line) : err;
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at at; 0: there is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    size_t len = at[0] < 0x80                    ? 1
                 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                 : (at[0] & 0xf0) == 0xe0        ? 3
                 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                 : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] > 0x9f;
    bool beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

static enum err check_characters(struct parser *p)
{
    const unsigned char *text = (const unsigned char *)p->source->text;
    unsigned line = 1;
    for (size_t i = 0; i < p->source->len;) {
        size_t len = utf8_length(text + i, p->source->len - i);
        bool control = (text[i] < 0x20 && text[i] != '\t' && text[i] != '\n' && text[i] != '\r') ||
                       text[i] == 0x7f;
        if (len == 0 || control) {
            p->line = line;
            return refuse(p, control ? "control characters are not allowed" : "this is not UTF-8");
        }
        line += text[i] == '\n';
        i += len;
    }
    return ERR_OK;
}

enum err conf_parse(const struct conf_source *source, struct buf *why)
{
    struct parser parser = {.source = source, .why = why, .line = 1};
    enum err err = check_characters(&parser);
    while (err == ERR_OK) {
        skip_space(&parser);
        if (peek(&parser) == -1)
            break;
        err = peek(&parser) == '[' ? take_table(&parser) : take_key(&parser);
    }
    return err;
}
