/* Campaigns and votes (thesis 3.4, 3.6.1, 4.2.3, 9.6). */
#include "raft/core.h"

#include "base/assert.h"

#include <inttypes.h>
#include <string.h>

static const char transfer_context[] = "CampaignTransfer";

static bool is_transfer(const struct floe_blob *context)
{
    size_t len = sizeof transfer_context - 1;
    return floe_blob_size(context) == len &&
           memcmp(floe_blob_data(context), transfer_context, len) == 0;
}

/* ---- campaigning ---------------------------------------------------------------------------------- */

/* Is a committed configuration change not applied yet? Pages through the log, so that a long
 * backlog is never held in memory at once. */
static bool has_unapplied_conf_change(const struct floe_raft *r)
{
    floe_index at = r->log.applied + 1;
    while (at <= r->log.committed) {
        struct raft_entries page;
        enum floe_err err = raft_log_slice(&r->log, at, r->log.committed + 1,
                                           r->log.max_applying_size, &page);
        ASSERT_MSG(err == FLOE_OK, "unapplied entries are not there");
        bool found = false;
        for (size_t i = 0; i < page.count; i++)
            found = found || page.list[i].type != FLOE_ENTRY_NORMAL;
        at += page.count;
        raft_entries_deinit(&page);
        if (found)
            return true;
    }
    return false;
}

void raft_hup(struct floe_raft *r, enum raft_campaign kind)
{
    if (r->state == FLOE_STATE_LEADER) {
        raft_debug(&r->logger, "%" PRIx64 " ignoring MsgHup because already leader", r->id);
        return;
    }
    if (!raft_promotable(r)) {
        raft_warn(&r->logger, "%" PRIx64 " is unpromotable and can not campaign", r->id);
        return;
    }
    if (r->term >= UINT64_MAX - 1)
        return; /* there are no more terms: only a hostile member can have led us here */
    if (has_unapplied_conf_change(r)) {
        raft_warn(&r->logger,
                  "%" PRIx64 " cannot campaign at term %" PRIu64
                  " since there are still pending configuration changes to apply",
                  r->id, r->term);
        return;
    }
    raft_info(&r->logger, "%" PRIx64 " is starting a new election at term %" PRIu64, r->id,
              r->term);
    raft_campaign(r, kind);
}

static void request_vote(struct floe_raft *r, floe_id to, enum floe_message_type type,
                         floe_term term, enum raft_campaign kind)
{
    if (to == r->id) { /* the own vote counts when it is durable, like any other */
        raft_send(r, (struct floe_message){.type = type == FLOE_MSG_VOTE ? FLOE_MSG_VOTE_RESP
                                                                         : FLOE_MSG_PRE_VOTE_RESP,
                                           .to = to,
                                           .term = term});
        return;
    }
    struct raft_entry_id last = raft_log_last_id(&r->log);
    raft_info(&r->logger,
              "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] sent %s request to %" PRIx64
              " at term %" PRIu64,
              r->id, last.term, last.index, floe_message_type_name(type), to, r->term);
    struct floe_blob *context = kind == RAFT_CAMPAIGN_TRANSFER
                                    ? floe_blob_new(transfer_context, sizeof transfer_context - 1)
                                    : NULL;
    raft_send(r, (struct floe_message){.type = type,
                                       .to = to,
                                       .term = term,
                                       .index = last.index,
                                       .log_term = last.term,
                                       .context = context});
}

void raft_campaign(struct floe_raft *r, enum raft_campaign kind)
{
    enum floe_message_type type = FLOE_MSG_VOTE;
    floe_term term;
    if (kind == RAFT_CAMPAIGN_PRE_ELECTION) {
        raft_become_pre_candidate(r);
        type = FLOE_MSG_PRE_VOTE;
        term = r->term + 1; /* of the election that may follow */
    } else {
        raft_become_candidate(r);
        term = r->term;
    }
    for (size_t i = 0; i < r->trk.progress.count; i++) {
        floe_id id = r->trk.progress.item[i].id;
        if (raft_config_is_voter(&r->trk.config, id))
            request_vote(r, id, type, term, kind);
    }
}

enum raft_vote_result raft_poll(struct floe_raft *r, const struct floe_message *m,
                                size_t *granted, size_t *rejected)
{
    raft_info(&r->logger, "%" PRIx64 " received %s%s from %" PRIx64 " at term %" PRIu64, r->id,
              floe_message_type_name(m->type), m->reject ? " rejection" : "", m->from, r->term);
    raft_tracker_record_vote(&r->trk, m->from, !m->reject);
    return raft_tracker_tally(&r->trk, granted, rejected);
}

/* ---- voting -------------------------------------------------------------------------------------------- */

/* "2 [logterm: 1, index: 2, vote: 0] <what> MsgVote <word> 1 [logterm: 1, index: 2] at term 1" */
static void log_vote(const struct floe_raft *r, const struct floe_message *m, const char *what,
                     const char *word, const char *tail)
{
    struct raft_entry_id last = raft_log_last_id(&r->log);
    raft_info(&r->logger,
              "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
              "] %s %s %s %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] at term %" PRIu64
              "%s",
              r->id, last.term, last.index, r->vote, what, floe_message_type_name(m->type), word,
              m->from, m->log_term, m->index, r->term, tail);
}

bool raft_vote_in_lease(struct floe_raft *r, const struct floe_message *m)
{
    bool leased = r->check_quorum && r->lead != FLOE_ID_NONE &&
                  r->election_elapsed < r->election_timeout;
    if (!leased || is_transfer(m->context))
        return false;
    struct buf tail = {0};
    buf_printf(&tail, ": lease is not expired (remaining ticks: %" PRIu32 ")",
               r->election_timeout - r->election_elapsed);
    log_vote(r, m, "ignored", "from", buf_str(&tail));
    buf_deinit(&tail);
    return true;
}

bool raft_would_grant(const struct floe_raft *r, const struct floe_message *m)
{
    bool can_vote = r->vote == m->from ||
                    (r->vote == FLOE_ID_NONE && r->lead == FLOE_ID_NONE) ||
                    (m->type == FLOE_MSG_PRE_VOTE && m->term > r->term);
    struct raft_entry_id theirs = {m->log_term, m->index};
    return can_vote && raft_log_is_up_to_date(&r->log, theirs);
}

void raft_handle_vote(struct floe_raft *r, const struct floe_message *m)
{
    bool grant = raft_would_grant(r, m);
    log_vote(r, m, grant ? "cast" : "rejected", grant ? "for" : "from", "");
    raft_send(r, (struct floe_message){.type = m->type == FLOE_MSG_VOTE ? FLOE_MSG_VOTE_RESP
                                                                        : FLOE_MSG_PRE_VOTE_RESP,
                                       .to = m->from,
                                       .term = grant ? m->term : r->term,
                                       .reject = !grant});
    if (grant && m->type == FLOE_MSG_VOTE) {
        r->election_elapsed = 0;
        r->vote = m->from;
    }
}
