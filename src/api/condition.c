/*
 * If-Match and If-None-Match. Our tags are strong and are revisions ("17"). A read takes lists,
 * weak tags and those of others, as RFC 9110 wants it; a write takes one tag or *, and anything
 * else is refused: a condition that is not understood must never be passed over.
 */
#include "api/internal.h"
#include "base/parse.h"

#include <string.h>
#include <strings.h>

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* A tag from its quote on: where it ends; NULL: it does not. */
static const char *parse_tag(const char *text, bool is_weak, bool weak_counts, struct api_tag *out)
{
    const char *end = *text == '"' ? strchr(text + 1, '"') : NULL;
    if (end == NULL)
        return NULL;
    size_t len = (size_t)(end - text) - 1;
    bool leading_zero = text[1] == '0' && len > 1;
    uint64_t revision;
    bool is_ours = !leading_zero && parse_u64(text + 1, len, &revision) == ERR_OK;
    if (is_ours && (!is_weak || weak_counts))
        out->revisions[out->count++] = revision;
    else
        out->is_plain = false;
    return end + 1;
}

static bool parse_tags(const char *text, bool weak_counts, struct api_tag *out)
{
    for (text = skip_blanks(text); *text != '\0'; text = skip_blanks(text)) {
        bool is_weak = strncmp(text, "W/", 2) == 0;
        if (out->present)
            out->is_plain = false;
        out->present = true;
        if (is_weak)
            out->is_plain = false;
        if (out->count == API_TAGS_MAX)
            return false;
        text = parse_tag(is_weak ? text + 2 : text, is_weak, weak_counts, out);
        if (text == NULL)
            return false;
        text = skip_blanks(text);
        if (*text != ',' && *text != '\0')
            return false;
        text += *text == ',';
    }
    return out->present;
}

static bool is_star(const char *text)
{
    text = skip_blanks(text);
    return *text == '*' && *skip_blanks(text + 1) == '\0';
}

static bool find_tags(const struct api_request *request, const char *name, bool weak_counts,
                      struct api_tag *out, struct api_problem *problem)
{
    *out = (struct api_tag){.is_plain = true};
    for (size_t i = 0; i < request->header_count; i++) {
        const char *value = request->headers[i].value;
        if (strcasecmp(request->headers[i].name, name) != 0)
            continue;
        bool star = is_star(value) && !out->present;
        if (star)
            out->present = out->any = true;
        else if (out->any || !parse_tags(value, weak_counts, out))
            return api_problem_set(problem, 400, "bad_condition",
                                   "%s must be * or tags as we give them, e.g. \"17\"", name);
    }
    return true;
}

bool api_conditions_parse(const struct api_request *request, struct api_conditions *out,
                          struct api_problem *problem)
{
    return find_tags(request, "If-Match", false, &out->if_match, problem) &&
           find_tags(request, "If-None-Match", true, &out->if_none_match, problem);
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
    if (!match->is_plain || !none->is_plain)
        return api_problem_set(problem, 400, "bad_condition",
                               "a write takes * or one strong tag as we give them, e.g. \"17\"");
    *count = 0;
    if (none->present || match->present) /* the version of a missing key is 0 */
        compares[(*count)++] = (struct kv_compare){
            .target = KV_VERSION, .relation = none->present ? KV_EQUAL : KV_GREATER};
    if (match->present && !match->any)
        compares[(*count)++] = (struct kv_compare){
            .target = KV_MOD, .relation = KV_EQUAL, .number = match->revisions[0]};
    return true;
}

bool api_tag_matches(const struct api_tag *tag, uint64_t mod_revision)
{
    bool found = tag->any;
    for (size_t i = 0; i < tag->count; i++)
        found |= tag->revisions[i] == mod_revision;
    return found;
}
