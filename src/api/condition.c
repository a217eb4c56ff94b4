/*
 * If-Match and If-None-Match. Our tags are strong and are revisions ("17"); one tag or * is taken,
 * anything else is refused: a condition that is not understood must never be passed over.
 */
#include "api/internal.h"
#include "base/parse.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool parse_tag(const char *text, struct api_tag *out)
{
    while (is_blank(*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    *out = (struct api_tag){.present = true};
    if (len == 1 && *text == '*') {
        out->any = true;
        return true;
    }
    if (len < 3 || text[0] != '"' || text[len - 1] != '"')
        return false;
    bool leading_zero = text[1] == '0' && len > 3;
    return !leading_zero && parse_u64(text + 1, len - 2, &out->revision) == ERR_OK;
}

static bool find_tag(const struct api_request *request, const char *name, struct api_tag *out,
                     struct api_problem *problem)
{
    *out = (struct api_tag){0};
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) != 0)
            continue;
        if (out->present || !parse_tag(request->headers[i].value, out))
            return api_problem_set(problem, 400, "bad_condition",
                                   "%s must be * or one strong tag as we give them, e.g. \"17\"",
                                   name);
    }
    return true;
}

bool api_conditions_parse(const struct api_request *request, struct api_conditions *out,
                          struct api_problem *problem)
{
    return find_tag(request, "If-Match", &out->if_match, problem) &&
           find_tag(request, "If-None-Match", &out->if_none_match, problem);
}

bool api_conditions_for_write(const struct api_conditions *conditions, bool may_be_absent,
                              struct kv_compare *compares, size_t *count,
                              struct api_problem *problem)
{
    const struct api_tag *match = &conditions->if_match;
    const struct api_tag *none = &conditions->if_none_match;
    if (match->present && none->present)
        return api_problem_set(problem, 400, "bad_condition",
                               "If-Match and If-None-Match exclude each other");
    if (none->present && (!none->any || !may_be_absent))
        return api_problem_set(problem, 400, "bad_condition",
                               may_be_absent ? "If-None-Match can only be * in a write"
                                             : "If-None-Match makes no sense for a DELETE");
    *count = 0;
    if (none->present || match->present) /* the version of a missing key is 0 */
        compares[(*count)++] = (struct kv_compare){
            .target = KV_VERSION, .relation = none->present ? KV_EQUAL : KV_GREATER};
    if (match->present && !match->any)
        compares[(*count)++] =
            (struct kv_compare){.target = KV_MOD, .relation = KV_EQUAL, .number = match->revision};
    return true;
}

bool api_tag_matches(const struct api_tag *tag, uint64_t mod_revision)
{
    return tag->present && (tag->any || tag->revision == mod_revision);
}
