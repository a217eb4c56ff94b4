/*
 * The comparisons: what revisions and values say about the whole store. They sharpen what is known
 * of each operation (struct linear_fact) and end with a violation that two or three operations
 * prove, or hand each key to linear_search.c.
 */
#include "linear_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- words ----------------------------------------------------------------------------------- */

static const char *kind_name(enum linear_kind kind)
{
    switch (kind) {
    case LINEAR_READ: return "READ";
    case LINEAR_PUT: return "PUT";
    case LINEAR_DELETE: return "DELETE";
    case LINEAR_CAS: return "CAS";
    }
    UNREACHABLE("not a kind");
}

static void describe_outcome(struct buf *out, const struct linear_op *op)
{
    if (!op->known)
        buf_printf(out, " (outcome unknown)");
    else if (op->kind == LINEAR_READ && op->value == 0)
        buf_printf(out, " saw nothing");
    else if (op->kind == LINEAR_READ)
        buf_printf(out, " saw value %" PRIu64, op->value);
    else if (!op->ok)
        buf_printf(out, op->kind == LINEAR_CAS ? " refused" : " found nothing");
    else
        buf_printf(out, " done");
    if (op->known && op->revision != 0)
        buf_printf(out, " revision %" PRIu64, op->revision);
}

void linear_describe(struct buf *out, const struct linear_op *op)
{
    buf_printf(out, "client %" PRIu64 " %s key %" PRIu64, op->client, kind_name(op->kind), op->key);
    if (op->kind == LINEAR_PUT || op->kind == LINEAR_CAS)
        buf_printf(out, " value %" PRIu64, op->value);
    if (op->kind == LINEAR_CAS && op->expected != 0)
        buf_printf(out, " if revision %" PRIu64, op->expected);
    else if (op->kind == LINEAR_CAS)
        buf_printf(out, " if absent");
    if (op->known && op->returned != UINT64_MAX)
        buf_printf(out, " at [%" PRIu64 ", %" PRIu64 "]", op->invoked, op->returned);
    else
        buf_printf(out, " at [%" PRIu64 ", ...", op->invoked);
    describe_outcome(out, op);
}

/* "why: a; b" */
static enum linear_verdict violation(struct linear_check *check, const char *text,
                                     const struct linear_op *a, const struct linear_op *b)
{
    buf_printf(check->why, "%s: ", text);
    linear_describe(check->why, a);
    if (b != NULL) {
        buf_printf(check->why, "; ");
        linear_describe(check->why, b);
    }
    return LINEAR_VIOLATION;
}

/* ---- tables ---------------------------------------------------------------------------------- */

bool linear_writes_value(const struct linear_op *op)
{
    return op->kind == LINEAR_PUT || op->kind == LINEAR_CAS;
}

static int compare_refs(const void *left, const void *right)
{
    const struct linear_ref *a = left;
    const struct linear_ref *b = right;
    if (a->major != b->major)
        return a->major < b->major ? -1 : 1;
    if (a->minor != b->minor)
        return a->minor < b->minor ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

void linear_table_sort(struct linear_table *table)
{
    if (table->count > 0)
        qsort(table->refs, table->count, sizeof *table->refs, compare_refs);
}

void linear_table_add(struct linear_table *table, uint64_t major, uint64_t minor, size_t at)
{
    table->refs = mem_grow(table->refs, table->count, &table->cap, sizeof *table->refs);
    table->refs[table->count++] = (struct linear_ref){major, minor, at};
}

size_t linear_table_lower(const struct linear_table *table, uint64_t major, uint64_t minor)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct linear_ref *ref = &table->refs[middle];
        if (ref->major < major || (ref->major == major && ref->minor < minor))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct linear_ref *table_find(const struct linear_table *table, uint64_t major,
                                           uint64_t minor)
{
    size_t at = linear_table_lower(table, major, minor);
    if (at == table->count || table->refs[at].major != major || table->refs[at].minor != minor)
        return NULL;
    return &table->refs[at];
}

static void index_values(const struct linear_op *ops, size_t count, struct linear_table *out)
{
    for (size_t i = 0; i < count; i++)
        if (linear_writes_value(&ops[i]))
            linear_table_add(out, ops[i].key, ops[i].value, i);
    linear_table_sort(out);
}

size_t linear_invalid(const struct linear_op *ops, size_t count, struct buf *why)
{
    struct linear_table values = {0};
    size_t invalid = 0;
    const struct linear_op *first = NULL;
    for (size_t i = 0; i < count; i++) {
        bool zero = linear_writes_value(&ops[i]) && ops[i].value == 0;
        bool backward = ops[i].known && ops[i].returned < ops[i].invoked;
        if (!zero && !backward)
            continue;
        first = first != NULL ? first : &ops[i];
        invalid++;
    }
    index_values(ops, count, &values);
    for (size_t i = 1; i < values.count; i++) {
        const struct linear_ref *ref = &values.refs[i];
        if (ref->major != ref[-1].major || ref->minor != ref[-1].minor)
            continue;
        first = first != NULL ? first : &ops[ref->at];
        invalid++;
    }
    mem_free(values.refs);
    if (first != NULL) {
        buf_printf(why, "writes 0, or what is written twice, or ends before it begins: ");
        linear_describe(why, first);
    }
    return invalid;
}

/* ---- what each operation says ---------------------------------------------------------------- */

static void facts_init(struct linear_check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        const struct linear_op *op = &check->ops[i];
        bool took_effect = op->known && op->kind != LINEAR_READ && op->ok;
        check->facts[i] = (struct linear_fact){
            .from = op->invoked,
            .to = op->known ? op->returned : UINT64_MAX,
            .revision = took_effect ? op->revision : 0,
            .must = op->known,
        };
    }
}

static void limit_end(struct linear_fact *fact, uint64_t time)
{
    if (time < fact->to)
        fact->to = time;
}

/* A read shows that a write has happened, and its revision. */
static enum linear_verdict match_read(struct linear_check *check, const struct linear_op *read)
{
    const struct linear_ref *ref = table_find(&check->by_value, read->key, read->value);
    if (ref == NULL)
        return violation(check, "a value that nobody wrote", read, NULL);
    const struct linear_op *write = &check->ops[ref->at];
    struct linear_fact *fact = &check->facts[ref->at];
    if (write->known && !write->ok)
        return violation(check, "the value of a write that was refused", read, write);
    if (write->invoked > read->returned)
        return violation(check, "a value from the future", read, write);
    fact->must = true;
    fact->seen = true;
    limit_end(fact, read->returned);
    if (read->revision != 0 && fact->revision != 0 && read->revision != fact->revision) {
        buf_printf(check->why, "revision %" PRIu64 " is known of this value; ", fact->revision);
        return violation(check, "another revision than its write has", read, write);
    }
    if (read->revision != 0)
        fact->revision = read->revision;
    return LINEAR_OK;
}

static enum linear_verdict match_reads(struct linear_check *check)
{
    enum linear_verdict verdict = LINEAR_OK;
    for (size_t i = 0; i < check->count && verdict == LINEAR_OK; i++) {
        const struct linear_op *op = &check->ops[i];
        if (op->kind == LINEAR_READ && op->known && op->value != 0)
            verdict = match_read(check, op);
    }
    return verdict;
}

static enum linear_verdict index_revisions(struct linear_check *check)
{
    for (size_t i = 0; i < check->count; i++)
        if (check->facts[i].revision != 0)
            linear_table_add(&check->by_revision, check->facts[i].revision, 0, i);
    linear_table_sort(&check->by_revision);
    for (size_t i = 1; i < check->by_revision.count; i++) {
        const struct linear_ref *ref = &check->by_revision.refs[i];
        if (ref->major != ref[-1].major)
            continue;
        buf_printf(check->why, "revision %" PRIu64 " of ", ref->major);
        return violation(check, "two writes", &check->ops[ref[-1].at], &check->ops[ref->at]);
    }
    return LINEAR_OK;
}

/* Whoever expects or was told a revision has seen the write that has it, before `by`. */
static enum linear_verdict match_mention(struct linear_check *check, const struct linear_op *op,
                                         uint64_t revision, uint64_t by)
{
    const struct linear_ref *ref = table_find(&check->by_revision, revision, 0);
    if (revision == 0 || ref == NULL)
        return LINEAR_OK;
    const struct linear_op *write = &check->ops[ref->at];
    if (write->key != op->key || write->kind == LINEAR_DELETE)
        return violation(check, "a revision that this key never had", op, write);
    if (write->invoked > by)
        return violation(check, "a revision from the future", op, write);
    check->facts[ref->at].must = true;
    limit_end(&check->facts[ref->at], by);
    return LINEAR_OK;
}

static enum linear_verdict match_cas(struct linear_check *check)
{
    enum linear_verdict verdict = LINEAR_OK;
    for (size_t i = 0; i < check->count && verdict == LINEAR_OK; i++) {
        const struct linear_op *op = &check->ops[i];
        const struct linear_fact *fact = &check->facts[i];
        if (op->kind != LINEAR_CAS || !fact->must)
            continue;
        bool refused = op->known && !op->ok;
        verdict = match_mention(check, op, refused ? op->revision : op->expected, fact->to);
    }
    return verdict;
}

/* ---- what revisions say about time ----------------------------------------------------------- */

/* A write cannot come before those with smaller revisions were invoked, nor after those with larger
 * ones have returned or been seen. */
static enum linear_verdict tighten(struct linear_check *check)
{
    const struct linear_ref *refs = check->by_revision.refs;
    size_t count = check->by_revision.count;
    size_t latest = 0;
    for (size_t i = 0; i < count; i++) {
        struct linear_fact *fact = &check->facts[refs[i].at];
        if (i == 0 || fact->from >= check->facts[refs[latest].at].from)
            latest = i;
        fact->from = check->facts[refs[latest].at].from;
        if (fact->from <= fact->to)
            continue;
        buf_printf(check->why,
                   "revision %" PRIu64 " of a write that began after the one with "
                   "revision %" PRIu64 " had ended or been seen at %" PRIu64 "; ",
                   refs[latest].major, refs[i].major, fact->to);
        return violation(check, "out of order", &check->ops[refs[i].at],
                         &check->ops[refs[latest].at]);
    }
    for (size_t i = count; i-- > 1;)
        limit_end(&check->facts[refs[i - 1].at], check->facts[refs[i].at].to);
    return LINEAR_OK;
}

/* A read that saw a write although a later one to that key was over before it began. */
static enum linear_verdict stale_reads(struct linear_check *check)
{
    struct linear_table writes = {0}; /* key, revision */
    for (size_t i = 0; i < check->by_revision.count; i++) {
        const struct linear_ref *ref = &check->by_revision.refs[i];
        linear_table_add(&writes, check->ops[ref->at].key, ref->major, ref->at);
    }
    linear_table_sort(&writes);
    enum linear_verdict verdict = LINEAR_OK;
    for (size_t i = 0; i < check->count && verdict == LINEAR_OK; i++) {
        const struct linear_op *op = &check->ops[i];
        if (op->kind != LINEAR_READ || !op->known || op->value == 0)
            continue;
        const struct linear_ref *seen = table_find(&check->by_value, op->key, op->value);
        uint64_t revision = check->facts[seen->at].revision;
        size_t next = linear_table_lower(&writes, op->key, revision) + 1;
        if (revision == 0 || next >= writes.count || writes.refs[next].major != op->key)
            continue;
        size_t at = writes.refs[next].at;
        if (check->facts[at].to < op->invoked)
            verdict =
                violation(check, "stale, as what overwrote it came before", op, &check->ops[at]);
    }
    mem_free(writes.refs);
    return verdict;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum linear_verdict compare_all(struct linear_check *check)
{
    facts_init(check);
    index_values(check->ops, check->count, &check->by_value);
    enum linear_verdict verdict = match_reads(check);
    if (verdict == LINEAR_OK)
        verdict = index_revisions(check);
    if (verdict == LINEAR_OK)
        verdict = match_cas(check);
    if (verdict == LINEAR_OK)
        verdict = tighten(check);
    return verdict == LINEAR_OK ? stale_reads(check) : verdict;
}

static enum linear_verdict search_keys(struct linear_check *check)
{
    struct linear_table keys = {0}; /* key, from */
    for (size_t i = 0; i < check->count; i++)
        if (check->ops[i].kind != LINEAR_READ || check->ops[i].known)
            linear_table_add(&keys, check->ops[i].key, check->facts[i].from, i);
    linear_table_sort(&keys);
    enum linear_verdict verdict = LINEAR_OK;
    bool too_complex = false;
    for (size_t i = 0; i < keys.count && verdict != LINEAR_VIOLATION;) {
        size_t end = i;
        while (end < keys.count && keys.refs[end].major == keys.refs[i].major)
            end++;
        verdict = linear_search(check, &keys.refs[i], end - i);
        too_complex |= verdict == LINEAR_TOO_COMPLEX;
        i = end;
    }
    mem_free(keys.refs);
    if (verdict == LINEAR_VIOLATION || !too_complex)
        return verdict;
    buf_clear(check->why);
    buf_printf(check->why, "the search was given up after %d steps or %d states", LINEAR_STEPS_MAX,
               LINEAR_STATES_MAX);
    return LINEAR_TOO_COMPLEX;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t count, struct buf *why)
{
    struct buf text = {0};
    struct linear_check check = {
        .ops = ops,
        .count = count,
        .facts = mem_calloc(count, sizeof *check.facts),
        .why = &text,
    };
    ASSERT(linear_invalid(ops, count, &text) == 0);
    enum linear_verdict verdict = compare_all(&check);
    if (verdict == LINEAR_OK)
        verdict = search_keys(&check);
    if (verdict != LINEAR_OK)
        buf_add(why, text.data, text.len);
    buf_deinit(&text);
    mem_free(check.by_value.refs);
    mem_free(check.by_revision.refs);
    mem_free(check.facts);
    return verdict;
}
