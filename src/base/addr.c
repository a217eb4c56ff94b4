/* A strict reader: what it takes can be dialled, what it refuses it explains. */
#include "base/addr.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static enum err refuse(const char **why, const char *text)
{
    *why = text;
    return ERR_INVALID;
}

static bool starts_with(const char *text, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len >= prefix_len && strncasecmp(text, prefix, prefix_len) == 0;
}

/* Cuts the scheme and a final slash off. */
static enum err strip(const char **text, size_t *len, const char **why)
{
    if (starts_with(*text, *len, "https://"))
        return refuse(why, "https is not supported yet");
    bool http = starts_with(*text, *len, "http://");
    if (http) {
        *text += 7;
        *len -= 7;
        if (*len > 0 && (*text)[*len - 1] == '/')
            (*len)--;
    }
    for (size_t i = 0; i < *len; i++) {
        unsigned char c = (unsigned char)(*text)[i];
        if (c <= ' ' || c == 0x7f)
            return refuse(why, "blanks and control characters are not allowed");
        if (c == '/')
            return refuse(why, http ? "a path is not allowed" : "unknown scheme, or a path");
        if (c == '@')
            return refuse(why, "user names are not allowed");
    }
    return ERR_OK;
}

static enum err take_port(const char *text, size_t len, struct addr *out, const char **why)
{
    uint64_t port;
    if (len == 0 || len > 5 || parse_u64(text, len, &port) != ERR_OK || port == 0 || port > 65535)
        return refuse(why, "the port must be a number from 1 to 65535");
    out->port = (uint16_t)port;
    return ERR_OK;
}

static enum err check_name(const char *name, size_t len, const char **why)
{
    size_t label = 0;
    if (len == 0)
        return refuse(why, "the host is empty");
    if (len > 253)
        return refuse(why, "the host name is longer than 253 bytes");
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        label = c == '.' ? 0 : label + 1;
        if (c == '.' && (i == 0 || name[i - 1] == '.'))
            return refuse(why, "the host name has an empty label");
        if (!letter && c != '.' && c != '-' && c != '_')
            return refuse(why, "the host name has a character that no host name has");
        if (label > 63)
            return refuse(why, "a label of the host name is longer than 63 bytes");
    }
    return ERR_OK;
}

/* A name of digits and dots only must be an IPv4 address: nobody means a host called 1.2.3. */
static enum err check_v4(const char *host, const char **why)
{
    struct in_addr v4;
    if (host[strspn(host, "0123456789.")] == 0 && inet_pton(AF_INET, host, &v4) != 1)
        return refuse(why, "this is no IPv4 address");
    return ERR_OK;
}

static enum err parse_v6(const char *text, size_t len, struct addr *out, const char **why)
{
    const char *close = memchr(text, ']', len);
    struct in6_addr v6;
    if (close == NULL)
        return refuse(why, "the closing ] is missing");
    size_t host_len = (size_t)(close - text) - 1;
    if (host_len == 0 || host_len >= INET6_ADDRSTRLEN)
        return refuse(why, "this is no IPv6 address");
    memcpy(out->host, text + 1, host_len);
    out->host[host_len] = 0;
    if (inet_pton(AF_INET6, out->host, &v6) != 1)
        return refuse(why, "this is no IPv6 address");
    out->is_v6 = true;
    if (len < host_len + 3 || close[1] != ':')
        return refuse(why, "the port is missing");
    return take_port(close + 2, len - host_len - 3, out, why);
}

enum err addr_parse(const char *text, size_t len, struct addr *out, const char **why)
{
    struct addr addr = {.port = 0};
    enum err err = strip(&text, &len, why);
    if (err != ERR_OK)
        return err;
    if (len == 0)
        return refuse(why, "the address is empty"); /* text may be NULL */
    if (text[0] == '[') {
        err = parse_v6(text, len, &addr, why);
    } else {
        const char *colon = memrchr(text, ':', len);
        if (colon == NULL)
            return refuse(why, "the port is missing");
        size_t host_len = (size_t)(colon - text);
        if (memchr(text, ':', host_len) != NULL)
            return refuse(why, "an IPv6 address must stand in brackets: [::1]:12380");
        err = check_name(text, host_len, why);
        if (err == ERR_OK) {
            memcpy(addr.host, text, host_len);
            err = check_v4(addr.host, why);
        }
        if (err == ERR_OK)
            err = take_port(colon + 1, len - host_len - 1, &addr, why);
    }
    if (err == ERR_OK)
        *out = addr;
    return err;
}

void addr_format(const struct addr *addr, char *out)
{
    (void)snprintf(out, ADDR_TEXT_MAX, addr->is_v6 ? "[%s]:%u" : "%s:%u", addr->host,
                   (unsigned)addr->port);
}

bool addr_is_loopback(const struct addr *addr)
{
    struct in6_addr v6;
    if (addr->is_v6)
        return inet_pton(AF_INET6, addr->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(addr->host, "localhost") == 0 ||
           (strncmp(addr->host, "127.", 4) == 0 &&
            addr->host[strspn(addr->host, "0123456789.")] == 0);
}

bool addr_is_wildcard(const struct addr *addr)
{
    struct in6_addr v6;
    if (addr->is_v6)
        return inet_pton(AF_INET6, addr->host, &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
    return strcmp(addr->host, "0.0.0.0") == 0;
}
