"""Members come and go."""
import subprocess
import sys
import time

from harness import FLOED, Cluster, main, wait_for


def ids(node):
    return {m["id"] for m in node.status()["members"]}


def is_voter(node, member_id):
    return any(m["id"] == member_id and not m["learner"] for m in node.status()["members"])


def test_added_node_joins_as_learner_and_is_promoted_by_itself():
    with Cluster(snapshot_entries=100) as c:
        c.start()
        for i in range(300):
            c.nodes[1].put("m%d" % i, b"%d" % i)
        n4 = c.add_node(4, via=c.followers()[0])
        wait_for("node 4 is a voter everywhere", lambda: all(is_voter(n, 4) for n in c.nodes.values()))
        assert n4.get("m299").body == b"299"
        assert n4.put("from4", b"4").status == 204
        assert c.nodes[1].get("from4").body == b"4"
        wait_for("all names", lambda: all(m["name"] for m in n4.status()["members"]))
        assert c.nodes[1].request("POST", "/4", n4.peer_url).status == 409
        assert c.nodes[1].request("POST", "/5", n4.peer_url).status == 409  # its address is in use
        n4.kill()
        n4.start()  # join = true is ignored now
        assert n4.get("from4").body == b"4"


def test_added_node_without_join_says_that_and_no_more():
    with Cluster() as c:
        c.start()
        c.nodes[1].put("k", b"v")
        n4 = c.add_node(4, via=c.nodes[1], start=False)
        n4.write_conf(c.members + [(4, n4.peer_url)], extra=c.extra, **c.raft)  # join is forgotten
        n4.start(wait=False)
        assert n4.wait_exit(20) == 3
        assert "an empty data directory and join = true" in n4.log(), n4.log()[-2000:]
        assert "--reseed" not in n4.log(), n4.log()[-2000:]


def test_answer_to_a_change_tells_its_place_in_the_log():
    with Cluster() as c:
        c.start()
        places = []
        for n in (c.leader(), c.followers()[0]):
            for method in ("POST", "DELETE"):
                r = n.request(method, "/%d" % (7 + n.id), b"http://127.0.0.1:9")
                assert r.status == 204 and "X-Floe-Revision" not in r.headers, (r.status, r.body)
                assert int(r.headers["X-Floe-Term"]) == n.health()["term"]
                places.append(int(r.headers["X-Floe-Index"]))
        assert sorted(set(places)) == places and places[-1] <= n.health()["applied"], places


def test_removed_node_learns_of_it_and_exits_with_0():
    with Cluster() as c:
        c.start()
        victim = c.followers()[0]
        other = [n for n in c.up() if n is not victim][0]
        assert other.request("DELETE", "/%d" % victim.id).status == 204
        assert victim.wait_exit() == 0
        assert "removed from the cluster" in victim.log()
        again = subprocess.run([FLOED, "--config", victim.conf_path], capture_output=True, text=True, timeout=20)
        assert again.returncode == 0 and "removed from the cluster" in again.stderr, again
        assert other.request("DELETE", "/%d" % victim.id).status == 404
        assert other.request("POST", "/%d" % victim.id, victim.peer_url).status == 409
        assert other.put("still", b"works").status == 204
        n4 = c.add_node(4, via=other, peer_port=victim.peer_port)  # its address may be used again
        wait_for("node 4 is a voter", lambda: is_voter(other, 4))
        assert n4.get("still").body == b"works"


def test_node_removed_while_it_was_down_is_told_when_it_comes_back():
    with Cluster() as c:
        c.start()
        victim = c.followers()[0]
        victim.kill()
        other = c.up()[0]
        c.leader()
        assert other.request("DELETE", "/%d" % victim.id).status == 204
        victim.start(wait=False)
        assert victim.wait_exit(20) == 0
        assert "removed from the cluster" in victim.log()


def test_removing_the_leader_hands_leadership_over_first():
    with Cluster() as c:
        c.start()
        leader = c.leader()
        term = leader.health()["term"]
        via = c.followers()[0]
        assert via.request("DELETE", "/%d" % leader.id).status == 204
        assert leader.wait_exit() == 0
        leader.process = None
        new = c.leader()
        assert new is not leader and new.put("x", b"y").status == 204
        assert "handing leadership over" in leader.log()
        assert new.health()["term"] == term + 1, "one orderly change of leaders"


def test_node_asked_to_remove_itself_answers_and_exits():
    with Cluster() as c:
        c.start()
        for victim in (c.leader(), None):
            victim = victim or c.leader()
            if len(c.up()) == 1:
                break
            r = victim.request("DELETE", "/%d" % victim.id)
            assert r.status == 204, (r.status, r.body)
            assert victim.wait_exit() == 0
            assert c.up()[0].put("alive", b"1").status == 204


def test_node_that_was_down_finds_members_that_joined_meanwhile():
    with Cluster() as c:
        c.start()
        sleeper = c.followers()[0]
        sleeper.kill()
        c.leader()
        n4 = c.add_node(4, via=c.up()[0])
        wait_for("node 4 is a voter", lambda: is_voter(c.leader(), 4))
        n5 = c.add_node(5, via=n4)
        wait_for("node 5 is a voter", lambda: is_voter(c.leader(), 5))
        for old in list(c.up()):
            if old.id in (1, 2, 3):
                assert c.leader().request("DELETE", "/%d" % old.id).status in (204,), old.id
                old.wait_exit()
                break
        sleeper.start()
        wait_for("the sleeper knows 5", lambda: {4, 5} <= ids(sleeper))
        assert sleeper.put("awake", b"1").status == 204
        assert n5.get("awake").body == b"1"


def test_change_is_refused_while_another_is_under_way_or_without_quorum():
    with Cluster(extra={"limits": {"request_timeout_ms": 1500}}) as c:
        c.start()
        leader = c.leader()
        for n in c.followers():
            n.kill()
        first = leader.request("POST", "/8", b"http://127.0.0.1:9")
        assert first.status in (503, 504), first.status
        c2 = leader.request("POST", "/9", b"http://127.0.0.1:10")
        assert c2.status == 503 and c2.headers["Retry-After"], c2.status


def test_learner_that_never_starts_can_be_removed_and_blocks_nobody():
    with Cluster() as c:
        c.start()
        c.add_node(4, via=c.nodes[1], start=False)
        time.sleep(0.5)
        assert not is_voter(c.nodes[1], 4)
        assert c.nodes[2].put("w", b"1").status == 204
        assert c.nodes[2].request("DELETE", "/4").status == 204
        assert 4 not in ids(c.leader())


def test_the_two_largest_ids_are_written_with_all_their_digits():
    big, other = 2**64 - 3, 2**64 - 4  # the same number to who computes with doubles
    with Cluster(ids=[big]) as c:
        n = c.start().nodes[big]
        text = n.request("GET", "/health").body.decode()
        assert '"id":%d,' % big in text and '"leader":%d,' % big in text, text
        assert n.put("k", b"v").status == 204
        n.kill()
        n.start()
        assert n.get("k").body == b"v"
        assert "started id=%d cluster" % big in n.log()
        m = c.add_node(other, via=n)
        wait_for("both are voters", lambda: is_voter(m, big) and is_voter(n, other))
        wait_for("names", lambda: {x["name"] for x in n.status()["members"]} == {"n%d" % big, "n%d" % other})
        text = m.request("GET", "/status").body.decode()
        assert text.count('"id":%d,' % big) == 1 and text.count('"id":%d,' % other) == 2, text
        assert m.get("k").body == b"v" and m.put("k", b"w").status == 204
        assert "peer connected id=%d " % big in m.log() and "peer connected id=%d " % other in n.log()
        assert n.request("POST", "/%d" % big, b"http://127.0.0.1:9").status == 409
        assert n.request("DELETE", "/%d" % other).status == 204
        assert m.wait_exit() == 0
        assert ids(n) == {big} and n.get("k").body == b"w"
        n.terminate()
        with open(n.conf_path) as f:
            conf = f.read()
        with open(n.conf_path, "w") as f:
            f.write(conf.replace('"%d' % big, '"%d' % other))
        wrong = subprocess.run([FLOED, "--config", n.conf_path], capture_output=True, text=True, timeout=20)
        assert wrong.returncode == 1, wrong
        assert "belongs to member %d, the configuration says id = %d" % (big, other) in wrong.stderr, wrong


if __name__ == "__main__":
    main(sys.modules[__name__])
