/* The table of paths. */
#ifndef API_V3_ROUTE_H
#define API_V3_ROUTE_H

#include "api/v3_internal.h"

/* NULL: there is none. */
const struct v3_route *v3_route_find(const char *path);
/* One after the other; NULL: there are no more. */
const struct v3_route *v3_route_at(size_t i);

#endif
