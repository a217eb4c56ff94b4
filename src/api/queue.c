/* Answers that wait to be fetched (api_next_response). */
#include "api/internal.h"

#include "base/mem.h"

void api_queue_response(struct api *api, const struct api_response *response)
{
    struct api_queued *queued = mem_calloc(1, sizeof *queued);
    queued->response = *response;
    STAILQ_INSERT_TAIL(&api->ready, queued, next);
}

struct api_response api_take_response(struct api *api)
{
    struct api_queued *first = STAILQ_FIRST(&api->ready);
    struct api_response response = first->response;
    STAILQ_REMOVE_HEAD(&api->ready, next);
    mem_free(first);
    return response;
}
