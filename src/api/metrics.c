/* GET /metrics for Prometheus: our state under the names that etcd gives it. */
#include "api/internal.h"
#include "api/v3.h"
#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put(struct buf *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_label(struct buf *out, const char *name, const char *label, const char *value)
{
    head(out, name, "gauge", "Which version is running: 1 for the label of it.");
    buf_printf(out, "%s{%s=\"%s\"} 1\n", name, label, value);
}

static void put_server(struct buf *out, const struct node_status *status,
                       const struct v3_counts *counts)
{
    put(out, "etcd_server_has_leader", "gauge", "Whether a leader is known.", status->leader != 0);
    put(out, "etcd_server_is_leader", "gauge", "Whether this member leads.",
        status->leader == status->id);
    put(out, "etcd_server_is_learner", "gauge", "Whether this member is a learner.",
        strcmp(status->role, "learner") == 0);
    put(out, "etcd_server_leader_changes_seen_total", "counter", "Changes of the leader seen.",
        counts->leader_changes);
    put(out, "etcd_server_proposals_committed_total", "gauge", "Entries that are committed.",
        status->commit);
    put(out, "etcd_server_proposals_applied_total", "gauge", "Entries that are applied.",
        status->applied);
    put(out, "etcd_server_proposals_pending", "gauge", "Requests that wait for the cluster.",
        counts->pending);
    put(out, "etcd_server_proposals_failed_total", "counter", "Requests that came to nothing.",
        counts->failed);
    put_label(out, "etcd_server_version", "server_version", V3_SERVER_VERSION);
    put_label(out, "etcd_cluster_version", "cluster_version", "3.4");
}

static void put_store(struct buf *out, const struct kv *kv, const struct v3_counts *counts)
{
    put(out, "etcd_mvcc_db_total_size_in_bytes", "gauge", "Memory of the store.",
        kv_memory_bytes(kv));
    put(out, "etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", "Keys and values that are there.",
        kv_size_bytes(kv));
    put(out, "etcd_mvcc_put_total", "counter", "Puts asked of this member.", counts->puts);
    put(out, "etcd_mvcc_delete_total", "counter", "Deletions asked of this member.",
        counts->deletes);
    put(out, "etcd_mvcc_range_total", "counter", "Ranges asked of this member.", counts->ranges);
    put(out, "etcd_mvcc_txn_total", "counter", "Transactions asked of this member.", counts->txns);
    put(out, "etcd_debugging_mvcc_keys_total", "gauge", "Keys that are there.", kv_count(kv));
    put(out, "etcd_debugging_mvcc_events_total", "counter", "Events in the history so far.",
        kv_history_end(kv));
    put(out, "etcd_debugging_mvcc_current_revision", "gauge", "The store's revision.",
        kv_revision(kv));
    put(out, "etcd_debugging_mvcc_compact_revision", "gauge", "Up to where history is gone.",
        kv_compact_revision(kv));
    put(out, "etcd_debugging_mvcc_watcher_total", "gauge", "Watchers at this member.",
        counts->watchers);
    put(out, "etcd_debugging_lease_granted_total", "gauge", "Leases that are there.",
        kv_lease_count(kv));
}

static void put_disk(struct buf *out, const struct node_status *status)
{
    put(out, "floe_disk_wait_ms", "gauge", "Age of the oldest unfinished write.",
        status->disk_waits_ms);
    put(out, "floe_disk_longest_ms", "gauge", "Longest wait for the disk.",
        status->disk_longest_ms);
    put(out, "floe_disk_late_total", "counter", "Times that the disk was late.",
        status->disk_late_count);
    put(out, "floe_disk_stuck_total", "counter", "Times that the disk was stuck.",
        status->disk_stuck_count);
}

/* Each class counts what is in the ones before, too; seconds. */
static void put_histogram(struct buf *out, const char *name, const char *help,
                          const struct histogram *histogram)
{
    uint64_t count = 0;
    head(out, name, "histogram", help);
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += histogram->counts[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                   (double)histogram_bound_us(i) / 1e6, count);
    }
    count += histogram->counts[HISTOGRAM_BOUNDS];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    buf_printf(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name, (double)histogram->sum_us / 1e6,
               name, count);
}

bool api_metrics_get(struct api *api, struct api_call *call, struct api_response *out)
{
    struct node_status status = node_status(api->node, call->now_ms);
    struct v3_counts counts = v3_counts(api->v3);
    struct buf text = {0};
    put_server(&text, &status, &counts);
    put_store(&text, node_kv(api->node), &counts);
    put_disk(&text, &status);
    if (api->limits.log_syncs != NULL)
        put_histogram(&text, "etcd_disk_wal_fsync_duration_seconds",
                      "How long syncs of the log took.", api->limits.log_syncs);
    if (api->limits.turns != NULL) {
        put_histogram(&text, "floe_turn_duration_seconds", "How long turns of the loop took.",
                      api->limits.turns);
        put(&text, "floe_turn_longest_us", "gauge", "The longest turn since the start.",
            api->limits.turns_longest->longest_us);
        put(&text, "floe_turn_longest_busy_us", "gauge", "The same in time of the processor.",
            api->limits.turns_longest->longest_busy_us);
    }
    node_status_deinit(&status);
    out->status = 200;
    api_respond_header(out, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    out->body = evbuffer_new();
    ASSERT_MSG(out->body != NULL, "out of memory");
    ASSERT(evbuffer_add(out->body, text.data, text.len) == 0);
    buf_deinit(&text);
    return true;
}
