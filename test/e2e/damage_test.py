"""Damaged and rolled-back data directories: refused with status 3, left as they are, re-seeded."""
import glob
import os
import re
import shutil
import sys

from harness import Cluster, main, wait_for


def put_all(node, keys):
    for k in keys:
        assert node.put(k, b"v" + k.encode()).status == 204


def test_old_copy_of_the_directory_is_found_out_and_never_taken_again():
    with Cluster() as c:
        c.start()
        victim = c.followers()[0]
        put_all(c.leader(), ["a%d" % i for i in range(20)])
        victim.terminate()
        old = victim.dir + ".old"
        shutil.copytree(victim.dir, old)
        victim.start()
        put_all(c.leader(), ["b%d" % i for i in range(50)])
        wait_for("it has all", lambda: victim.health()["applied"] == c.leader().health()["applied"])
        victim.kill()
        shutil.rmtree(victim.dir)
        shutil.copytree(old, victim.dir)
        for _ in range(3):  # the first time it is found out, then it stays so
            victim.start(wait=False)
            assert victim.wait_exit(5) == 3
        assert "the data directory was rolled back: member" in victim.log(), victim.log()
        assert "counts on committed entries up to" in victim.log()
        assert len(re.findall(r"cannot start: the data directory was rolled back", victim.log())) == 2
        assert "Assert" not in victim.log() and "--reseed" in victim.log()
        assert c.leader().put("after", b"1").status == 204


def flip_in_the_middle(node):
    path = sorted(glob.glob(os.path.join(node.dir, "wal", "*.wal")))[-1]
    data = open(path, "rb").read()
    with open(path, "r+b") as f:
        f.seek(len(data.rstrip(b"\0")) // 2)
        f.write(b"\xff" * 8)
    return os.path.basename(path)


def test_damaged_member_is_reseeded_by_one_command_and_votes_again():
    for snapshot_entries in (100000, 50):
        with Cluster(snapshot_entries=snapshot_entries) as c:
            c.start()
            keys = ["k%d" % i for i in range(300)]
            put_all(c.nodes[1], keys)
            victim = c.followers()[0]
            victim.kill()
            name = flip_in_the_middle(victim)
            victim.start(wait=False)
            assert victim.wait_exit(5) == 3
            last = [line for line in victim.log().splitlines() if "cannot start" in line][-1]
            assert re.search(r"%s: damaged at offset \d+.*good up to index \d+.*--reseed" % name, last), last
            put_all(c.leader(), ["late%d" % i for i in range(20)])
            victim.start(args=["--reseed"])
            wait_for("it is a voter", lambda: any(
                m["id"] == victim.id and not m["learner"] for m in victim.status()["members"])
                and victim.request("GET", "/readyz").status == 200)
            for k in keys + ["late19"]:
                assert victim.get(k).body == b"v" + k.encode(), k
            log = victim.log()
            assert log.index("starts anew, does not count yet") < log.index("counts again, as a learner")
            assert "learner has caught up, promoting id=%d" % victim.id in c.leader().log()
            aside = glob.glob(os.path.join(victim.dir, "wal.damaged-*", name))
            assert len(aside) == 1  # nothing is deleted
            victim.kill()  # an ordinary member: it starts without --reseed, and its vote counts
            victim.start()
            other = [n for n in c.up() if n is not victim and n is not c.leader()][0]
            other.kill()
            assert victim.put("two-are-a-majority", b"1").status == 204
            c.leader().kill()
            other.start()
            c.leader()
            assert other.put("again", b"1").status == 204 and victim.get("again").body == b"1"


def damage(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        f.write(b"\xff" * 4)


def index_of(path):
    return int(os.path.basename(path)[:16], 16)


def test_damaged_snapshot_falls_back_and_two_damaged_ones_are_refused():
    with Cluster(1, snapshot_entries=50) as c:
        n = c.start().nodes[1]
        keys = ["k%d" % i for i in range(100)]
        put_all(n, keys)
        for i in range(200):  # so much that the log's first segment goes
            assert n.put("big", b"%d" % i + b"x" * 100000).status == 204
        wait_for("the first segment is gone",
                 lambda: not os.path.exists(os.path.join(n.dir, "wal", "%016x.wal" % 1)))
        snapshots = lambda: sorted(glob.glob(os.path.join(n.dir, "snap", "*.snap")))
        wait_for("two snapshots are kept", lambda: len(snapshots()) == 2)
        n.terminate()
        older, newest = snapshots()[-2:]  # one more may be left of the end
        damage(newest)
        n.start()
        assert all(n.get(k).body == b"v" + k.encode() for k in keys)
        line = [x for x in n.log().splitlines() if "cannot be used" in x][-1]
        assert os.path.basename(newest) in line and "from the one at %d " % index_of(older) in line, line
        n.kill()
        for path in snapshots():
            if path != newest:
                damage(path)
        n.start(wait=False)
        assert n.wait_exit(5) == 3
        line = [x for x in n.log().splitlines() if "cannot start" in x][-1]
        assert newest in snapshots() and all(os.path.basename(path) in line for path in snapshots()), line


def test_deleted_log_is_refused_and_put_back_it_starts():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        for i in range(60):  # more than the first segment takes
            assert n.put("k%d" % i, b"%d" % i + b"x" * 100000).status == 204
        n.kill()
        names = sorted(glob.glob(os.path.join(n.dir, "wal", "*.wal")))
        assert len(names) == 2
        for path, says in ((names[-1], r"%s: missing: .*%s says at offset \d+.*good up to index \d+" %
                            tuple(map(os.path.basename, names[::-1]))),
                           (os.path.join(n.dir, "wal"), r"wal/ is missing or empty, but there is the file HAS_LOG")):
            os.rename(path, os.path.join(n.dir, "taken"))
            for _ in range(2):
                n.start(wait=False)
                assert n.wait_exit(5) == 3
                last = [line for line in n.log().splitlines() if "cannot start" in line][-1]
                assert re.search(says, last), last
            os.rename(os.path.join(n.dir, "taken"), path)
        n.start()
        assert all(n.get("k%d" % i).body == b"%d" % i + b"x" * 100000 for i in range(60))


def test_reseed_goes_on_after_a_kill_and_after_the_directory_is_gone():
    with Cluster() as c:
        c.start()
        put_all(c.nodes[1], ["k%d" % i for i in range(100)])
        victim = c.followers()[0]
        victim.kill()
        shutil.rmtree(victim.dir)
        for n in c.up():
            n.kill()  # nobody can admit it
        victim.start(args=["--reseed"])
        assert victim.request("GET", "/readyz").status == 503
        assert b"re-seeded" in victim.request("GET", "/readyz").body
        victim.kill()
        c.start()
        wait_for("it is a voter", lambda: any(
            m["id"] == victim.id and not m["learner"] for m in victim.status()["members"])
            and victim.get("k99").body == b"vk99")
        assert len(victim.status()["members"]) == 3


def test_reseed_of_a_single_member_is_refused():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        put_all(n, ["k"])
        n.kill()
        n.start(wait=False, args=["--reseed"])
        assert n.wait_exit(5) == 1
        assert "cannot re-seed: the configuration names no other member" in n.log()
        n.start()
        assert n.get("k").body == b"vk"


if __name__ == "__main__":
    main(sys.modules[__name__])
