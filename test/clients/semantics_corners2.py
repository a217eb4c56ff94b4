"""Corners of watches, locks, elections, the cluster's and maintenance's paths, and HTTP (see compare.py)."""
import json
import socket
import time

from gateway import Answer, WebSocket, b64
from semantics_kv import delete_op, get, put, put_op, txn
from semantics_streams import created

# ---- watches ----


def scenario_corner_watch_requests(c):
    """One request each; what is told at once."""
    put(c, "cw/a", "1")
    put(c, "cw/a", "2")
    c.call("kv/deleterange", {"key": b64("cw/a")})
    key = '"key":"%s"' % b64("cw/a")
    since = '"start_revision":"%d"' % c.rev(1)
    for more in ('"filters":["NOPUT"]', '"filters":["NODELETE"]', '"filters":[0]', '"filters":[1]', '"filters":["NOPUT","NODELETE"]',
                 '"filters":[0,1,0]', '"filters":[]', '"filters":null', '"filters":"NOPUT"', '"filters":["nope"]', '"filters":[5]', '"filters":[null]',
                 '"filters":["NOPUT",7]', '"prev_kv":true', '"prevKv":true', '"prev_kv":"true"', '"fragment":true', '"progress_notify":true',
                 '"progressNotify":true,"fragment":true,"prevKv":true,"filters":[1]', '"watch_id":0', '"watch_id":"5"', '"watch_id":-3',
                 '"watchId":9', '"watch_id":"x"', '"watch_id":1.5', '"watch_id":9223372036854775807', '"unknown":{}', '"range_end":null',
                 '"range_end":"AA=="', '"range_end":"%s"' % b64("cw/b"), '"rangeEnd":"%s"' % b64("cw/a"), '"range_end":""'):
        w = c.stream("watch", '{"create_request":{%s,%s,%s}}' % (key, since, more))
        c.events(w, 3, 0.4, note=more + ": ")
        w.close()
    for start in ("0", '"0"', "-1", '"-9"', "null", '"x"', "1.0", str(2**62), '"%d"' % c.rev(2), '"%d"' % c.rev(3), '"%d"' % c.rev(4)):
        w = c.stream("watch", '{"create_request":{%s,"startRevision":%s}}' % (key, start))
        c.events(w, 2, 0.4, note="from %s: " % (start if len(start) < 5 or "r" in start else "r"))
        w.close()


def scenario_corner_watch_shapes(c):
    """What is no watch, in each shape. What is answered by silence is told by the time that passes."""
    key = b64("cws/a")
    for text in ('{"createRequest":{"key":"%s"}}' % key, 
                 '{"create_request":{"key":"%s"}}{"create_request":{"key":"%s"}}{"cancel_request":{"watch_id":1}}' % (key, key),
                 '{"create_request":{"key":"%s","watch_id":3}}{"create_request":{"key":"%s"}}{"cancelRequest":{"watchId":"3"}}' % (key, key),
                 '{"create_request":{"key":"%s"}}x' % key, '{"create_request":{"key":"%s"}}{"create_request":{"key":1}}' % key,
                 '{"create_request":{"key":"%s"}}\n\n\n{"progress_request":{}}' % key, '{"cancel_request":{"watch_id":"9"}}', '{"cancel_request":{}}',
                 '{"progress_request":{}}', '{"progressRequest":{}}', '{"create_request":{}}', '{"create_request":null}', '{"create_request":[]}',
                 '{"create_request":{"key":"*"}}', '{"create_request":{"key":"%s"' % key, "[]", "1", "null", '"x"', "{}{}",
                 '{"create_request":{"key":"%s","range_end":"%s"}}' % (b64("b"), b64("a")), '{"create_request":{"range_end":"%s"}}' % b64("a"),
                 '{"create_request":{"key":"%s","range_end":"%s"}}' % (b64("a"), b64("a")), '{"create_request":{"key":"AA==","range_end":"AA=="}}',
                 '{"cancel_request":{"watch_id":0}}{"create_request":{"key":"%s"}}' % key, '{"result":{}}', '{"create_request":{"key":"%s"},"x":1}' % key):
        w = c.stream("watch", text)
        c.got(w, 4, 0.4)
        w.close()


def scenario_corner_watch_several(c):
    """Four watchers of overlapping ranges on one stream, and what each is told."""
    requests = [{"key": b64("cwv/"), "range_end": b64("cwv0"), "watch_id": 11, "prev_kv": True}, {"key": b64("cwv/b"), "watch_id": 12, "filters": ["NOPUT"]},
                {"key": b64("cwv/b"), "range_end": "AA==", "watch_id": 13, "filters": [1]}, {"key": b64("cwv/none"), "watch_id": 14}]
    w = c.stream("watch", "".join(json.dumps({"create_request": r}) for r in requests))
    c.got(w, 4)
    put(c, "cwv/a", "1")
    put(c, "cwv/b", "1")
    txn(c, None, [put_op("cwv/c", "1"), put_op("cwv/b", "2"), delete_op("cwv/a")])
    c.call("kv/deleterange", {"key": b64("cwv/"), "range_end": b64("cwv0")})
    messages = w.read(100, 1)
    by_id = {}
    for message in messages:
        result = message["result"]
        by_id.setdefault(result.get("watch_id"), []).extend(c.normal(e) for e in result.get("events", []))
    c.say("each watcher's events", {k: by_id[k] for k in sorted(by_id)})
    w.close()


def scenario_corner_watch_future(c):
    """Begins later than now: nothing before, all from then on."""
    w = created(c, "cwf/", "cwf0", start_revision=c.rev(3))
    for number in range(5):
        put(c, "cwf/a", str(number))
    c.events(w, 3, 2)
    w.close()
    w = created(c, "cwf/a", start_revision=c.rev(4), filters=["NODELETE"], prev_kv=True)
    c.call("kv/deleterange", {"key": b64("cwf/a")})
    put(c, "cwf/a", "again")
    c.events(w, 3, 2)
    w.close()


def scenario_corner_watch_compacted(c):
    for number in range(6):
        put(c, "cwc/a", str(number))
    c.call("kv/compaction", {"revision": c.rev(4), "physical": True})
    for start in (1, c.rev(2), c.rev(3), c.rev(4), c.rev(5)):
        w = c.stream("watch", {"create_request": {"key": b64("cwc/a"), "start_revision": start}})
        c.events(w, 3, 0.5, note="from r%+d: " % (start - c.base if start > 1 else -9))
        w.close()
    text = "".join('{"create_request":{"key":"%s","start_revision":%d}}' % (b64("cwc/a"), start) for start in (1, c.rev(6)))
    w = c.stream("watch", text)
    c.got(w, 5, 1)
    w.close()


def scenario_corner_websockets(c):
    for path, texts in (("/v3/kv/range", ['{"key":"YQ=="}']), ("/v3/kv/range", ["{}"]), ("/v3/kv/put", ["nonsense"]), ("/v3/lease/keepalive", ['{"ID":9}', '{"ID":"8"}']),
                        ("/v3/watch", ['{"progress_request":{}}', '{"create_request":{"key":"d3M="}}', '{"cancel_request":{"watch_id":0}}']),
                        ("/v3/watch", ['{"create_request":{"key":1}}']), ("/v3/watch", ["{}", "{}"]), ("/v3beta/watch", ['{"create_request":{"key":"d3M="}}']),
                        ("/v3/election/leader", ['{"name":"bm9uZQ=="}']), ("/v3/maintenance/status?x=1", ["{}"])):
        ws = WebSocket(c.port, path)
        for text in texts:
            ws.send(text)
        found = ws.read(4, 0.6)
        c.records.append({"step": "%s %s" % (path, texts), "status": ws.status,
                          "messages": [c.normal(m) for m in found if m != {"closed": True}]})  # etcd says no good-bye
        ws.close()


# ---- locks and elections ----


def queued(c, path, body):
    """A call that waits in the queue, not yet answered."""
    text, before = json.dumps(body), c.revision_now()
    answer = Answer(c.port, ("POST /v3/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path, len(text), text)).encode())
    c.settle(before + 1 - c.base)
    return answer


def told(c, step, answer, seconds=5):
    try:
        c.note(step, None, "", answer.read_all(seconds))
    except socket.timeout:
        c.say(step, "waits")


def scenario_corner_lock(c):
    leases = [c.call("lease/grant", {"TTL": 60})["ID"] for _ in range(3)]
    name = b64("clk")
    for body in ({"name": name, "lease": leases[0]}, {"name": name, "lease": int(leases[0])}, {"name": b64("a/b/c"), "lease": leases[0]},
                 {"name": b64("clq/"), "lease": leases[1]}, {"name": b64(b"\x00\xff"), "lease": leases[1]}, {"name": name, "lease": 77},
                 {"name": name, "lease": "x"}, {"name": "*", "lease": leases[0]}, {"name": 5}, {"Name": name, "lease": 77}, {"lease": 77}):
        c.call("lock/lock", body)
    second = queued(c, "lock/lock", {"name": name, "lease": leases[1]})
    third = queued(c, "lock/lock", {"name": name, "lease": leases[2]})
    get(c, "clk/", "clk0", sort_target="CREATE", keys_only=True)
    c.call("lease/revoke", {"ID": leases[0]})
    told(c, "the second has it", second)
    c.call("lock/unlock", {"key": b64("clk/%x" % int(leases[1]))})
    told(c, "the third has it", third)
    for body in ({"key": b64("clk/%x" % int(leases[2]))}, {"key": b64("clk/none")}, {}, {"key": ""}, {"key": "*"}, {"name": name}):
        c.call("lock/unlock", body)
    for lease in leases[1:]:
        c.call("lease/revoke", {"ID": lease})
    get(c, "clk/", "clr0")


def scenario_corner_election(c):
    one, two = (c.call("lease/grant", {"TTL": 60})["ID"] for _ in range(2))
    name = b64("cel/x")
    for body in ({"name": name}, {"name": b64("")}, {"Name": name}, {"name": "*"}):
        c.call("election/leader", body) if body.get("name") != "" else None
    won = c.call("election/campaign", {"name": name, "lease": one, "value": b64("1")})["leader"]
    c.call("election/campaign", {"name": name, "lease": one, "value": b64("1")})
    observer = c.stream("election/observe", {"name": name})
    c.got(observer, 1)
    for leader in (dict(won, rev="1"), dict(won, rev=0), dict(won, key=b64("cel/x/none")), dict(won, name=b64("other")), {}, {"key": won["key"]},
                   dict(won, rev="x")):
        c.call("election/proclaim", {"leader": leader, "value": b64("p")})
    c.got(observer, 3, 1)
    c.call("election/leader", {"name": name})
    second = queued(c, "election/campaign", {"name": name, "lease": two, "value": b64("2")})
    for leader in (dict(won, rev="1"), {}, {"name": name}, dict(won, key=b64("cel/x/none"))):
        c.call("election/resign", {"leader": leader})
    c.call("election/resign", {"leader": won})
    told(c, "the second leads", second)
    c.got(observer, 1, 2)
    c.call("lease/revoke", {"ID": two})
    c.call("election/leader", {"name": name})
    observer.close()
    c.call("lease/revoke", {"ID": one})
    get(c, "cel/", "cel0")


def scenario_corner_one_request(c):
    """Streams of answers to one request."""
    for path in ("election/observe", "maintenance/snapshot"):
        for text in ("[", '{"x":', "1", '"x"', "{]", '{"name":5}', "nonsense"):
            if path == "election/observe" or text != '{"name":5}':
                c.got(c.stream(path, text), 1)
        for text in ("", "null", "{}", '{"x":1}{', "{} nonsense"):
            w = c.stream(path, text)
            if path == "election/observe":
                c.got(w, 1, 0.3)
            else:
                c.say(text, ["blob" in m.get("result", m) for m in w.read(1, 3)])
            w.close()


# ---- cluster, maintenance ----


def scenario_corner_members(c):
    for body in ({"peerURLs": ["http://127.0.0.1:5/"]}, {"peerURLs": ["ftp://127.0.0.1:5"]}, {"peerURLs": [""]},
                 {"peerURLs": ["http://host"]}, {"peerURLs": [5]}, {"peerURLs": None}, {"peer_urls": ["http://h:1"]},
                 {"peerURLs": ["http://127.0.0.1:5", "nonsense"]}, {"isLearner": True}, {"isLearner": "true"},
                 {"peerURLs": ["//127.0.0.1:5"]}, {"peerURLs": ["http://127.0.0.1:5", 5]}):
        c.call("cluster/member/add", body)
    for path in ("remove", "update", "promote"):
        for body in ({"ID": "12345"}, {"ID": -1}, {"ID": "x"}, {"ID": 1.5}, {"ID": "18446744073709551615"}, {"ID": 18446744073709551615}, {"ID": None}, {"id": 5},
                     {"ID": 5, "peerURLs": ["nonsense"]}, {"ID": 5, "peerURLs": []}):
            c.call("cluster/member/" + path, body)


def scenario_corner_maintenance(c):
    for body in ({"action": "GET", "alarm": "CORRUPT"}, {"action": "GET", "alarm": 9}, {"action": "get"}, {"action": 0, "alarm": "NONE"}, {"action": "GET", "memberID": "x"},
                 {"action": "DEACTIVATE", "memberID": "1", "alarm": "CORRUPT"}, {"action": 2, "memberID": 0, "alarm": 1}, {"action": None},
                 {"memberID": -1}, {"Alarm": 1}, {"alarm": "NOSPACE "}):
        c.call("maintenance/alarm", body)
    c.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": "77", "alarm": "NOSPACE"})
    c.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": "77", "alarm": "NOSPACE"})
    c.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": "78", "alarm": 1})
    c.call("maintenance/alarm", {"alarm": "CORRUPT"})
    c.call("maintenance/alarm", {"alarm": "NOSPACE"})
    put(c, "cm/a", "1")
    c.call("kv/compaction", {"revision": 1})
    c.call("maintenance/defragment", {})
    c.call("maintenance/alarm", {"action": "DEACTIVATE", "memberID": "77", "alarm": "NOSPACE"})
    c.raw("health", b"", method="GET", prefix="/")
    c.call("maintenance/alarm", {"action": "DEACTIVATE", "memberID": "78", "alarm": "NOSPACE"})
    c.call("maintenance/alarm", {"action": "DEACTIVATE", "memberID": "78", "alarm": "NOSPACE"})
    time.sleep(0.2)
    put(c, "cm/a", "1")
    for path in ("maintenance/hash", "maintenance/status", "maintenance/defragment", "maintenance/hashkv", "maintenance/downgrade", "maintenance/snapshots"):
        c.text(path, '{"x":1}')
        c.text(path, "[]")
    for body in ({"targetID": "0"}, {"targetID": -1}, {"targetID": "x"}, {"target_id": 5}, {"targetID": "18446744073709551615"}):
        c.call("maintenance/transfer-leadership", body)


# ---- HTTP ----


def send(c, step, parts, pause=0.0, many=1):
    """Pieces of a request as they are; the answers' status, type and body."""
    answer = Answer(c.port, parts[0])
    try:
        for part in parts[1:]:
            time.sleep(pause)
            answer.sock.sendall(part)
        for number in range(many):
            answer.status, answer.ended, answer.chunks, answer.headers = None, False, [], {}
            body = answer.read_all(4)
            c.note("%s%s" % (step, " %d" % number if number else ""), answer.status, answer.headers.get("content-type", ""), body)
    except (OSError, EOFError, ValueError, IndexError) as error:
        c.say(step, type(error).__name__)
    answer.close()


def request(head, body=b"", path="/v3/kv/range", version="1.1"):
    return ("POST %s HTTP/%s\r\nHost: x\r\n%s\r\n" % (path, version, "".join(h + "\r\n" for h in head))).encode() + body


def chunked(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def scenario_corner_http(c):
    put(c, "ch/a", "1")
    body = b'{"key":"%s"}' % b64("ch/a").encode()
    length = "Content-Length: %d" % len(body)
    te = "Transfer-Encoding: chunked"
    send(c, "a byte at a time", [bytes([b]) for b in request([length], body)])
    send(c, "one chunk", [request([te], chunked(body))])
    send(c, "a chunk a byte", [request([te], chunked(*[bytes([b]) for b in body]))])
    send(c, "no chunk", [request([te], chunked())])
    send(c, "a chunk with an extension", [request([te], b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(body), body))])
    send(c, "chunks with a trailer", [request([te, "Trailer: X-A"], b"%x\r\n%s\r\n0\r\nX-A: b\r\n\r\n" % (len(body), body))])
    send(c, "chunked in capitals", [request(["TRANSFER-ENCODING: Chunked"], chunked(body))])
    send(c, "chunk sizes in capitals and zeros", [request([te], b"00%X\r\n%s\r\n000\r\n\r\n" % (len(body), body))])
    send(c, "expect", [request([length, "Expect: 100-continue"]), body], pause=0.1)
    send(c, "expect, in capitals", [request([length, "EXPECT: 100-Continue"]), body], pause=0.1)
    send(c, "expect, chunked", [request([te, "Expect: 100-continue"]), chunked(body)], pause=0.1)
    send(c, "names in lower case", [request([length.lower(), "accept: */*", "user-agent: x"], body)])
    send(c, "names in capitals", [request([length.upper()], body)])
    send(c, "values with blanks", [request(["Content-Length:   %d  " % len(body), "X-A:\tb"], body)])
    send(c, "HTTP/1.0", [request([length], body, version="1.0")])
    send(c, "HTTP/1.0, kept", [request([length, "Connection: keep-alive"], body, version="1.0") * 2], many=2)
    send(c, "closing", [request([length, "Connection: close"], body)])
    send(c, "pipelined", [request([length], body) * 5], many=5)
    send(c, "pipelined in two forms", [request([te], chunked(body)) + request([length], body) + request([te], chunked(b"{}"))], many=3)
    send(c, "pipelined over an error", [request([length], body) + request(["Content-Length: 2"], b"[]") + request([length], body)], many=3)
    send(c, "an absolute target", [request([length], body, path="http://x/v3/kv/range")])
    send(c, "a query", [request([length], body, path="/v3/kv/range?key=YQ%3D%3D&limit=x")])
    send(c, "a fragment's sign", [request([length], body, path="/v3/kv/range%23")])
    send(c, "a dot", [request([length], body, path="/v3/./kv/range")])
    send(c, "two dots", [request([length], body, path="/v3/lease/../kv/range")])
    send(c, "an encoded slash", [request([length], body, path="/v3/kv%2Frange")])
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO", "post"):
        for path in ("/v3/kv/range", "/v3/nothing", "/v3/watch"):
            answer = Answer(c.port, ("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (method, path)).encode())
            try:
                answer.read_head(time.monotonic() + 3)
                c.say("%s %s" % (method, path), answer.status)
            except (OSError, EOFError):
                c.say("%s %s" % (method, path), None)
            answer.close()
    for header in ("Grpc-Timeout: 5S", "Grpc-Timeout: x", "Grpc-Timeout: 1000m", "Grpc-Timeout: S", "Grpc-Metadata-X: y", "X-Forwarded-For: 1.2.3.4", "Origin: http://a",
                   "Accept-Encoding: gzip", "Content-Encoding: gzip", "Content-Type: application/grpc", "Content-Type: ", "Authorization: ", "Cookie: a=b", "Range: bytes=0-1",
                   "If-None-Match: *", "If-Match: \"5\"", "Idempotency-Key: x", "Accept: application/x-protobuf", "TE: trailers", "Upgrade: h2c", "Connection: Upgrade",
                   "Upgrade: websocket"):
        c.raw("kv/range", body, headers=(header,), note=header + " ")
