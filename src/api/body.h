/* Bodies in JSON. */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/internal.h"

#include <jansson.h>

/* The whole body as one object; NULL: *problem. Owned by caller (json_decref). */
json_t *api_body_object(const struct api_request *request, struct api_problem *problem);
/* One text as an object; NULL: *why. */
json_t *api_text_object(const char *text, size_t len, char why[JSON_ERROR_TEXT_LENGTH]);
/* A member as bytes in memory of the command. */
bool api_body_bytes(const json_t *object, const char *name, struct kv_command *command,
                    struct kv_bytes *out, struct api_problem *problem);
bool api_body_u64(const json_t *object, const char *name, uint64_t *out,
                  struct api_problem *problem);

#endif
