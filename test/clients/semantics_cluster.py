"""Three members: requests at any of them, a leader that moves or dies, no majority (see compare.py)."""
import json
import time

from gateway import Recorder, b64
from semantics_http import shape
from semantics_kv import get, put, put_op, txn
from stores import harness, port_of

wait_for = harness.wait_for


def at(c, name):
    """Another recorder on that member; it records into the same list."""
    other = Recorder(port_of(c.store.endpoint(name)))
    other.records, other.leases, other.base = c.records, c.leases, c.base
    other.store = c.store
    return other


def others(c, than):
    return [n for n in ("n1", "n2", "n3") if n != than]


def scenario_cluster3_any_member(c):
    leader = c.store.leader_name()
    one, two = [at(c, n) for n in others(c, leader)]
    here = at(c, leader)
    put(one, "any/a", "1")
    for member in (here, one, two):
        get(member, "any/a")
    put(here, "any/a", "2", prev_kv=True)
    get(two, "any/a")
    w = two.stream("watch", {"create_request": {"key": b64("any/a"), "prev_kv": True}})
    two.got(w, 1)
    txn(one, [{"key": b64("any/a"), "target": "VERSION", "version": 2}], [put_op("any/a", "3"), put_op("any/b", "1")])
    two.events(w, 1)
    w.close()
    lease = one.call("lease/grant", {"TTL": 60})["ID"]
    put(two, "any/l", "1", lease=lease)
    for member in (here, one, two):
        member.call("lease/timetolive", {"ID": lease, "keys": True}, record=False)
        member.got(member.stream("lease/keepalive", {"ID": lease}), 1)
        member.got(member.stream("lease/keepalive", {"ID": 12}), 1)
    two.call("lease/revoke", {"ID": lease})
    get(here, "any/l")
    get(one, "any/l", revision=c.rev(100))
    get(two, "any/", "any0")
    lost = 0
    put(here, "any/count", "0")
    for number in range(60):
        member = (here, one, two)[number % 3]
        old = json.loads(member.raw("kv/range", json.dumps({"key": b64("any/count")}).encode(), record=False)[1])["kvs"][0]
        done = json.loads(member.raw("kv/txn", json.dumps({
            "compare": [{"key": b64("any/count"), "target": "MOD", "mod_revision": old["mod_revision"]}],
            "success": [put_op("any/count", str(number + 1))]}).encode(), record=False)[1])
        lost += not done.get("succeeded")
    c.say("increments that were lost", lost)


def scenario_cluster3_refused(c):
    """A transaction that one member refuses (its read's revision is in the future) is refused by all."""
    here = at(c, "n1")
    put(here, "refused/a", "1")
    txn(here, None, [put_op("refused/x", "1"), {"request_range": {"key": b64("refused/a"), "revision": c.rev(100)}}])
    put(here, "refused/b", "1")
    time.sleep(0.5)
    seen = []
    for name in ("n1", "n2", "n3"):
        found = json.loads(at(c, name).raw("kv/range", json.dumps({
            "key": b64("refused/"), "range_end": b64("refused0"), "serializable": True}).encode(), record=False)[1])
        seen.append((int(found["header"]["revision"]) - c.base, found.get("count")))
    c.say("every member refused it", seen == [(2, "2")] * 3)


def scenario_cluster3_members(c):
    time.sleep(6)  # etcd calls members healthy that were connected for 5 s
    shape(c, "member/list", c.call("cluster/member/list", {}, record=False))
    added = c.call("cluster/member/add", {"peerURLs": ["http://127.0.0.1:9"], "isLearner": True}, record=False)
    shape(c, "add a learner", added)
    one = added.get("member", {}).get("ID")
    shape(c, "a second learner", c.call("cluster/member/add", {"peerURLs": ["http://127.0.0.1:8"], "isLearner": True}, record=False))
    shape(c, "promote it", c.call("cluster/member/promote", {"ID": one}, record=False))
    shape(c, "the same address", c.call("cluster/member/add", {"peerURLs": ["http://127.0.0.1:9"]}, record=False))
    shape(c, "remove it", c.call("cluster/member/remove", {"ID": one}, record=False))
    shape(c, "member/list", c.call("cluster/member/list", {}, record=False))


def scenario_cluster3_transfer(c):
    leader = c.store.leader_name()
    here = at(c, leader)
    target = others(c, leader)[0]
    ident = json.loads(at(c, target).raw("maintenance/status", b"{}", record=False)[1])["header"]["member_id"]
    shape(c, "at a follower", at(c, target).call("maintenance/transfer-leadership", {"targetID": ident}, record=False))
    shape(c, "at the leader", here.call("maintenance/transfer-leadership", {"targetID": ident}, record=False))
    c.say("it leads", c.store.leader_name() == target)
    shape(c, "a wrong one", at(c, target).call("maintenance/transfer-leadership", {"targetID": 4711}, record=False))


def scenario_cluster3_leader_dies(c):
    """Leases go on, a watch at a follower as well, and nothing is lost."""
    leader = c.store.leader_name()
    here = at(c, others(c, leader)[0])
    lease = here.call("lease/grant", {"TTL": 10})["ID"]
    put(here, "dies/a", "1", lease=lease)
    w = here.stream("watch", {"create_request": {"key": b64("dies/"), "range_end": b64("dies0")}})
    here.got(w, 1)
    c.store.kill(leader)
    wait_for("another leader", lambda: c.store.leader_name() != leader, 20)
    get(here, "dies/a")
    put(here, "dies/b", "1")
    here.events(w, 1)
    left = int(here.call("lease/timetolive", {"ID": lease}, record=False)["TTL"])
    c.say("the lease is not shorter than it was", left >= 5)
    here.got(here.stream("lease/keepalive", {"ID": lease}), 1)
    here.events(w, 2, 18)
    get(here, "dies/a")
    w.close()
    c.store.start_one(leader)


def scenario_cluster3_no_majority(c):
    leader = c.store.leader_name()
    here = at(c, others(c, leader)[0])
    put(here, "alone/a", "1")
    lease = here.call("lease/grant", {"TTL": 60})["ID"]
    w = here.stream("watch", {"create_request": {"key": b64("alone/a")}})
    here.got(w, 1)
    c.store.kill(leader)
    c.store.kill(others(c, leader)[1])
    time.sleep(3)
    get(here, "alone/a", serializable=True)
    get(here, "alone/", "alone0", serializable=True, count_only=True)
    get(here, "alone/a", serializable=True, revision=c.rev(50))
    shape(c, "member/list", here.call("cluster/member/list", {}, record=False))
    status = here.call("maintenance/status", {}, record=False)
    c.say("status", {"leader": "leader" in status, "errors": status.get("errors")})
    here.raw("health", b"", method="GET", prefix="/")
    here.raw("version", b"", method="GET", prefix="/")
    get(here, "alone/a")
    put(here, "alone/a", "2")
    txn(here, None, [{"request_range": {"key": b64("alone/a"), "serializable": True}}])
    txn(here, None, [{"request_range": {"key": b64("alone/a")}}])
    here.call("lease/grant", {"TTL": 60})
    here.call("lease/timetolive", {"ID": lease})
    here.got(here.stream("lease/keepalive", {"ID": lease}), 1, 12)
    here.got(w, 1, 0.5, note="the watch stays open: ")
    c.say("the watch has ended", w.answer.ended)
    w2 = here.stream("watch", {"create_request": {"key": b64("alone/a"), "start_revision": c.rev(1)}})
    here.got(w2, 2, 2)
    w.close()
    w2.close()
    put(here, "", "bad arguments are told at once")
    c.store.start_one(leader)
    wait_for("a leader", lambda: c.store.leader_name(), 30)
    get(here, "alone/none")
