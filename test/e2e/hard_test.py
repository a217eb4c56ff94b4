"""Things that go wrong at a bad moment: kills in the middle of a snapshot, stale configuration, overload."""
import collections
import subprocess
import sys
import time

from harness import FLOED, Cluster, Node, free_ports, load, main, wait_for

VALUE = b"v" * 2000


def behind_by_a_snapshot(cluster):
    """(leader, a follower that was down while 20,000 writes went by)"""
    late = cluster.followers()[0]
    late.kill()
    leader = cluster.leader()
    results = load([leader.http_port], [("k%06d" % i, VALUE) for i in range(20000)], connections=16, depth=32)
    assert set(results.values()) == {204}
    return leader, late


def has_everything(node):
    return node.health()["applied"] > 20000 and node.request("GET", "/k000001?consistency=stale").body == VALUE


def test_receiver_killed_in_the_middle_of_a_snapshot():
    with Cluster(snapshot_entries=2000) as c:
        c.start()
        leader, late = behind_by_a_snapshot(c)
        for i in range(4):
            late.start(wait=False)
            time.sleep(0.2 + 0.1 * i)
            late.kill()
        late.start()
        wait_for("the late node has everything", lambda: has_everything(late), 60)
        assert leader.put("x", b"1").status == 204


def test_sender_killed_in_the_middle_of_a_snapshot():
    with Cluster(snapshot_entries=2000) as c:
        c.start()
        leader, late = behind_by_a_snapshot(c)
        late.start(wait=False)
        time.sleep(0.35)
        leader.kill()
        assert c.leader(30).put("x", b"1").status == 204
        wait_for("the late node has everything", lambda: has_everything(late), 60)


def test_join_with_a_member_list_that_is_out_of_date():
    with Cluster() as c:
        c.start()
        leader = c.leader()
        ports = free_ports(3)
        n = Node(c, 4, ports[0], ports[1])
        c.nodes[4] = n
        n.write_conf([(9, "http://127.0.0.1:%d" % ports[2]), (4, n.peer_url)], join=True)
        assert leader.request("POST", "/4", n.peer_url).status == 204
        n.start()
        wait_for("node 4 is a voter", lambda: any(m["id"] == 4 and not m["learner"] for m in leader.status()["members"]))
        assert n.put("x", b"y").status == 204


def test_overload_is_429_and_what_was_taken_is_done():
    limits = {"pending_bytes": 4000000, "value_bytes": 1000000, "body_bytes": 2000000}
    with Cluster(1, extra={"limits": limits}) as c:
        n = c.start().nodes[1]
        results = load([n.http_port], [("k%d" % i, b"v" * 900000) for i in range(120)], connections=40, depth=1)
        counts = collections.Counter(results.values())
        assert set(counts) == {204, 429}, counts
        for key, status in results.items():
            assert n.get(key).status == (200 if status == 204 else 404), key


def test_start_that_cannot_be_says_why_and_exits_with_1():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        text = open(n.conf_path).read()
        for change, word in (((n.dir, "/proc/nope"), "data directory"), ((n.dir, n.dir + "-other"), "listen")):
            with open(n.conf_path, "w") as f:
                f.write(text.replace(*change))
            r = subprocess.run([FLOED, "--config", n.conf_path], capture_output=True, text=True, timeout=20)
            assert r.returncode == 1 and word in r.stderr, (word, r.stderr)


if __name__ == "__main__":
    main(sys.modules[__name__])
