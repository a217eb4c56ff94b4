/* The one parser of network addresses: conf file, POST bodies, member lists. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDR_TEXT_MAX 272 /* canonical text with its NUL */

struct addr {
    char host[256]; /* name or literal, without brackets */
    uint16_t port;  /* 1 .. 65535 */
    bool is_v6;     /* host is an IPv6 literal */
};

/* Takes host:port, http://host:port (a final / is fine), [v6]:port and http://[v6]:port. Refused,
 * with a static text in *why: no port, port 0 or over 65535, empty host, user info, path, other
 * schemes (https is named as not supported yet), bare IPv6 without brackets, blanks, characters
 * that no host name has, labels over 63 or names over 253 bytes. len bytes, no NUL needed. */
enum err addr_parse(const char *text, size_t len, struct addr *out, const char **why) MUST_USE;
/* "host:port" or "[v6]:port"; out has ADDR_TEXT_MAX bytes. */
void addr_format(const struct addr *addr, char *out);
/* "localhost", 127/8 or ::1: needs no TLS. */
bool addr_is_loopback(const struct addr *addr);
/* 0.0.0.0 or ::, which others cannot dial. */
bool addr_is_wildcard(const struct addr *addr);

#endif
