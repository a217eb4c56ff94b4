/* Two readers that disagree about where a request ends let one smuggle a request past the other
 * (RFC 9112 11.2): whatever is ambiguous is refused. */
#include "io/http_check.h"

#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

static bool is_token(const char *name)
{
    if (*name == '\0')
        return false;
    for (; *name != '\0'; name++) {
        bool alnum = (*name >= '0' && *name <= '9') || (*name >= 'a' && *name <= 'z') ||
                     (*name >= 'A' && *name <= 'Z');
        if (!alnum && strchr("!#$%&'*+-.^_`|~", *name) == NULL)
            return false;
    }
    return true;
}

/* evhttp keeps blanks at the end. */
static size_t trimmed_len(const char *value)
{
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

static bool is_digits(const char *value)
{
    size_t len = trimmed_len(value);
    return len > 0 && len <= 19 && strspn(value, "0123456789") == len;
}

static bool is_chunked(const char *value)
{
    return trimmed_len(value) == 7 && strncasecmp(value, "chunked", 7) == 0;
}

/* evhttp reads a body of these; of any other it would take the body for the next request. */
static bool may_have_body(enum evhttp_cmd_type method)
{
    return method == EVHTTP_REQ_PUT || method == EVHTTP_REQ_POST || method == EVHTTP_REQ_PATCH ||
           method == EVHTTP_REQ_GET || method == EVHTTP_REQ_DELETE;
}

static bool is_zero(const char *value)
{
    return strspn(value, "0") == trimmed_len(value);
}

/* evhttp takes what lies between the first and the last space of the line for the target. */
static bool has_blank(const char *target)
{
    for (; *target != '\0'; target++) {
        if ((unsigned char)*target <= ' ' || *target == 0x7f)
            return true;
    }
    return false;
}

static bool needs_host(const struct evhttp_request *request)
{
    return request->major == 1 && request->minor >= 1;
}

const char *http_check_framing(struct evhttp_request *request)
{
    const char *length = NULL;
    const char *encoding = NULL;
    const char *host = NULL;
    struct evkeyval *header;
    TAILQ_FOREACH(header, evhttp_request_get_input_headers(request), next) {
        const char **seen = NULL;
        if (!is_token(header->key))
            return "a header name is not a token";
        if (strcasecmp(header->key, "Content-Length") == 0)
            seen = &length;
        else if (strcasecmp(header->key, "Transfer-Encoding") == 0)
            seen = &encoding;
        else if (strcasecmp(header->key, "Host") == 0)
            seen = &host;
        if (seen != NULL && *seen != NULL)
            return "Content-Length, Transfer-Encoding and Host can each be there only once";
        if (seen != NULL)
            *seen = header->value;
    }
    if (has_blank(evhttp_request_get_uri(request)))
        return "the request target has a blank or a control character: encode it with %";
    if (host == NULL && needs_host(request))
        return "the Host header is missing";
    if (length != NULL && encoding != NULL)
        return "Content-Length and Transfer-Encoding exclude each other";
    if (length != NULL && !is_digits(length))
        return "Content-Length must be decimal digits";
    if (encoding != NULL && !is_chunked(encoding))
        return "the only transfer encoding is chunked";
    bool has_body = encoding != NULL || (length != NULL && !is_zero(length));
    if (has_body && !may_have_body(evhttp_request_get_command(request)))
        return "this method takes no body";
    return NULL;
}

static bool is_same_origin(const char *origin, const char *host)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; host != NULL && i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(origin, schemes[i], len) == 0 && strcasecmp(origin + len, host) == 0)
            return true;
    }
    return false;
}

bool http_check_is_foreign(struct evhttp_request *request, const char *allowed)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    const char *origin = evhttp_find_header(headers, "Origin");
    bool is_read = method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD ||
                   method == EVHTTP_REQ_OPTIONS;
    if (origin == NULL || (is_read && evhttp_find_header(headers, "Upgrade") == NULL))
        return false;
    if (allowed != NULL && (strcmp(allowed, "*") == 0 || strcasecmp(allowed, origin) == 0))
        return false;
    return !is_same_origin(origin, evhttp_find_header(headers, "Host"));
}

const char *http_check_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Unknown";
}
