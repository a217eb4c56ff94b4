/* auth/...: there are no users and roles, and what one asks about them is answered so. */
#include "api/v3_internal.h"

void v3_handle_auth_off(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    v3_fail(api, call, V3_AUTH_NOT_ENABLED);
}

void v3_handle_auth_enable(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    v3_fail(api, call, V3_NO_ROOT_USER);
}

/* Disabling what is off, and lists of nothing. */
void v3_handle_auth_nothing(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    struct v3_only_header response = {.header = v3_header_now(api, call)};
    v3_answer(api, call, &v3_message_only_header, &response);
}

void v3_handle_auth_status(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    struct v3_auth_status_response response = {.header = v3_header_now(api, call),
                                               .auth_revision = 1};
    v3_answer(api, call, &v3_message_auth_status_response, &response);
}

void v3_handle_user_missing(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    v3_fail(api, call, V3_USER_NOT_FOUND);
}

void v3_handle_role_missing(struct api *api, struct v3_call *call, uint64_t now_ms)
{
    (void)now_ms;
    v3_fail(api, call, V3_ROLE_NOT_FOUND);
}
