/*
 * linear < history: is it linearizable? One operation a line, nine words:
 *
 *   client key kind invoked returned outcome value expected revision
 *
 * kind: read, put, delete or cas; outcome: ok, no (cas refused, delete found nothing) or ? (not
 * known; returned, value of a read and revision then mean nothing). Numbers are decimal, as in
 * struct linear_op; - is 0. Empty lines and lines that begin with # are passed over.
 *
 * Prints "ok", "violation: why" or "too complex: why"; exit status 0, 1, 2; 3: not a history.
 */
#include "base/mem.h"
#include "linear.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 9

static bool number(const char *word, uint64_t *out)
{
    char *end = NULL;
    *out = 0;
    if (strcmp(word, "-") == 0)
        return true;
    if (*word < '0' || *word > '9')
        return false;
    *out = strtoull(word, &end, 10);
    return *end == 0;
}

static bool find_word(const char *word, const char *const *words, size_t count, size_t *out)
{
    for (*out = 0; *out < count; ++*out)
        if (strcmp(word, words[*out]) == 0)
            return true;
    return false;
}

static bool parse(char *line, struct linear_op *op)
{
    static const char *const kinds[] = {[LINEAR_READ] = "read",
                                        [LINEAR_PUT] = "put",
                                        [LINEAR_DELETE] = "delete",
                                        [LINEAR_CAS] = "cas"};
    static const char *const outcomes[] = {"no", "ok", "?"};
    char *words[WORDS + 1];
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count <= WORDS;
         word = strtok_r(NULL, " \n", &rest))
        words[count++] = word;
    size_t kind = 0;
    size_t outcome = 0;
    if (count != WORDS || !find_word(words[2], kinds, 4, &kind) ||
        !find_word(words[5], outcomes, 3, &outcome))
        return false;
    *op = (struct linear_op){
        .kind = (enum linear_kind)kind, .known = outcome < 2, .ok = outcome == 1};
    bool good = number(words[0], &op->client) && number(words[1], &op->key) &&
                number(words[3], &op->invoked) && number(words[4], &op->returned) &&
                number(words[6], &op->value) && number(words[7], &op->expected) &&
                number(words[8], &op->revision);
    if (!op->known)
        op->returned = UINT64_MAX;
    return good;
}

static int judge(const struct linear_op *ops, size_t count)
{
    static const char *const words[] = {"ok", "violation", "too complex"};
    struct buf why = {0};
    int status = 3;
    if (linear_invalid(ops, count, &why) > 0) {
        fprintf(stderr, "not a history: %s\n", buf_str(&why));
    } else {
        enum linear_verdict verdict = linear_check(ops, count, &why);
        printf("%s%s%s\n", words[verdict], why.len > 0 ? ": " : "", buf_str(&why));
        status = (int)verdict;
    }
    buf_deinit(&why);
    return status;
}

int main(void)
{
    char line[512];
    struct linear_op *ops = NULL;
    size_t count = 0;
    size_t cap = 0;
    int status = 0;
    for (unsigned long at = 1; status == 0 && fgets(line, sizeof line, stdin) != NULL; at++) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        ops = mem_grow(ops, count, &cap, sizeof *ops);
        if (parse(line, &ops[count++]))
            continue;
        fprintf(stderr,
                "line %lu is not: client key kind invoked returned outcome value expected "
                "revision\n",
                at);
        status = 3;
    }
    if (status == 0)
        status = judge(ops, count);
    mem_free(ops);
    return status;
}
