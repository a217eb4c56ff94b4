"""An answered write is on the disks of a majority: seen from outside of the process, at the system calls."""
import os
import sys

from harness import Cluster, main

SPY = os.environ["SYNC_SPY_LIB"]


class Spied(Cluster):
    """A cluster whose syncs are noted."""

    def __init__(self, size, uring):
        super().__init__(size)
        for n in self.nodes.values():
            n.env = {"LD_PRELOAD": SPY, "SYNC_SPY": self.spy_file(n),
                     "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
            if not uring:
                n.env["SYNC_SPY_NO_URING"] = "1"

    def spy_file(self, node):
        return os.path.join(self.dir, "%d.syncs" % node.id)

    def syncs(self, node, folder, how=("fdatasync", "fsync", "uring")):
        try:
            lines = open(self.spy_file(node)).read().splitlines()
        except FileNotFoundError:
            return 0
        return sum(line.split(" ")[0] in how and "/%d/%s" % (node.id, folder) in line for line in lines)


def writes_are_synced_before_they_are_answered(size, uring):
    with Spied(size, uring) as c:
        c.start()
        leader = c.leader()
        for i in range(20):
            before = {n.id: c.syncs(n, "wal/") for n in c.nodes.values()}
            assert leader.put("k%d" % i, b"v").status == 204
            synced = [n.id for n in c.nodes.values() if c.syncs(n, "wal/") > before[n.id]]
            assert len(synced) > size // 2, (i, synced, before)
        how = {h: c.syncs(leader, "wal/", (h,)) for h in ("fdatasync", "uring")}
        print("  syncs of the leader's log:", how)
        assert uring or how["uring"] == 0


def test_answer_comes_after_the_sync_of_a_sole_member():
    writes_are_synced_before_they_are_answered(1, uring=True)


def test_answer_comes_after_the_sync_of_a_sole_member_without_io_uring():
    writes_are_synced_before_they_are_answered(1, uring=False)


def test_answer_comes_after_the_syncs_of_a_majority():
    writes_are_synced_before_they_are_answered(3, uring=True)


def test_answer_comes_after_the_syncs_of_a_majority_without_io_uring():
    writes_are_synced_before_they_are_answered(3, uring=False)


def test_a_vote_is_synced_before_it_is_given():
    with Spied(3, True) as c:
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
