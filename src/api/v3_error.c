/* The refusals: code and text as etcd 3.4 has them, since clients match on both. */
#include "api/v3_internal.h"
#include "base/assert.h"

enum {
    CANCELED = 1,
    UNKNOWN = 2,
    INVALID = 3,
    NOT_FOUND = 5,
    DENIED = 7,
    EXHAUSTED = 8,
    PRECONDITION = 9,
    OUT_OF_RANGE = 11,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    DATA_LOSS = 15,
    UNAUTHENTICATED = 16
};

static const struct {
    int code;
    const char *text;
} errors[] = {
    [V3_NO_KEY] = {INVALID, "etcdserver: key is not provided"},
    [V3_KEY_NOT_FOUND] = {INVALID, "etcdserver: key not found"},
    [V3_VALUE_PROVIDED] = {INVALID, "etcdserver: value is provided"},
    [V3_LEASE_PROVIDED] = {INVALID, "etcdserver: lease is provided"},
    [V3_TOO_MANY_OPS] = {INVALID, "etcdserver: too many operations in txn request"},
    [V3_DUPLICATE_KEY] = {INVALID, "etcdserver: duplicate key given in txn request"},
    [V3_REQUEST_TOO_LARGE] = {INVALID, "etcdserver: request is too large"},
    [V3_COMPACTED] = {OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted"},
    [V3_FUTURE] = {OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision"},
    [V3_LEASE_NOT_FOUND] = {NOT_FOUND, "etcdserver: requested lease not found"},
    [V3_LEASE_EXISTS] = {PRECONDITION, "etcdserver: lease already exists"},
    [V3_TTL_TOO_LARGE] = {OUT_OF_RANGE, "etcdserver: too large lease TTL"},
    [V3_MEMBER_NOT_FOUND] = {NOT_FOUND, "etcdserver: member not found"},
    [V3_BAD_URLS] = {INVALID, "etcdserver: given member URLs are invalid"},
    [V3_PEER_URL_EXISTS] = {PRECONDITION, "etcdserver: Peer URLs already exists"},
    [V3_NO_LEARNER] = {PRECONDITION, "etcdserver: can only promote a learner member"},
    [V3_LEARNER_NOT_READY] = {PRECONDITION,
                              "etcdserver: can only promote a learner member which is "
                              "in sync with leader"},
    [V3_TOO_MANY_LEARNERS] = {PRECONDITION, "etcdserver: too many learner members in cluster"},
    [V3_NOT_ENOUGH_MEMBERS] = {PRECONDITION,
                               "etcdserver: re-configuration failed due to not enough "
                               "started members"},
    [V3_TIMED_OUT] = {UNAVAILABLE, "etcdserver: request timed out"},
    [V3_DEADLINE] = {UNKNOWN, "context deadline exceeded"},
    [V3_CANCELED] = {CANCELED, "context canceled"},
    [V3_STOPPED] = {UNAVAILABLE, "etcdserver: server stopped"},
    [V3_UNHEALTHY] = {UNAVAILABLE, "etcdserver: unhealthy cluster"},
    [V3_OVERLOADED] = {EXHAUSTED, "etcdserver: too many requests"},
    [V3_NO_SPACE] = {EXHAUSTED, "etcdserver: mvcc: database space exceeded"},
    [V3_CORRUPT] = {DATA_LOSS, "etcdserver: corrupt cluster"},
    [V3_BAD_TRANSFEREE] = {PRECONDITION, "etcdserver: bad leader transferee"},
    [V3_NOT_LEADER] = {PRECONDITION, "etcdserver: not leader"},
    [V3_NO_LEADER] = {UNAVAILABLE, "etcdserver: no leader"},
    [V3_AUTH_NOT_ENABLED] = {PRECONDITION, "etcdserver: authentication is not enabled"},
    [V3_NO_ROOT_USER] = {PRECONDITION, "etcdserver: root user does not exist"},
    [V3_USER_NOT_FOUND] = {PRECONDITION, "etcdserver: user name not found"},
    [V3_ROLE_NOT_FOUND] = {PRECONDITION, "etcdserver: role name not found"},
    [V3_BAD_TOKEN] = {UNAUTHENTICATED, "etcdserver: invalid auth token"},
    [V3_INVALID] = {INVALID, "etcdserver: invalid request"},
    [V3_LOCK_NO_KEY] = {UNKNOWN, "etcdserver: key is not provided"},
    [V3_LOCK_NO_LEASE] = {UNKNOWN, "etcdserver: requested lease not found"},
    [V3_LOCK_EXPIRED] = {UNKNOWN, "mutex: session is expired"},
    [V3_ELECTION_NO_LEADER] = {UNKNOWN, "election: no leader"},
    [V3_ELECTION_NOT_LEADER] = {UNKNOWN, "election: not leader"},
    [V3_ELECTION_NO_FIELD] = {UNKNOWN, "\"leader\" field must be provided"},
    [V3_ELECTION_EXPIRED] = {UNKNOWN, "election: session is expired"},
};

int v3_error_code(enum v3_error error)
{
    return errors[error].code;
}

const char *v3_error_text(enum v3_error error)
{
    return errors[error].text;
}

int v3_http_status(int code)
{
    switch (code) {
    case CANCELED: return 408;
    case INVALID:
    case OUT_OF_RANGE: return 400;
    case NOT_FOUND: return 404;
    case DENIED: return 403;
    case EXHAUSTED: return 429;
    case PRECONDITION: return 412;
    case UNIMPLEMENTED: return 501;
    case UNAVAILABLE: return 503;
    case UNAUTHENTICATED: return 401;
    default: return 500;
    }
}

const char *v3_http_text(int status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 408: return "Request Timeout";
    case 412: return "Precondition Failed";
    case 429: return "Too Many Requests";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

enum v3_error v3_error_of_status(enum kv_status status)
{
    switch (status) {
    case KV_KEY_EMPTY: return V3_NO_KEY;
    case KV_KEY_NOT_FOUND: return V3_KEY_NOT_FOUND;
    case KV_DUPLICATE_KEY: return V3_DUPLICATE_KEY;
    case KV_TOO_MANY_OPS: return V3_TOO_MANY_OPS;
    case KV_COMPACTED: return V3_COMPACTED;
    case KV_FUTURE: return V3_FUTURE;
    case KV_LEASE_NOT_FOUND: return V3_LEASE_NOT_FOUND;
    case KV_LEASE_EXISTS: return V3_LEASE_EXISTS;
    case KV_COMMAND_INVALID:
    case KV_NOT_OF_THIS_TERM:
    case KV_REPEATED:
    case KV_TICKET_TAKEN: return V3_INVALID;
    case KV_OK: break;
    }
    UNREACHABLE("not a refusal");
}

enum v3_error v3_error_of_outcome(enum node_outcome outcome)
{
    switch (outcome) {
    case NODE_NOT_DONE:
    case NODE_UNKNOWN: return V3_TIMED_OUT;
    case NODE_OVERLOADED: return V3_OVERLOADED;
    case NODE_NO_ROOM: return V3_NO_SPACE;
    case NODE_CONFLICT: return V3_PEER_URL_EXISTS;
    case NODE_MEMBER_NOT_FOUND: return V3_MEMBER_NOT_FOUND;
    case NODE_CHANGE_UNDER_WAY: return V3_UNHEALTHY;
    case NODE_REFUSED: return V3_NOT_ENOUGH_MEMBERS;
    case NODE_OK: break;
    }
    UNREACHABLE("not a refusal");
}

/* ---- forms ----------------------------------------------------------------------------------- */

static void put_string(struct buf *out, const char *name, const char *text)
{
    struct api_json json = {.text = *out};
    api_json_str(&json, name, text);
    *out = json.text;
}

void v3_put_error(struct buf *out, bool in_stream, int code, const char *text)
{
    int status = v3_http_status(code);
    if (in_stream) {
        buf_printf(out, "{\"error\":{\"grpc_code\":%d,\"http_code\":%d,", code, status);
        put_string(out, "message", text);
        buf_printf(out, ",\"http_status\":\"%s\"}}", v3_http_text(status));
        return;
    }
    buf_add_u8(out, '{');
    put_string(out, "error", text);
    buf_add_u8(out, ',');
    put_string(out, "message", text);
    buf_printf(out, ",\"code\":%d}", code);
}

/* A request that is too large gets what etcd says of one that it has read. */
static int code_of_refusal(int status)
{
    switch (status) {
    case 403: return DENIED;
    case 408: return CANCELED;
    case 413:
    case 429: return EXHAUSTED;
    case 501: return UNIMPLEMENTED;
    case 503:
    case 504: return UNAVAILABLE;
    default: return INVALID;
    }
}

void v3_refusal_response(struct api_response *out, int status, const char *text)
{
    uint64_t token = out->token;
    *out = (struct api_response){.token = token, .head = out->head};
    struct buf json = {0};
    int code = code_of_refusal(status);
    out->status = code == INVALID ? status : v3_http_status(code);
    api_respond_header(out, "Content-Type", "application/json");
    if (status == 413) {
        text = "grpc: received message larger than max: the body is over the limit of this server";
    } else if (code == EXHAUSTED) {
        text = v3_error_text(V3_OVERLOADED);
        api_respond_header(out, "Retry-After", "1");
    } else if (code == UNAVAILABLE) {
        text = v3_error_text(V3_STOPPED);
    }
    v3_put_error(&json, false, code, text);
    api_respond_text(out, &json);
}
