"""HTTP's and JSON's corners, the cluster's, maintenance's and auth's paths (see compare.py)."""
import json
import time

from gateway import Answer, b64
from semantics_kv import get, put


def scenario_http_paths(c):
    c.call("kv/put", {"key": b64("a"), "value": b64("1")})
    for method, prefix, path in (
            ("POST", "/v3/", "nothing"), ("POST", "/v3/", "kv/range/"), ("POST", "/v3/", "kv"), ("POST", "/v3", ""),
            ("POST", "/v3/", ""), ("GET", "/v3/", "kv/range"), ("PUT", "/v3/", "kv/put"), ("DELETE", "/v3/", "kv/range"),
            ("OPTIONS", "/v3/", "kv/range"), ("POST", "/v3beta/", "kv/range"), ("POST", "/v3/", "KV/range"),
            ("POST", "/v3/", "kv/range?x=1"), ("POST", "/v3//", "kv/range"), ("POST", "/v4/", "kv/range"),
            ("GET", "/v3/", "watch"), ("GET", "/v3/", "lease/leases"), ("POST", "/v3/", "kv/%72ange"),
            ("GET", "/", "version"), ("GET", "/", "health")):
        c.raw(path, b'{"key":"YQ=="}' if method == "POST" else b"", method=method, prefix=prefix)
    c.raw("version", b"{}", method="GET", prefix="/")


def scenario_http_bodies(c):
    body = b'{"key":"aHR0cA==","value":"MQ=="}'
    for headers in (("Content-Type: application/x-www-form-urlencoded",), ("Content-Type: text/plain",),
                    ("Content-Type: application/json",), ("Accept: text/html",), ("Authorization: wrong",),
                    ("Grpc-Metadata-Token: wrong",), ("Authorization: Bearer x.y",), ("Expect: 100-continue",)):
        c.raw("kv/put", body, headers=headers, note="%s " % (headers,))
    c.raw("kv/range", body, method="GET")
    request = b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        body[:5], len(body) - 5, body[5:])
    one(c, "chunked request", request)
    one(c, "HTTP/1.0", b"POST /v3/kv/range HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    one(c, "no length", b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\n\r\n")
    pipelined = b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answer = Answer(c.port, pipelined + pipelined)
    first = answer.read_all(5)
    answer.status, answer.ended, answer.chunks, answer.headers = None, False, [], {}
    c.say("pipelined: the same twice", first == answer.read_all(5))
    answer.close()


def one(c, step, request):
    answer = Answer(c.port, request)
    try:
        body = answer.read_all(5)
        c.note(step, answer.status, answer.headers.get("content-type", ""), body)
    except (OSError, EOFError) as error:
        c.say(step, type(error).__name__)
    answer.close()


def scenario_json_forms(c):
    put(c, "json", "1")
    key = b64("json")
    for text in (
            '{"key":"%s","limit":"1"}', '{"key":"%s","limit":1}', '{"key":"%s","limit":1.5}', '{"key":"%s","limit":1.0}',
            '{"key":"%s","limit":1e1}', '{"key":"%s","limit":"1.0"}', '{"key":"%s","limit":"x"}', '{"key":"%s","limit":true}',
            '{"key":"%s","limit":null}', '{"key":"%s","limit":""}', '{"key":"%s","limit":" 1"}', '{"key":"%s","limit":"+1"}',
            '{"key":"%s","limit":"-1"}', '{"key":"%s","limit":"01"}', '{"key":"%s","limit":9223372036854775807}',
            '{"key":"%s","limit":9223372036854775808}', '{"key":"%s","limit":-9223372036854775808}',
            '{"key":"%s","limit":"9223372036854775808"}', '{"key":"%s","limit":[]}', '{"key":"%s","limit":{}}',
            '{"key":"%s","count_only":true}', '{"key":"%s","count_only":"true"}', '{"key":"%s","count_only":1}',
            '{"key":"%s","count_only":null}', '{"key":"%s","keys_only":false}', '{"key":"%s","unknown":1}',
            '{"key":"%s","unknown":{"deep":[1,{"x":null}]}}', '{"key":"%s","KEY":"YQ=="}', '{"key":"%s","key":"YQ=="}',
            '{"key":"%s","sort_order":"ASCEND","sort_target":"MOD"}', '{"key":"%s","sortOrder":"ASCEND"}',
            '{"key":"%s","sort_order":true}', '{"key":"%s","sort_order":1.0}', '{"key":"%s","sort_order":{}}',
            '{"key":"%s"} ', ' \n\t{"key":"%s"}\n', '{"key":"%s"}x', '{"key":"%s"}{"key":"%s"}', '{"key":"%s"', '{"key":"%s",}',
            "{'key':'%s'}", '{"key":"%s","a":"\\u0000"}', '{"key":"%s","a":"\\ud800"}', '{"key":"%s","a":NaN}',
            '\ufeff{"key":"%s"}'):
        c.text("kv/range", text.replace("%s", key))
    for text in ("null", "[]", "1", '"x"', "true", "{}", "", " ", "nonsense", "[{}]", '{"key":1}', '{"key":[]}', '{"key":{}}',
                 '{"key":true}', '{"key":null}'):
        c.text("kv/range", text)
    c.text("kv/range", '{"key":"%s","x":%s}' % (key, "[" * 200 + "]" * 200))


def scenario_json_base64(c):
    c.call("kv/put", {"key": b64(b"\xfb\xff\xfe"), "value": b64(b"\xfb\xff\xfe/+")})
    for key in ("+//+", "-__-", "+//+\n", " +//+", "+//", "+/", "+", "YQ==", "YQ=", "YQ", "YR==", "Y Q==", "YQ==YQ==", "====",
                "YWI=", "YWI", "*", "\\u0059Q==", "Y\\/==", "\u00e9"):
        c.text("kv/range", '{"key":"%s"}' % key)
    c.text("kv/put", '{"key":"anNsYXNo","value":"\\/\\/\\/\\/"}')
    c.call("kv/range", {"key": "anNsYXNo"})
    c.text("kv/put", '{"\\u006bey":"anNsYXNo","value":"QQ=="}')
    c.text("kv/put", b'{"key":"anNsYXNo","value":"QQ==","x":"\xff"}')


def scenario_json_names(c):
    c.call("kv/range", {"key": b64("a"), "rangeEnd": b64("b"), "minModRevision": "1", "maxModRevision": 5, "minCreateRevision": 1,
                        "maxCreateRevision": "9", "keysOnly": True, "countOnly": False})
    c.call("kv/range", {"key": b64("a"), "range_end": b64("b"), "rangeEnd": b64("c")})
    c.call("kv/range", {"Key": b64("a")})
    c.call("kv/range", {"key": b64("a"), "RangeEnd": b64("b"), "count-only": True})
    c.call("kv/put", {"key": b64("names"), "value": b64("v"), "ignoreLease": False, "ignoreValue": False})
    c.call("kv/txn", {"compare": [{"key": b64("names"), "target": "CREATE", "createRevision": c.rev(1)}],
                      "success": [{"requestTxn": {"success": [{"requestRange": {"key": b64("names")}}]}}]})


def scenario_cluster(c):
    status, body = c.raw("cluster/member/list", b"{}", record=False)
    found = json.loads(body)
    ids = [int(m["ID"]) for m in found["members"]]
    c.say("member/list", {"status": status, "fields": [sorted(m) for m in found["members"]], "header": sorted(found["header"]),
                          "ascending": ids == sorted(ids), "strings": all(isinstance(m["ID"], str) for m in found["members"])})
    c.text("cluster/member/list", "", record=False)
    c.call("cluster/member/remove", {"ID": 12345})
    c.call("cluster/member/remove", {})
    c.call("cluster/member/update", {"ID": 12345, "peerURLs": ["http://127.0.0.1:1"]})
    c.call("cluster/member/promote", {"ID": 12345})
    c.call("cluster/member/promote", {"ID": ids[0]}, note="a voter: ", record=False)
    for body in ({}, {"peerURLs": []}, {"peerURLs": ["nonsense"]}, {"peerURLs": ["127.0.0.1:5"]}, {"peerURLs": "http://127.0.0.1:5"},
                 {"peerURLs": ["http://127.0.0.1"]}, {"peerURLs": ["http://x:1/path"]}):
        c.call("cluster/member/add", body)
    c.call("cluster/member/add", {"peerURLs": found["members"][0]["peerURLs"]}, record=False)
    status, body = c.raw("cluster/member/add", json.dumps({"peerURLs": found["members"][0]["peerURLs"]}).encode(), record=False)
    c.say("the same peer URL", (status, json.loads(body)))
    status, body = c.raw("cluster/member/promote", json.dumps({"ID": ids[0]}).encode(), record=False)
    c.say("promote a voter", (status, json.loads(body)))


def scenario_learner(c):
    """A learner that never starts: seen, not promoted, removed."""
    added = c.call("cluster/member/add", {"peerURLs": ["http://127.0.0.1:9"], "isLearner": True}, record=False)
    shape(c, "member/add a learner", added)
    one = added.get("member", {}).get("ID")
    shape(c, "member/list", c.call("cluster/member/list", {}, record=False))
    shape(c, "promote it", c.call("cluster/member/promote", {"ID": one}, record=False))
    shape(c, "a second one", c.call("cluster/member/add", {"peerURLs": ["http://127.0.0.1:8"], "isLearner": True}, record=False))
    shape(c, "update it", c.call("cluster/member/update", {"ID": one, "peerURLs": ["http://127.0.0.1:7"]}, record=False))
    shape(c, "remove it", c.call("cluster/member/remove", {"ID": one}, record=False))
    shape(c, "remove it again", c.call("cluster/member/remove", {"ID": one}, record=False))


def shape(c, step, answer):
    """Which fields an answer has; ids and addresses are those of one cluster."""
    def fields(value):
        if isinstance(value, dict):
            return {k: fields(v) for k, v in value.items()}
        if isinstance(value, list):
            return sorted((fields(v) for v in value), key=str)
        return type(value).__name__
    shown = fields(answer)
    if "error" in answer:
        shown = dict(answer)
    c.say(step, shown)


def scenario_maintenance(c):
    c.call("maintenance/status", {})
    c.text("maintenance/status", "")
    c.raw("maintenance/status", b"", method="GET")
    c.call("maintenance/alarm", {})
    c.call("maintenance/alarm", {"action": "GET"})
    c.call("maintenance/alarm", {"action": 0, "memberID": "5", "alarm": "NOSPACE"})
    c.call("maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"})
    c.call("maintenance/alarm", {"action": "DEACTIVATE", "memberID": 5, "alarm": 1})
    c.call("maintenance/alarm", {"action": "NOPE"})
    c.call("maintenance/hash", {})
    c.call("maintenance/defragment", {})
    c.call("maintenance/transfer-leadership", {"targetID": 5})
    c.call("maintenance/transfer-leadership", {})
    s = c.stream("maintenance/snapshot", {})
    first = s.read(1, 5)
    s.close()
    c.say("snapshot", [sorted(m.get("result", m)) for m in first])


def scenario_alarm_nospace(c):
    member = json.loads(c.raw("kv/range", b'{"key":"YQ=="}', record=False)[1])["header"]["member_id"]
    lease = c.call("lease/grant", {"TTL": 100})["ID"]
    put(c, "alarm/a", "1")
    c.raw("maintenance/alarm", json.dumps({"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"}).encode(), record=False)
    c.call("maintenance/alarm", {})
    put(c, "alarm/a", "2")
    c.call("kv/txn", {"success": [{"request_put": {"key": b64("alarm/a"), "value": b64("3")}}]})
    c.call("kv/txn", {"success": [{"request_range": {"key": b64("alarm/a")}}]})
    c.call("kv/txn", {"success": [{"request_delete_range": {"key": b64("alarm/a")}}]})
    c.call("lease/grant", {"TTL": 100})
    c.stream("lease/keepalive", {"ID": lease}).read(1, 2)
    c.call("lease/revoke", {"ID": lease})
    c.raw("health", b"", method="GET", prefix="/")
    c.call("maintenance/status", {})
    c.raw("maintenance/alarm", json.dumps({"action": "DEACTIVATE", "memberID": member, "alarm": "NOSPACE"}).encode(), record=False)
    c.call("maintenance/alarm", {})
    time.sleep(0.2)
    put(c, "alarm/a", "4")
    c.raw("health", b"", method="GET", prefix="/")


def scenario_auth_off(c):
    c.call("auth/authenticate", {"name": "root", "password": "x"})
    c.call("auth/authenticate", {})
    c.text("auth/authenticate", "")
    c.call("auth/authenticate", {"name": 1})
    c.call("auth/enable", {})


def scenario_metrics(c):
    for i in range(3):
        put(c, "metrics/a", "%d" % i)
    get(c, "metrics/a")
    c.call("kv/deleterange", {"key": b64("metrics/a")})
    answer = Answer(c.port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    text = answer.read_all(5).decode()
    answer.close()
    names = ("etcd_server_has_leader", "etcd_server_is_leader", "etcd_server_leader_changes_seen_total",
             "etcd_server_proposals_committed_total", "etcd_server_proposals_applied_total", "etcd_server_proposals_pending",
             "etcd_server_proposals_failed_total", "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes",
             "etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_range_total", "etcd_mvcc_txn_total",
             "etcd_debugging_mvcc_keys_total", "etcd_debugging_mvcc_events_total", "etcd_debugging_mvcc_watcher_total",
             "etcd_server_version", "etcd_cluster_version", "etcd_disk_wal_fsync_duration_seconds_count")
    lines = text.split("\n")
    c.say("status and type", (answer.status, answer.headers.get("content-type")))
    for name in names:
        found = [line for line in lines if line.startswith((name + " ", name + "{"))]
        types = [line.split()[-1] for line in lines if line.startswith("# TYPE %s " % name)]
        c.say(name, {"lines": len(found), "type": types, "labels": sorted(line[:line.rfind(" ")] for line in found)})
