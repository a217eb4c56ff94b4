/* What listings and watches share: the form of an item, and which form a client wants. */
#include "api/internal.h"

#include <string.h>
#include <strings.h>

static const char *accept_of(const struct api_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, "Accept") == 0)
            return request->headers[i].value;
    }
    return "";
}

bool api_accepts_lines(const struct api_request *request)
{
    return strstr(accept_of(request), "ndjson") != NULL;
}

void api_put_item(struct api_json *json, const struct kv_item *item, bool keys_only)
{
    api_json_bytes(json, "key", item->key.data, item->key.len);
    if (!keys_only)
        api_json_bytes(json, "value", item->value.data, item->value.len);
    api_json_u64(json, "create_revision", item->create_revision);
    api_json_u64(json, "mod_revision", item->mod_revision);
    api_json_u64(json, "version", item->version);
    if (item->lease != 0)
        api_json_u64(json, "lease", item->lease);
}
