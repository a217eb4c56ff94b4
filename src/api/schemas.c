/* Which fields the JSON of bodies has, written once; openapi.c makes schemas of it. */
#include "api/schemas.h"

#define KEY "key:s key_base64:s"
#define VALUE "value:s value_base64:s"
#define VERSIONS "create_revision:i mod_revision:i version:i lease:i"
#define HEALTH "health:s id:i role:s term:i leader:i commit:i applied:i"

const struct api_schema api_schemas[] = {
    {"Error", "error:s code:s"},
    {"V3Error", "error:s message:s code:i"},
    {"V3", "*:*"},
    {"Item", KEY " " VALUE " " VERSIONS},
    {"Listing", "revision:i items:[Item count:i more:b next:s next_base64:s error:s code:s"},
    {"Deleted", "revision:i deleted:i"},
    {"BulkLine", KEY " " VALUE " lease:i delete:b"},
    {"BulkResult", "line:i revision:i deleted:i replayed:b error:s code:s applied:i failed:i"},
    {"Condition", KEY " " VALUE " " VERSIONS " exists:b op:s"},
    {"Put", KEY " " VALUE " lease:i"},
    {"Get", KEY " prefix:s prefix_base64:s limit:i"},
    {"Delete", KEY " prefix:s prefix_base64:s"},
    {"Operation", "put:@Put get:@Get delete:@Delete txn:@Txn"},
    {"Txn", "if:[Condition then:[Operation else:[Operation"},
    {"GetResult", "items:[Item count:i more:b"},
    {"OperationResult", "put:@Revision delete:@Deleted get:@GetResult txn:@TxnResult"},
    {"Revision", "revision:i"},
    {"TxnResult", "succeeded:b revision:i responses:[OperationResult"},
    {"Ticket", "id:s id_base64:s state:s succeeded:b code:s revision:i term:i"},
    {"LeaseWanted", "ttl:i id:i"},
    {"LeaseKey", KEY},
    {"Lease", "id:i ttl:i remaining_ms:i key_count:i keys:[LeaseKey more_keys:b"},
    {"Leases", "leases:[Lease more:b next:i"},
    {"MemberWanted", "id:i peer_url:s learner:b"},
    {"MemberUpdate", "peer_url:s"},
    {"Progress", "match:i next:i state:s recent_active:b paused:b pending_snapshot:i"},
    {"Member", "id:i name:s self:b learner:b leader:b peer_address:s http_address:s connected:b "
               "last_heard_ms_ago:i progress:@Progress"},
    {"Members", "leader:i term:i members:[Member"},
    {"LeaderWanted", "to:i"},
    {"Leader", "leader:i"},
    {"Health", HEALTH},
    {"Live", "live:b"},
    {"Ready", "ready:b"},
    {"Status", HEALTH " *:*"},
    {"Version", "etcdserver:s etcdcluster:s floe:s api:i protocol:i"},
    {"Limits", "*:i"},
    {"OpenApi", "*:*"},
};
const size_t api_schema_count = sizeof api_schemas / sizeof *api_schemas;
