"""Power cuts and kills: nothing that was acknowledged is ever lost."""
import glob
import os
import re
import sys
import threading
import time

from harness import Cluster, load, main, wait_for


def acknowledged_are_there(node, results, value_of):
    missing = [k for k, status in results.items() if status == 204 and node.get(k).body != value_of(k)]
    assert not missing, "%d acknowledged writes are lost, e.g. %s" % (len(missing), missing[:5])


def test_kill_of_the_leader_under_load_loses_no_acknowledged_write():
    with Cluster() as c:
        c.start()
        results = {}
        value = lambda key: b"v-" + key.encode()
        ports = [n.http_port for n in c.nodes.values()]

        def write():
            keys = ["k%d" % i for i in range(6000)]
            results.update(load(ports, [(k, value(k)) for k in keys], connections=6, depth=8, seconds=120))
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(2):
            time.sleep(0.7)
            victim = c.leader()
            victim.kill()
            time.sleep(0.7)
            victim.start()
        writer.join()
        acked = sum(s == 204 for s in results.values())
        assert acked > 3000, acked
        for n in c.nodes.values():
            acknowledged_are_there(n, dict(list(results.items())[::7]), value)
        acknowledged_are_there(c.leader(), results, value)


def test_all_three_killed_at_once_and_restarted():
    with Cluster(snapshot_entries=500) as c:
        c.start()
        value = lambda key: b"w" * 200 + key.encode()
        results = load([c.leader().http_port], [(k, value(k)) for k in ("a%d" % i for i in range(2000))])
        assert all(s == 204 for s in results.values())
        for n in c.up():
            n.process.kill()
        for n in c.nodes.values():
            n.process.wait()
            n.process = None
        c.start()
        for n in c.nodes.values():
            acknowledged_are_there(n, dict(list(results.items())[::5]), value)
        assert len(c.leader().status()["members"]) == 3


def last_segment(node):
    return sorted(glob.glob(os.path.join(node.dir, "wal", "*.wal")))[-1]


def test_restart_from_a_torn_log_tail():
    with Cluster() as c:
        c.start()
        for i in range(50):
            assert c.nodes[1].put("t%d" % i, b"%d" % i).status == 204
        victim = c.followers()[0]
        victim.kill()
        path = last_segment(victim)
        data = open(path, "rb").read()
        end = len(data.rstrip(b"\0"))
        with open(path, "r+b") as f:  # half of the last record is gone, rubbish behind it
            f.seek(end - 7)
            f.write(b"\xde\xad\xbe\xef" * 5)
        victim.start()
        c.leader()
        for i in range(50):
            assert victim.get("t%d" % i).body == b"%d" % i
        assert victim.put("after", b"1").status == 204


def test_damage_in_front_of_valid_records_is_refused_with_file_and_offset():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        for i in range(50):
            assert n.put("d%d" % i, b"x" * 100).status == 204
        n.kill()
        path = last_segment(n)
        whole = open(path, "rb").read()
        end = len(whole.rstrip(b"\0"))
        with open(path, "r+b") as f:
            f.seek(end // 2)
            f.write(b"\xff" * 8)
        n.start(wait=False)
        assert n.wait_exit(5) == 3
        last = [line for line in n.log().splitlines() if "cannot start" in line][-1]
        assert re.search(r"%s: damaged at offset \d+: .*; the log is good up to index \d+; .*--reseed"
                         % os.path.basename(path), last), last
        damaged = open(path, "rb").read()
        n.start(wait=False)
        assert n.wait_exit(5) == 3  # the same again, and the file is left as it is
        assert open(path, "rb").read() == damaged
        with open(path, "r+b") as f:  # no marker: with its bytes back, it starts
            f.write(whole)
        n.start()
        assert n.get("d49").body == b"x" * 100


def test_log_file_that_lost_its_end_is_refused():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        for i in range(50):
            assert n.put("d%d" % i, b"x" * 100).status == 204
        n.kill()
        path = last_segment(n)
        os.truncate(path, os.path.getsize(path) // 2)  # only reserved zeros are missing
        n.start(wait=False)
        assert n.wait_exit(5) == 3
        assert "the file ends there, but it was written safely with" in n.log()


def test_sigterm_of_the_leader_hands_over_and_ends_within_five_seconds():
    with Cluster() as c:
        c.start()
        for _ in range(3):
            leader = c.leader()
            status, seconds = leader.terminate()
            assert status == 0 and seconds < 5, (status, seconds)
            begin = time.monotonic()
            n = c.up()[0]
            assert n.put("handover", b"1").status == 204
            assert time.monotonic() - begin < 3
            leader.start()
        c.leader()


def test_sigterm_answers_what_is_pending():
    with Cluster() as c:
        c.start()
        results = {}
        leader = c.leader()
        t = threading.Thread(target=lambda: results.update(
            load([n.http_port for n in c.nodes.values() if n is not leader],
                 [("s%d" % i, b"x") for i in range(3000)], connections=4, depth=8)))
        t.start()
        time.sleep(0.3)
        status, seconds = leader.terminate()
        assert status == 0 and seconds < 5
        t.join()
        none = [k for k, s in results.items() if s not in (204, 503, 504)]
        assert not none, none[:5]


def test_stop_of_a_single_node():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        n.put("a", b"1")
        status, seconds = n.terminate()
        assert status == 0 and seconds < 5
        n.start()
        assert n.get("a").body == b"1"


if __name__ == "__main__":
    main(sys.modules[__name__])
