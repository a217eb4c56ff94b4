"""Leases, watches, locks and elections: what a real etcd answers is the measure (see compare.py)."""
import json
import time

from gateway import WebSocket, b64
from semantics_kv import delete_op, get, put, put_op, txn


# ---- leases ----

def scenario_lease_grant(c):
    for body in ({"TTL": 60}, {"TTL": "60", "ID": "0"}, {"TTL": 60, "ID": 1001}, {"TTL": 60, "ID": 1001}, {"TTL": 1},
                 {"TTL": 0}, {"TTL": -5}, {}, {"ID": 1002}, {"TTL": 9000000000}, {"TTL": 9000000001},
                 {"TTL": 9223372036854775807}, {"TTL": 60, "ID": -7}, {"TTL": 60, "ID": "9223372036854775807"},
                 {"TTL": "x"}, {"TTL": 1.5}, {"ttl": 10}, {"TTL": 60, "id": 5}):
        c.call("lease/grant", body)
    c.text("lease/grant", "")
    for one in (1001, 1002, -7, 9223372036854775807):
        c.call("lease/revoke", {"ID": one})


def scenario_lease_keys(c):
    p, end = "lease/", "lease0"
    one = c.call("lease/grant", {"TTL": 100, "ID": 2001})["ID"]
    two = c.call("lease/grant", {"TTL": 100})["ID"]
    put(c, p + "a", "1", lease=one)
    put(c, p + "b", "1", lease=int(one))
    put(c, p + "c", "1", lease=two)
    get(c, p, end)
    c.call("lease/timetolive", {"ID": one})
    c.call("lease/timetolive", {"ID": one, "keys": True})
    c.call("lease/timetolive", {"ID": int(two), "keys": True})
    c.call("kv/lease/timetolive", {"ID": one, "keys": True})
    put(c, p + "a", "2", lease=two, prev_kv=True)
    put(c, p + "b", "2")
    put(c, p + "c", "3", ignore_lease=True)
    get(c, p, end)
    c.call("lease/timetolive", {"ID": one, "keys": True})
    c.call("lease/timetolive", {"ID": two, "keys": True})
    c.call("kv/deleterange", {"key": b64(p + "a"), "prev_kv": True})
    c.call("lease/timetolive", {"ID": two, "keys": True})
    txn(c, [{"key": b64(p + "c"), "target": "LEASE", "lease": two}], [put_op(p + "d", "4", lease=one)])
    txn(c, [{"key": b64(p + "c"), "target": "LEASE", "result": "GREATER", "lease": "1"}], [put_op(p + "e", "4", lease=one)])
    c.call("lease/revoke", {"ID": one})
    get(c, p, end)
    c.call("kv/lease/revoke", {"ID": two})
    get(c, p, end)
    c.call("lease/revoke", {"ID": two})
    c.call("kv/lease/revoke", {"ID": 5})
    c.call("lease/revoke", {})
    c.text("lease/revoke", "")
    put(c, p + "x", "1", lease=one)
    c.call("lease/timetolive", {"ID": one, "keys": True})
    c.call("lease/timetolive", {"ID": 5})
    c.call("lease/timetolive", {})
    c.text("kv/lease/timetolive", "")


def scenario_lease_list(c):
    c.call("lease/grant", {"TTL": 100, "ID": 3001})
    for path in ("lease/leases", "kv/lease/leases"):
        _, body = c.raw(path, b"{}", record=False)
        ids = sorted(int(l["ID"]) for l in json.loads(body).get("leases", []) if int(l["ID"]) < 4000)
        c.say(path, ids)
    c.call("lease/revoke", {"ID": 3001})


def scenario_lease_keepalive(c):
    one = c.call("lease/grant", {"TTL": 50})["ID"]
    for body in ({"ID": one}, {"ID": int(one)}, {"ID": 404}, {}):
        c.got(c.stream("lease/keepalive", body), 1, exact=True)
    c.got(c.stream("lease/keepalive", json.dumps({"ID": one}) + "\n" + json.dumps({"ID": 404})), 2, exact=True)
    c.got(c.stream("lease/keepalive", json.dumps({"ID": one}) * 3), 3, exact=True)
    for text in ("{\"ID\":", "[]", "{\"ID\":\"x\"}", "nonsense"):
        c.got(c.stream("lease/keepalive", text), 1, exact=True)
    c.got(c.stream("lease/keepalive", json.dumps({"ID": one}) + "x"), 2, exact=True)
    s = c.stream("lease/keepalive", {"ID": one})
    s.answer.read_all(5)
    c.say("a keepalive's body ends by itself", s.answer.ended)
    c.got(c.stream("kv/lease/keepalive", {"ID": one}), 1)
    c.call("lease/revoke", {"ID": one})
    c.got(c.stream("lease/keepalive", {"ID": one}), 1, exact=True)


def scenario_lease_expiry(c):
    p = "expire/"
    lease = c.call("lease/grant", {"TTL": 2})["ID"]
    begin = time.monotonic()
    w = c.stream("watch", {"create_request": {"key": b64(p), "range_end": b64("expire0"), "prev_kv": True}})
    c.got(w, 1)
    put(c, p + "b", "1", lease=lease)
    put(c, p + "a", "2", lease=lease)
    c.events(w, 4, 8)
    took = time.monotonic() - begin
    c.say("expired between its time and 3 s later", 1.9 <= took < 5 or took)
    w.close()
    get(c, p, "expire0")
    c.call("lease/timetolive", {"ID": lease})
    c.call("lease/revoke", {"ID": lease})


def scenario_lease_renewed(c):
    lease = c.call("lease/grant", {"TTL": 2})["ID"]
    put(c, "renew/a", "1", lease=lease)
    for _ in range(4):
        time.sleep(1)
        c.stream("lease/keepalive", {"ID": lease}).read(1, 2)
    get(c, "renew/a")
    c.call("lease/revoke", {"ID": lease})


# ---- watches ----

def created(c, key, end=None, note="", **more):
    body = {"key": b64(key)}
    if end is not None:
        body["range_end"] = b64(end)
    w = c.stream("watch", {"create_request": dict(body, **more)})
    c.got(w, 1, note=note)
    return w


def scenario_watch_key(c):
    w = created(c, "watch/a")
    put(c, "watch/a", "1")
    put(c, "watch/b", "1")
    put(c, "watch/a", "2")
    c.call("kv/deleterange", {"key": b64("watch/a")})
    c.call("kv/deleterange", {"key": b64("watch/a")})
    put(c, "watch/a", "3")
    c.events(w, 4)
    w.close()


def scenario_watch_range(c):
    p, end = "wrange/", "wrange0"
    w = created(c, p, end, prev_kv=True)
    put(c, p + "b", "1")
    put(c, p + "a", "1")
    put(c, "wrange", "outside")
    put(c, "wrange0", "outside")
    put(c, p + "b", "2")
    txn(c, None, [put_op(p + "z", "1"), put_op(p + "c", "2"), delete_op(p + "a")])
    c.call("kv/deleterange", {"key": b64(p), "range_end": b64(end)})
    c.events(w, 9)
    w.close()


def scenario_watch_txn_order(c):
    """All of a revision in one message, in the order of the operations."""
    w = created(c, "worder/", "worder0")
    txn(c, None, [put_op("worder/c", "1"), put_op("worder/a", "2"), put_op("worder/b", "3")])
    found = [m for m in w.read(1, 3)]
    c.say("events of the first message", [[e["kv"]["key"] for e in m["result"]["events"]] for m in found])
    txn(c, None, [delete_op("worder/", "worder/b"), put_op("worder/b", "4"), delete_op("worder/c")])
    found = [m for m in w.read(1, 3)]
    c.say("events of the second message", [[(e.get("type"), e["kv"]["key"]) for e in m["result"]["events"]] for m in found])
    w.close()


def scenario_watch_past(c):
    p, end = "wpast/", "wpast0"
    put(c, p + "a", "1")
    put(c, p + "b", "2")
    put(c, "elsewhere", "x")
    c.call("kv/deleterange", {"key": b64(p + "a")})
    put(c, p + "a", "3", prev_kv=True)
    for after in (1, 2, 4, 5, 6):
        w = created(c, p, end, start_revision=c.rev(after), prev_kv=True)
        c.events(w, {1: 4, 2: 3, 4: 2, 5: 1, 6: 0}[after])
        w.close()
    w = created(c, p + "a", start_revision=str(c.rev(1)))
    put(c, p + "a", "live")
    c.events(w, 4)
    w.close()
    w = created(c, p + "a", start_revision=0)
    put(c, p + "a", "live2")
    c.events(w, 1)
    w.close()
    w = created(c, p + "a", start_revision=-3)
    put(c, p + "a", "live3")
    c.events(w, 1)
    w.close()


def scenario_watch_future(c):
    w = created(c, "wfuture", start_revision=c.rev(3))
    for value in "1234":
        put(c, "wfuture", value)
    c.events(w, 2)
    c.got(w, 1, 0.5, note="silence: ")
    w.close()


def scenario_watch_filters(c):
    p, end = "wfilter/", "wfilter0"
    for filters in (["NOPUT"], ["NODELETE"], [0], [1], ["NOPUT", "NODELETE"], [], [7], ["NOPE"]):
        w = created(c, p, end, filters=filters, start_revision=c.rev(1))
        if w.answer.status == 200:
            put(c, p + "a", "1")
            c.call("kv/deleterange", {"key": b64(p + "a")})
            c.got(w, 10, 0.7, note="filtered: ")
        w.close()


def scenario_watch_range_ends(c):
    for key, end in (("wend", "AA=="), ("", "AA=="), ("wend/b", b64("wend/a")), ("wend/b", b64("wend/b")), ("", None),
                     ("", b64("wend/z")), ("wend/a", "")):
        body = {"key": b64(key)}
        if end is not None:
            body["range_end"] = end
        w = c.stream("watch", {"create_request": body})
        c.got(w, 1)
        put(c, "wend/a", key)
        c.got(w, 1, 0.6, note="after a put: ")
        w.close()


def scenario_watch_forms(c):
    put(c, "wform", "1")
    for text in ('{"createRequest":{"key":"%s","startRevision":"%d","prevKv":true,"progressNotify":true}}' % (b64("wform"), c.rev(1)),
                 '{"create_request":{"key":"%s","watch_id":7,"start_revision":%d}}' % (b64("wform"), c.rev(1)),
                 '{"create_request":{"key":"%s","watchId":"8","fragment":true,"start_revision":%d}}' % (b64("wform"), c.rev(1)),
                 '{"create_request":{"key":"%s","unknown":{"a":[1]}}}' % b64("wform"),
                 '{"create_request":{"key":"%s","watch_id":-1,"start_revision":%d}}' % (b64("wform"), c.rev(1)),
                 '{"create_request":{"key":"**"}}', '{"create_request":"x"}', 'nonsense', '{"create_request":{"key":1}}',
                 '{"create_request":{"key":"YQ==","start_revision":"x"}}', '[]', '"x"', '{"create_request":{}}',
                 '{"create_request":{"key":"YQ==","prev_kv":"yes"}}'):
        w = c.stream("watch", text)
        c.got(w, 2, 0.8)
        w.close()


def scenario_watch_silence(c):
    """Requests that get no answer, on a connection that stays."""
    for text in ("{}", "", '{"cancel_request":{"watch_id":3}}', "{}{}", '{"nonsense":1}', '{"create_request":null}'):
        w = c.stream("watch", text)
        c.got(w, 1, 0.5)
        c.say("the stream ended", w.answer.ended)
        w.close()
    get(c, "wsilence")


def scenario_watch_several(c):
    text = "".join(json.dumps({"create_request": {"key": b64("wmany/%d" % i)}}) for i in range(3))
    w = c.stream("watch", text)
    c.got(w, 3)
    for i in (2, 0, 1):
        put(c, "wmany/%d" % i, "x")
    c.got(w, 3)
    w.close()
    one = {"create_request": {"key": b64("wmany/a"), "watch_id": 5}}
    w = c.stream("watch", json.dumps(one) + "\n" + json.dumps(one))
    c.got(w, 2)
    w.close()
    w = c.stream("watch", json.dumps(one) + " " + json.dumps({"create_request": {"key": b64("wmany/b")}}) +
                 json.dumps({"cancel_request": {"watch_id": 5}}) + json.dumps({"cancel_request": {"watch_id": 5}}))
    c.got(w, 3, exact=True)
    put(c, "wmany/a", "1")
    put(c, "wmany/b", "1")
    c.got(w, 1, exact=True)
    w.close()
    w = c.stream("watch", json.dumps({"create_request": {"key": b64("wmany/a")}}) + json.dumps({"progress_request": {}}))
    c.got(w, 2)
    w.close()
    w = c.stream("watch", json.dumps({"create_request": {"key": b64("wmany/a")}}) + "nonsense")
    c.got(w, 2)
    w.close()


def scenario_watch_many_events(c):
    """More than one message's worth, live and as history, none lost."""
    w = created(c, "wlots/", "wlots0")
    for i in range(200):
        c.raw("kv/put", json.dumps({"key": b64("wlots/%03d" % (i % 10)), "value": b64("%d" % i)}).encode(), record=False)
    live = read_events(w, 200, 10)
    c.say("live events in order", [int(e["kv"]["mod_revision"]) - c.base for e in live] == list(range(1, 201)))
    w.close()
    w = created(c, "wlots/", "wlots0", start_revision=c.rev(1))
    past = read_events(w, 200, 10)
    c.say("the same from history", past == live)
    w.close()


def scenario_watch_large_values(c):
    for i in range(4):
        c.raw("kv/put", json.dumps({"key": b64("wbig"), "value": b64("%d" % i * 1000000)}).encode(), record=False)
    w = created(c, "wbig", start_revision=c.rev(1), fragment=True)
    found = read_events(w, 4, 15)
    c.say("large events", [(int(e["kv"]["mod_revision"]) - c.base, len(e["kv"]["value"])) for e in found])
    w.close()
    c.call("kv/deleterange", {"key": b64("wbig")})


def read_events(w, count, seconds):
    events = []
    until = time.monotonic() + seconds
    while len(events) < count and time.monotonic() < until:
        for message in w.read(1, until - time.monotonic()):
            events += message.get("result", {}).get("events", [])
    return events


def scenario_watch_half_closed(c):
    import socket
    w = created(c, "whalf")
    w.answer.sock.shutdown(socket.SHUT_WR)
    c.got(w, 1, 3, note="half-closed: ")
    c.say("then it ended", w.answer.ended)
    w.close()


# ---- WebSocket ----

def scenario_websocket(c):
    try:
        ws = WebSocket(c.port, "/v3/watch")
    except (OSError, EOFError, ValueError) as error:
        c.say("websocket", str(error))
        return
    c.say("status", ws.status)
    if ws.status != 101:
        return
    for i in (11, 12):
        ws.send(json.dumps({"create_request": {"key": b64("ws/%d" % i), "watch_id": i, "progress_notify": True}}))
    show(c, "created", ws.read(2, 3))
    put(c, "ws/11", "1")
    show(c, "event", ws.read(1, 3))
    put(c, "ws/12", "1")
    show(c, "event", ws.read(1, 3))
    ws.send(json.dumps({"cancel_request": {"watch_id": 11}}))
    show(c, "canceled", ws.read(1, 3))
    put(c, "ws/11", "2")
    put(c, "ws/12", "2")
    show(c, "the other's event", ws.read(1, 3))
    ws.close()
    for path, body in (("kv/range", {"key": b64("ws/11")}), ("kv/put", {"key": b64("ws/13"), "value": b64("x")}),
                       ("kv/put", {"key": ""})):
        ws = WebSocket(c.port, "/v3/" + path)
        ws.send(json.dumps(body))
        show(c, "unary " + path, ws.read(1, 3))
        ws.close()


def show(c, step, messages):
    c.say(step, [c.normal(m) for m in messages])


# ---- locks and elections ----

def scenario_lock(c):
    one = c.call("lease/grant", {"TTL": 60})["ID"]
    two = c.call("lease/grant", {"TTL": 60})["ID"]
    first = c.call("lock/lock", {"name": b64("lock"), "lease": one})
    c.call("lock/lock", {"name": b64("lock"), "lease": one})
    get(c, "lock", "locl")
    waiting = c.stream("lock/lock", {"name": b64("lock"), "lease": two})
    c.got(waiting, 1, 0.6, note="waits: ")
    c.call("lock/unlock", {"key": first.get("key")})
    c.got(waiting, 1, 3, note="its turn: ")
    waiting.close()
    c.call("lock/unlock", {"key": first.get("key")})
    c.call("lock/unlock", {"key": b64("nothing")})
    c.call("lock/unlock", {})
    c.call("lease/revoke", {"ID": two})
    get(c, "lock", "locl")
    c.call("lock/lock", {"name": b64("lock"), "lease": 12})
    c.call("lock/lock", {"name": b64("lock"), "lease": two})
    c.call("lock/lock", {"name": b64("freelock")})
    c.call("lock/lock", {}, seconds=1)
    c.text("lock/unlock", "")
    c.call("kv/deleterange", {"key": b64("freelock"), "range_end": b64("freelocl"), "prev_kv": False})
    c.call("lease/revoke", {"ID": one})


def scenario_election(c):
    one = c.call("lease/grant", {"TTL": 60})["ID"]
    two = c.call("lease/grant", {"TTL": 60})["ID"]
    name = b64("elect")
    c.call("election/leader", {"name": name})
    won = c.call("election/campaign", {"name": name, "lease": one, "value": b64("first")})
    leader = won.get("leader", {})
    c.call("election/leader", {"name": name})
    c.call("election/campaign", {"name": name, "lease": one, "value": b64("again")})
    observer = c.stream("election/observe", {"name": name})
    c.got(observer, 1)
    c.call("election/proclaim", {"leader": leader, "value": b64("second")})
    c.got(observer, 1)
    other = c.stream("election/campaign", {"name": name, "lease": two, "value": b64("rival")})
    c.got(other, 1, 0.6, note="waits: ")
    c.call("election/resign", {"leader": leader})
    c.got(other, 1, 3, note="its turn: ")
    c.got(observer, 1)
    c.call("election/resign", {"leader": leader})
    c.call("election/proclaim", {"leader": leader, "value": b64("late")})
    observer.close()
    other.close()
    c.call("lease/revoke", {"ID": two})
    for path in ("campaign", "proclaim", "leader", "resign"):
        c.call("election/" + path, {}, seconds=1)
        if path == "campaign":
            c.settle(8)  # who waited has gone, which is noticed in its own time
    c.call("election/campaign", {"name": name, "lease": 99, "value": b64("x")})
    c.call("election/leader", {"name": name})
    c.call("lease/revoke", {"ID": one})
