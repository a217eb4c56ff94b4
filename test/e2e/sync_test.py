"""An answered write is on the disks of a majority: seen from outside of the process, at the system calls."""
import os
import sys

from harness import Cluster, main

SPY = os.environ["SYNC_SPY_LIB"]


class Spied(Cluster):
    """A cluster whose syncs are noted; how: a value of [storage] sync, or "none" where there is no io_uring."""

    def __init__(self, size, how="auto"):
        super().__init__(size, extra={"storage": {"sync": '"%s"' % ("auto" if how == "none" else how)}})
        for n in self.nodes.values():
            n.env = {"LD_PRELOAD": SPY, "SYNC_SPY": self.spy_file(n),
                     "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
            if how == "none":
                n.env["SYNC_SPY_NO_URING"] = "1"

    def spy_file(self, node):
        return os.path.join(self.dir, "%d.syncs" % node.id)

    def syncs(self, node, folder, how=("fdatasync", "fsync", "uring", "direct")):
        try:
            lines = open(self.spy_file(node)).read().splitlines()
        except FileNotFoundError:
            return 0
        return sum(line.split(" ")[0] in how and "/%d/%s" % (node.id, folder) in line for line in lines)


def writes_are_synced_before_they_are_answered(size, how):
    with Spied(size, how) as c:
        try:
            c.start()
        except AssertionError:
            if how in ("direct", "uring") and "does not work here" in c.nodes[1].log():
                print("  SKIPPED: sync = \"%s\" does not work here" % how)
                return
            raise
        leader = c.leader()
        for i in range(20):
            before = {n.id: c.syncs(n, "wal/") for n in c.nodes.values()}
            assert leader.put("k%d" % i, b"v").status == 204
            synced = [n.id for n in c.nodes.values() if c.syncs(n, "wal/") > before[n.id]]
            assert len(synced) > size // 2, (i, synced, before)
        seen = {h: c.syncs(leader, "wal/", (h,)) for h in ("fdatasync", "uring", "direct")}
        print("  syncs of the leader's log:", seen)
        assert {"direct": seen["direct"] > 0, "uring": seen["uring"] > 0 and seen["direct"] == 0, "auto": True}.get(
            how, seen["uring"] == seen["direct"] == 0)


def test_answer_comes_after_the_sync_of_a_sole_member():
    for how in ("auto", "direct", "uring", "inline", "none"):
        writes_are_synced_before_they_are_answered(1, how)


def test_answer_comes_after_the_syncs_of_a_majority():
    for how in ("auto", "direct", "uring", "inline", "none"):
        writes_are_synced_before_they_are_answered(3, how)


def test_a_vote_is_synced_before_it_is_given():
    with Spied(3) as c:
        c.start()
        for _ in range(3):
            leader = c.leader()
            before = {n.id: c.syncs(n, "wal/") for n in c.nodes.values()}
            term = leader.health()["term"]
            leader.kill()
            successor = c.leader()
            assert successor.health()["term"] > term
            voters = [n.id for n in c.up() if c.syncs(n, "wal/") > before[n.id]]
            assert len(voters) == 2, (voters, before)
            leader.start()


if __name__ == "__main__":
    main(sys.modules[__name__])
