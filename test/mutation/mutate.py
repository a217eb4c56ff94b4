"""Puts small bugs into src/raft, one at a time, and checks that the suite notices.

python3 test/mutation/mutate.py [--list] [NUMBER...]

Each mutant is built into raft_script and raft_fuzz outside of the tree; it is caught if a scenario, a
reference trace (where they are on this machine) or a thousand fuzz inputs fail. Exit status 1 if one survives.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
TRACES = os.path.join(ROOT, "../shared/traces")
FLAGS = ["-std=gnu11", "-O1", "-g", "-w", "-D_GNU_SOURCE"]

# file, what stands there, what the bug is. Tried and left out, since nothing can tell them from the original:
# can_bump_commit without its second condition (an append is sent there in any case), offset_in_progress not
# following offset (it is never behind), pending_conf_index not reset (becoming leader sets it), a second vote
# of a member recorded behind the first (the first is found), learners asked for activity (they are no voters).
MUTANTS = [
    ("quorum.c", "sorted[count - (count / 2 + 1)]", "sorted[count - (count + 1) / 2]"),
    ("quorum.c", "return a < b ? a : b;", "return a > b ? a : b;"),
    ("quorum.c", "size_t needed = voters->count / 2 + 1;", "size_t needed = voters->count / 2;"),
    ("quorum.c", "a == RAFT_VOTE_LOST || b == RAFT_VOTE_LOST ?", "a == RAFT_VOTE_LOST ?"),
    ("progress.c", "next = max_index(next, pr->pending_snapshot + 1);", ";"),
    ("progress.c", "    pr->sent_commit = snapshot_index;\n", ""),
    ("progress.c", "pr->flow_paused = raft_inflights_is_full(&pr->inflights);", "pr->flow_paused = false;"),
    ("progress.c", "        if (count > 0)\n            pr->flow_paused = true;", "        pr->flow_paused = true;"),
    ("progress.c", "    if (index <= pr->match)\n        return false;\n    pr->match = index;",
     "    if (index < pr->match)\n        return false;\n    pr->match = index;"),
    ("progress.c", "if (rejected <= pr->match)", "if (rejected < pr->match)"),
    ("progress.c", "if (pr->next - 1 != rejected)", "if (false)"),
    ("progress.c", "max_index(min_index(rejected, match_hint + 1), pr->match + 1)", "min_index(rejected, match_hint + 1)"),
    ("inflights.c", "in->ring[in->start].index <= index", "in->ring[in->start].index < index"),
    ("inflights.c", "in->bytes >= in->max_bytes", "in->bytes > in->max_bytes"),
    ("confchange.c", "pr->recent_active = true; /*", "/*"),
    ("confchange.c", "if (!raft_ids_has(&draft->config.outgoing, id))\n        raft_progress_map_remove",
     "raft_progress_map_remove"),
    ("confchange.c", "draft.config.auto_leave = auto_leave;", "draft.config.auto_leave = true;"),
    ("confchange.c", "&draft.config.incoming) > 1)", "&draft.config.incoming) > 2)"),
    ("confchange.c", "changer->last_index > 1 ? changer->last_index : 1", "1"),
    ("unstable.c", "if (term != id.term) {", "if (false) {"),
    ("unstable.c", "        if (u->offset_in_progress > from)\n            u->offset_in_progress = from;\n", ""),
    ("log.c", "id.term > own.term || (id.term == own.term && id.index >= own.index)",
     "id.term >= own.term && id.index >= own.index"),
    ("log.c", "raft_log_commit_to(log, min_index(committed, *last_new));", "raft_log_commit_to(log, min_index(committed, raft_log_last_index(log)));"),
    ("log.c", "if (own <= term)", "if (own == term)"),
    ("log.c", "id.term == 0 || id.index <= log->committed || !raft_log_matches(log, id)",
     "id.term == 0 || id.index <= log->committed || id.index > raft_log_last_index(log)"),
    ("log.c", "allow_unstable ? log->committed : min_index", "true ? log->committed : min_index"),
    ("log.c", "!log->applying_paused && !raft_log_has_snapshot(log) &&", "!log->applying_paused &&"),
    ("log.c", "log->applying_size >= log->max_applying_size ||\n                           index < max_appliable(log, allow_unstable)",
     "log->applying_size >= log->max_applying_size"),
    ("log.c", "!(first && fit == 0)", "true"),
    ("log.c", "lo >= offset || got.count == cut - lo;", "true;"),
    ("core.c", "        r->vote = FLOE_ID_NONE;\n    }\n    r->lead", "    }\n    r->lead"),
    ("candidate.c", "    r->pending_conf_index = raft_log_last_index(&r->log);\n", ""),
    ("core.c", "    r->uncommitted_size = 0;\n", ""),
    ("core.c", "    raft_read_only_reset(&r->read_only);\n", ""),
    ("core.c", "    r->lead_transferee = FLOE_ID_NONE;\n    raft_tracker_reset_votes", "    raft_tracker_reset_votes"),
    ("core.c", ".match = pr->id == r->id ? last : 0,", ".match = 0,"),
    ("core.c", "self != NULL && !self->is_learner && !raft_log_has_snapshot(&r->log)", "self != NULL && !raft_log_has_snapshot(&r->log)"),
    ("raft.c", "r->election_elapsed < r->randomized_election_timeout", "r->election_elapsed < r->election_timeout"),
    ("raft.c", "if (r->state == FLOE_STATE_LEADER) /* a transfer", "if (false) /* a transfer"),
    ("core.c", "type == FLOE_MSG_APP_RESP || type == FLOE_MSG_VOTE_RESP ||\n           type == FLOE_MSG_PRE_VOTE_RESP", "type == FLOE_MSG_APP_RESP || type == FLOE_MSG_VOTE_RESP"),
    ("core.c", "m.term = forwarded ? 0 : r->term;", "m.term = r->term;"),
    ("applied.c", "applied >= r->pending_conf_index &&", "applied > r->pending_conf_index &&"),
    ("election.c", "r->election_elapsed < r->election_timeout;", "r->election_elapsed < r->randomized_election_timeout;"),
    ("election.c", "(r->vote == FLOE_ID_NONE && r->lead == FLOE_ID_NONE)", "(r->vote == FLOE_ID_NONE)"),
    ("election.c", "(m->type == FLOE_MSG_PRE_VOTE && m->term > r->term)", "(m->type == FLOE_MSG_PRE_VOTE)"),
    ("election.c", ".term = grant ? m->term : r->term,", ".term = r->term,"),
    ("election.c", "if (grant && m->type == FLOE_MSG_VOTE) {", "if (grant) {"),
    ("election.c", "        r->election_elapsed = 0;\n        r->vote = m->from;", "        r->vote = m->from;"),
    ("election.c", "if (!leased || is_transfer(m->context))", "if (!leased)"),
    ("step.c", "if (m->type == FLOE_MSG_PRE_VOTE_RESP && !m->reject)", "if (m->type == FLOE_MSG_PRE_VOTE_RESP)"),
    ("step.c", "(r->check_quorum || r->pre_vote) &&", "r->check_quorum &&"),
    ("step.c", "        if (m->snapshot != NULL)\n            raft_applied_snapshot(r, m->snapshot);\n    } else", "    } else"),
    ("step.c", "comes_from_leader(m->type) ? m->from : FLOE_ID_NONE", "m->from"),
    ("follower.c", "if (m->index < r->log.committed) {", "if (m->index <= r->log.committed) {"),
    ("follower.c", "m->index < last ? m->index : last, m->log_term", "last, m->log_term"),
    ("follower.c", "    r->election_elapsed = 0;\n    r->lead = m->from;", "    r->lead = m->from;"),
    ("follower.c", "raft_hup(r, RAFT_CAMPAIGN_TRANSFER);", "raft_hup(r, RAFT_CAMPAIGN_ELECTION);"),
    ("follower.c", "if (r->disable_proposal_forwarding) {", "if (false) {"),
    ("follower.c", ".context = floe_blob_ref(m->context)});", "});"),
    ("candidate.c", "raft_campaign(r, RAFT_CAMPAIGN_ELECTION);", "raft_become_candidate(r);"),
    ("candidate.c", "            raft_bcast_append(r);\n", ""),
    ("leader.c", "if (r->trk.progress.item[i].id != r->id)\n            r->trk.progress.item[i].recent_active = false;", ";"),
    ("leader.c", "    pr->flow_paused = false; /* lets", "    /* lets"),
    ("leader.c", "pr->match < raft_log_last_index(&r->log) || pr->state == FLOE_PROGRESS_PROBE", "pr->match < raft_log_last_index(&r->log)"),
    ("leader.c", "    r->election_elapsed = 0; /* it has", "    /* it has"),
    ("leader.c", "        pr->pending_snapshot = 0; /* it did", "        /* it did"),
    ("leader.c", "    pr->flow_paused = true;\n}", "}"),
    ("leader.c", "if (pr->is_learner) {", "if (false) {"),
    ("append.c", "r->uncommitted_size > 0 && payload_size > 0 &&", "payload_size > 0 &&"),
    ("proposal.c", "        entry->type_set = true;\n", ""),
    ("proposal.c", "raft_log_last_index(&r->log) + at + 1", "raft_log_last_index(&r->log) + 1"),
    ("proposal.c", "if (r->lead_transferee != FLOE_ID_NONE) {", "if (false) {"),
    ("replicate.c", "if (!pr->recent_active) {", "if (false) {"),
    ("replicate.c", "bool throttled = pr->state == FLOE_PROGRESS_REPLICATE &&", "bool throttled = false &&"),
    ("replicate.c", "pr->match < r->log.committed ? pr->match : r->log.committed", "r->log.committed"),
    ("replicate.c", "        pr->sent_commit = commit;\n", ""),
    ("acknowledge.c", "if (pr->match + 1 < raft_log_first_index(&r->log))", "if (pr->match < pr->pending_snapshot)"),
    ("acknowledge.c", "        raft_release_pending_reads(r);\n", ""),
    ("acknowledge.c", "!(pr->match == m->index && pr->state == FLOE_PROGRESS_PROBE)", "true"),
    ("acknowledge.c", "if (m->log_term > 0)", "if (false)"),
    ("reads.c", "if (!committed_in_term(r)) { /*", "if (false) { /*"),
    ("reads.c", "raft_tracker_is_singleton(&r->trk)", "false"),
    ("read_only.c", "if (number > ro->acks[i].number)", "if (true)"),
    ("membership.c", "        if (r->step_down_on_removal)\n", "        if (true)\n"),
    ("membership.c", "    if (raft_maybe_commit(r)) {\n        raft_bcast_append(r);\n    } else {", "    {"),
    ("membership.c", "!raft_config_is_voter(&r->trk.config, r->lead_transferee)", "false"),
    ("membership.c", "if (!raft_log_matches(&r->log, id))\n        return true;", "return true;"),
    ("ready.c", "m.log_term = last.term;", "m.log_term = r->term;"),
    ("ready.c", "hard.vote != r->prev_hard.vote ||", ""),
    ("ready.c", "        m.vote = ready->hard_state.vote;\n", ""),
    ("step.c", "    raft_reduce_uncommitted(r, raft_payloads_size(m->entries, m->entry_count));", "    raft_reduce_uncommitted(r, raft_entries_size(m->entries, m->entry_count));"),
    ("core.c", "    r->heartbeat_elapsed = 0;\n    draw", "    draw"),
    ("core.c", "    r->election_elapsed = 0;\n    r->heartbeat_elapsed = 0;\n    draw", "    r->heartbeat_elapsed = 0;\n    draw"),
    ("raft.c", "    r->heartbeat_elapsed = 0;\n    step_self", "    step_self"),
    ("applied.c", "floe_index applied = index > r->log.applied ? index : r->log.applied;", "floe_index applied = index;"),
    ("election.c", "    floe_index at = r->log.applied + 1;", "    floe_index at = r->log.applying + 1;"),
    ("membership.c", "    if (self == NULL || r->is_learner) {", "    if (self == NULL) {"),
    ("read_only.c", "    ro->ack_count = 0;\n    ro->confirmed = 0;", "    ro->confirmed = 0;"),
    ("candidate.c", "    } else if (m->type == FLOE_MSG_SNAP) {\n        raft_become_follower(r, m->term, m->from);", "    } else if (m->type == FLOE_MSG_SNAP) {\n        raft_become_follower(r, m->term, 0);"),
    ("log.c", "    uint64_t room = log->max_applying_size > log->applying_size\n                        ? log->max_applying_size - log->applying_size\n                        : 0;", "    uint64_t room = log->max_applying_size;"),
    ("proposal.c", "    if (r->pending_conf_index > r->log.applied)", "    if (r->pending_conf_index > r->log.applying)"),
    ("proposal.c", "    if (r->pending_conf_index > r->log.applied)", "    if (r->pending_conf_index > r->log.committed)"),
    ("reads.c", "                     .index = index,", "                     .index = r->log.committed,"),
    ("progress.c", "    reset_state(pr, FLOE_PROGRESS_SNAPSHOT);\n    pr->pending", "    pr->state = FLOE_PROGRESS_SNAPSHOT; pr->flow_paused = false;\n    pr->pending"),
    ("follower.c", "    if (m->index < r->log.committed) {", "    if (m->index < r->log.committed && m->entry_count > 0) {"),
    ("membership.c", "    r->is_learner = self != NULL && self->is_learner;\n", "    r->is_learner = r->is_learner || (self != NULL && self->is_learner);\n"),
    ("step.c", "    if (m->index != 0)\n        raft_unstable_stable_to", "    if (m->index != 0 && m->snapshot == NULL)\n        raft_unstable_stable_to"),
]


def run(command, **kw):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw).returncode


# The folder has targets of other floors too.
CORE_FUZZ = ("raft_fuzz.c", "replay.c", "world.c")


class Workshop:
    """Objects of everything that is not mutated, built once."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(os.path.join(ROOT, "src"), os.path.join(folder, "src"))
        self.include = ["-I" + os.path.join(ROOT, "include"), "-I" + os.path.join(folder, "src"),
                        "-I" + os.path.join(ROOT, "test/script"), "-I" + os.path.join(ROOT, "test/fuzz")]
        self.objects = {"raft": {}, "script": [], "fuzz": [], "base": [], "unit": []}
        for name in sorted(os.listdir(os.path.join(ROOT, "src/raft"))):
            if name.endswith(".c"):
                self.objects["raft"][name] = self.compile(os.path.join(folder, "src/raft", name))
        for group, path in (("base", "src/base"), ("script", "test/script"), ("fuzz", "test/fuzz")):
            for name in sorted(os.listdir(os.path.join(ROOT, path))):
                if name.endswith(".c") and (group != "fuzz" or name in CORE_FUZZ):
                    self.objects[group].append(self.compile(os.path.join(ROOT, path, name)))

        self.objects["unit"].append(self.compile(os.path.join(ROOT, "test/unit/raft/core_test.c")))

    def compile(self, source, out=None):
        out = out or os.path.join(self.folder, source.replace("/", "_") + ".o")
        subprocess.run(["gcc", *FLAGS, *self.include, "-c", source, "-o", out], check=True)
        return out

    def link(self, group, raft):
        out = os.path.join(self.folder, group)
        subprocess.run(["gcc", *self.objects[group], *raft.values(), *self.objects["base"], "-lcmocka", "-o", out],
                       check=True)
        return out

    def caught_by(self, raft):
        script = self.link("script", raft)
        if run([script, "--strict", os.path.join(ROOT, "test/scenario/raft")], timeout=300):
            return "scenarios"
        if run([self.link("unit", raft)], timeout=300):
            return "unit"
        if os.path.isdir(TRACES) and run([script, "--strict", TRACES], timeout=300):
            return "traces"
        if run([self.link("fuzz", raft), "--random", "1", "4000", "600"], timeout=300):
            return "fuzz"
        return None

    def try_mutant(self, name, old, new):
        path = os.path.join(self.folder, "src/raft", name)
        text = open(path).read()
        if text.count(old) < 1:
            return "stale"
        with open(path, "w") as f:
            f.write(text.replace(old, new, 1))
        try:
            raft = dict(self.objects["raft"])
            raft[name] = self.compile(path, os.path.join(self.folder, "mutant.o"))
            try:
                return self.caught_by(raft)
            except subprocess.TimeoutExpired:
                return "does not end"
        finally:
            with open(path, "w") as f:
                f.write(text)


def main():
    chosen = [int(a) for a in sys.argv[1:] if a.isdigit()] or range(1, len(MUTANTS) + 1)
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        shop = None if "--list" in sys.argv else Workshop(folder)
        if shop is not None:
            assert shop.caught_by(shop.objects["raft"]) is None, "the suite fails without any mutant"
        for number in chosen:
            name, old, new = MUTANTS[number - 1]
            verdict = shop.try_mutant(name, old, new) if shop else ""
            print("%3d %-14s %-12s %s -> %s" % (number, name, verdict or "SURVIVED", " ".join(old.split())[:60],
                                                " ".join(new.split())[:40]), flush=True)
            if shop and verdict in (None, "stale"):
                survivors.append(number)
    print("%d mutants, %d caught, not caught: %s" % (len(chosen), len(chosen) - len(survivors), survivors or "none"))
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
