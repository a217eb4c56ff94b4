"""Corners of the JSON of each message, of ranges, transactions and leases (see compare.py)."""
import json

from gateway import b64
from semantics_kv import delete_op, get, get_op, put, put_op, txn

# What stands where a number, an enum's name, a truth or bytes are wanted.
NUMBERS = ("0", "-0", "7", '"7"', '"-7"', '"0007"', '"7 "', '"0x7"', '"1e2"', "1e2", "7.0", "7.5", '"7.0"', '""', '"+7"', "null", "true",
           "[7]", '{"v":7}', '"null"', "9007199254740993", '"9007199254740993"', "9223372036854775807", "-9223372036854775809",
           '"18446744073709551615"', "1E400", "00", "-", "+1", ".5", "5.", "0b1", "1_000")
ENUMS = ("0", "1", "2", "9", "-1", '"0"', '"1"', '""', "null", "true", "1.0", "1e0", '"KEY"', '"key"', '"MOD"', '" MOD"', '"NONE"',
         '"ASCEND"', '["MOD"]', "{}", "2147483648", '"EtcdMod"', "1.5")
TRUTHS = ("true", "false", "null", '"true"', '"false"', "0", "1", '"1"', "[]", "{}", "True", "tRuE", '"t"')
BYTES = ('"YQ=="', '"YQ"', '"YQ="', '"_-8="', '"/+8="', '"YQ==\\n"', '"Y\\u0051=="', '"\\/+8="', "null", "1", "true", "[97]", "[97,0,255]", "[256]", "[-1]", "[1.5]", "[null]", '["a"]', "{}", '""',
         '"YWJj"', '"YWJ"', '"="', '"Y"', '" YQ=="', '"YQ== "', '"YR=="', '"Y\\nQ=="', '"\\u00e1"', "'YQ=='")


def scenario_corner_numbers(c):
    put(c, "num/a", "0")
    put(c, "num/a", "1")
    c.call("kv/compaction", {"revision": c.rev(1)})  # before the first one etcd takes 0, once
    for value in NUMBERS:
        c.text("kv/range", '{"key":"%s","limit":%s}' % (b64("num/a"), value))
        c.text("lease/timetolive", '{"ID":%s}' % value)
    for value in NUMBERS:
        c.text("kv/txn", '{"compare":[{"key":"%s","target":"VERSION","version":%s}]}' % (b64("num/a"), value))
    for value in ('"0"', "0", "-5", '"-5"', "null", '"x"', "1.5", "true"):
        c.text("kv/compaction", '{"revision":%s}' % value)
        c.text("kv/put", '{"key":"%s","lease":%s}' % (b64("num/b"), value))


def scenario_corner_enums(c):
    put(c, "enum/a", "1")
    put(c, "enum/b", "0")
    for value in ENUMS:
        if value not in ("9", "-1", "2147483648"):  # etcd 3.4 ends with these
            c.text("kv/range", '{"key":"%s","range_end":"%s","sort_target":%s}' % (b64("enum/"), b64("enum0"), value))
        c.text("kv/range", '{"key":"%s","range_end":"%s","sort_order":%s}' % (b64("enum/"), b64("enum0"), value))
    for value in ENUMS + ('"VERSION"', '"LESS"', '"NOT_EQUAL"', "3", "4", '"LEASE"', '"VALUE"', '"CREATE"'):
        c.text("kv/txn", '{"compare":[{"key":"%s","target":%s,"version":"1"}]}' % (b64("enum/a"), value))
        c.text("kv/txn", '{"compare":[{"key":"%s","result":%s,"version":"1"}]}' % (b64("enum/a"), value))


def scenario_corner_truths(c):
    put(c, "truth/a", "1")
    for value in TRUTHS:
        c.text("kv/put", '{"key":"%s","value":"MQ==","prev_kv":%s}' % (b64("truth/a"), value))
        c.text("kv/range", '{"key":"%s","serializable":%s,"keys_only":%s}' % (b64("truth/a"), value, value))


def scenario_corner_bytes(c):
    for value in BYTES:
        c.text("kv/put", '{"key":"%s","value":%s}' % (b64("bytes/v"), value))
        c.text("kv/put", '{"key":%s,"value":"MQ=="}' % value)
        c.text("kv/deleterange", '{"key":"%s","range_end":%s}' % (b64("zz"), value))
    get(c, "bytes/v")
    c.text("kv/range", '{"key":"AA==","range_end":"AA==","limit":3,"keys_only":true,"sort_target":"MOD","sort_order":"DESCEND"}')


def scenario_corner_shapes(c):
    """Which JSON is an object of the wanted kind."""
    key = b64("shape")
    for path in ("kv/put", "kv/txn", "kv/deleterange", "lease/grant", "kv/compaction", "maintenance/status", "cluster/member/remove"):
        for text in ("", " ", "null", "{}", "[]", "[{}]", "1", '"{}"', "true", "{", "}", "{]", "{}{}", "{} x", "{}null", "\x00", "{,}",
                     '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', "// c\n{}", '{"x":1}', '{"":1}', '{"x":"\t"}', '{"x":"\\x"}', '{"x":01}'):
            if path == "lease/grant" and text in ("", " ", "{}", "{}{}", "{} x", "{}null", '{"x":1}', '{"":1}', "null"):
                continue  # grants one of an unknown id
            c.text(path, text)
    for text in ('{"key":"%s","value":"MQ==","value":"Mg=="}', '{"key":"%s","value":null}', '{"value":"MQ==","key":"%s"}',
                 '{"key":"%s","prev_kv":true,"prevKv":false}', '{"key":"%s","prevKv":true,"prev_kv":false}',
                 '{"key":"%s","ignore_value":true,"ignoreValue":false}', '{"key":"%s","Value":"MQ=="}', '{"key":"%s","valuE":1}',
                 '{"key":"%s","@type":"x"}', '{"key":"%s","value":"MQ==","lease":"0","prev_kv":true,"ignore_value":false}'):
        c.text("kv/put", text.replace("%s", key))
    get(c, "shape")


def scenario_corner_range(c):
    """Every option with every other."""
    p, end = "cr/", "cr0"
    for name, value in (("a", "3"), ("b", "1"), ("c", "2"), ("a", "9"), ("d", "2"), ("c", "0")):
        put(c, p + name, value)
    c.call("kv/deleterange", {"key": b64(p + "d")})
    revs = [c.rev(i) for i in range(8)]
    for low in ("min_mod_revision", "min_create_revision", "max_mod_revision", "max_create_revision"):
        for rev in (revs[2], revs[4], -1, 2**62):
            get(c, p, end, **{low: rev})
            get(c, p, end, **{low: str(rev), "limit": 1, "sort_order": "DESCEND"})
            get(c, p, end, **{low: rev, "count_only": True})
            get(c, p, end, **{low: rev, "revision": revs[3], "keys_only": True})
    get(c, p, end, min_mod_revision=revs[3], max_mod_revision=revs[4])
    get(c, p, end, min_mod_revision=revs[5], max_mod_revision=revs[2])
    get(c, p, end, min_create_revision=revs[1], max_mod_revision=revs[4], limit=1)
    for limit in (-1, -2**63, 1, 2, 3, 4, 2**63 - 1):
        get(c, p, end, limit=limit)
        get(c, p, end, limit=limit, sort_target="VALUE", sort_order="DESCEND")
        get(c, p, end, limit=limit, count_only=True, keys_only=True)
        get(c, p, end, limit=limit, revision=revs[5], serializable=True)
    for target in range(5):
        for order in range(3):
            get(c, p, end, sort_target=target, sort_order=order)
            get(c, p, end, sort_target=target, sort_order=order, limit=2, revision=revs[4], keys_only=True)
    for key, stop in ((p, p), (end, p), (p + "a", p + "a\0"), (p + "a", p + "b"), (p + "b", "\0"), ("\0", p + "b"), (p + "zz", "\0"),
                      (p + "a", ""), ("cr", "cs"), (p + "a\0", p + "c"), (b"cr/\xff", b"cr/\xff\xff")):
        get(c, key, stop, limit=4)
        get(c, key, stop, limit=4, revision=revs[6])
    for revision in (revs[7] + 1, 2**62, -1, -2**63, "0", revs[0]):
        get(c, p, end, revision=revision)
        get(c, p, end, revision=revision, count_only=True)
        get(c, p, end, revision=revision, serializable=True, limit=1)


def scenario_corner_compare_ranges(c):
    p, end = "cc/", "cc0"
    lease = c.call("lease/grant", {"TTL": 100})["ID"]
    for name in "abc":
        put(c, p + name, name, lease=lease)
    put(c, p + "b", "b2", lease=lease)
    for target, field, values in (("VERSION", "version", (0, 1, 2)), ("CREATE", "create_revision", (0, c.rev(1), c.rev(2), c.rev(9))),
                                  ("MOD", "mod_revision", (c.rev(1), c.rev(3), c.rev(4))),
                                  ("VALUE", "value", (b64(""), b64("a"), b64("b"), b64("d"))), ("LEASE", "lease", (0, lease, 1))):
        for result in ("EQUAL", "GREATER", "LESS", "NOT_EQUAL"):
            for value in values:
                for key, stop in ((p, end), (p + "b", p + "b\0")):
                    c.call("kv/txn", {"compare": [{"key": b64(key), "range_end": b64(stop), "target": target, "result": result, field: value}]})
    for key, stop in ((p + "x", end), (end, p), (p + "a", "\0"), ("\0", "\0"), (p + "a", p + "a")):
        for target, field, value in (("VERSION", "version", 0), ("VERSION", "version", 1), ("VALUE", "value", b64("a")), ("LEASE", "lease", "0")):
            for result in ("EQUAL", "NOT_EQUAL"):
                c.call("kv/txn", {"compare": [{"key": b64(key), "range_end": b64(stop), "target": target, "result": result, field: value}]})
    c.call("lease/revoke", {"ID": lease})


def scenario_corner_compares(c):
    """A compare with fields of other kinds, several at once, or none."""
    k = b64("co/a")
    put(c, "co/a", "v")
    for compare in ({"key": k, "version": 1}, {"key": k, "target": "MOD", "version": 1}, {"key": k, "target": "VALUE", "version": 1},
                    {"key": k, "target": "VERSION", "value": b64("v")}, {"key": k, "target": "VALUE"}, {"key": k, "target": "LEASE"},
                    {"key": k, "target": "LEASE", "version": 5}, {"key": k, "target": "CREATE"}, {"key": k, "target": "MOD", "result": "GREATER"},
                    {"key": k, "target": 0, "result": 0, "version": "1"},
                    {"key": k, "target": "VERSION", "result": "NOT_EQUAL"}, {"key": k, "target": "VERSION", "version": -1, "result": "GREATER"},
                    {"key": k, "target": "MOD", "modRevision": c.rev(1)}, {"key": k, "target": "CREATE", "createRevision": str(c.rev(1))},
                    {"key": k, "target": "VERSION", "version": None}, {"key": k, "target": None, "result": None, "version": 1}, {}, {"key": ""},
                    {"target": "VERSION"}, {"key": k, "range_end": ""}, {"key": k, "rangeEnd": b64("co/b"), "version": 1},
                    {"key": k, "target": "VERSION", "result": 7, "version": 1}, {"key": k, "target": 7, "version": 1},
                    {"key": k, "target": "NOPE"}, {"key": k, "result": "NOPE"}, {"key": k, "unknown": {"a": 1}, "version": 1}):
        c.call("kv/txn", {"compare": [compare], "success": [get_op("co/a")], "failure": [get_op("co/a", keys_only=True)]})
    for body in ({"compare": []}, {"compare": {}}, {"compare": None, "success": None, "failure": None}, {"compare": [[]]}, {"compare": "x"},
                 {"compare": [1]}, {"success": {}}, {"success": [1]}, {"success": ["x"]}, {"failure": [[]]}, {"Success": [{}]},
                 {"success": [{}]}, {"failure": [{}]}, {"success": [{"nope": {}}]}, {"success": [{"request_put": None}]},
                 {"success": [{"request_put": {}}]}, {"success": [{"request_range": {}}]}, {"success": [{"request_delete_range": {}}]},
                 {"success": [{"request_txn": {}}]}, {"success": [{"request_txn": {"success": [{}]}}]}, {"failure": [{"request_put": {}}]},
                 {"success": [{"requestPut": {"key": k, "value": b64("w")}}]}, {"success": [{"requestDeleteRange": {"key": b64("co/none")}}]},
                 {"success": [{"request_put": {"key": k, "value": 5}}]}, {"success": [{"request_put": []}]}, {"success": [{"request_range": "x"}]}):
        c.call("kv/txn", body)


def scenario_corner_txn(c):
    p = "ct/"
    lease = c.call("lease/grant", {"TTL": 100})["ID"]
    put(c, p + "a", "1", lease=lease)
    put(c, p + "b", "1")
    txn(c, None, [put_op(p + "a", "2", prev_kv=True), get_op(p + "a"), delete_op(p + "b", prev_kv=True), get_op(p, "ct0")])
    txn(c, None, [put_op(p + "a", "3", ignore_lease=True), put_op(p + "b", "3", lease=lease), get_op(p, "ct0", count_only=True)])
    txn(c, None, [put_op(p + "a", "", ignore_value=True, prev_kv=True)])
    txn(c, None, [put_op(p + "a", "x", ignore_value=True)])
    txn(c, None, [put_op(p + "a", "", lease=lease, ignore_lease=True)])
    txn(c, None, [put_op(p + "none", "", ignore_value=True)])
    txn(c, None, [put_op(p + "none", "x", ignore_lease=True)])
    txn(c, None, [put_op(p + "x", "1"), put_op(p + "y", "1", lease=404)])
    txn(c, None, [put_op(p + "x", "1"), get_op(p + "x", revision=c.rev(60))])
    txn(c, None, [put_op(p + "x", "1"), get_op(p + "x", revision=c.rev(1))])
    txn(c, None, [put_op(p + "x", "1"), put_op(p + "x", "2")])
    txn(c, None, [put_op(p + "x", "1"), delete_op(p, "ct0")])
    txn(c, None, [delete_op(p, "ct0"), put_op(p + "x", "1")])
    txn(c, None, [delete_op(p + "q"), put_op(p + "q\0", "1")])
    txn(c, None, [delete_op(p + "r", p + "s"), delete_op(p + "r", p + "t"), delete_op(p + "r")])
    txn(c, None, [put_op(p + "k", "1"), {"request_txn": {"success": [put_op(p + "k", "2")]}}])
    txn(c, None, [put_op(p + "k", "1"), {"request_txn": {"failure": [put_op(p + "k", "2")]}}])
    txn(c, None, [{"request_txn": {"success": [put_op(p + "k", "2")]}}, {"request_txn": {"success": [put_op(p + "k", "3")]}}])
    txn(c, None, [{"request_txn": {"success": [put_op(p + "k", "2")], "failure": [put_op(p + "k", "3")]}}])
    txn(c, None, [{"request_txn": {"success": [delete_op(p, "ct0")]}}, put_op(p + "k", "3")])
    txn(c, [{"key": b64(p + "k"), "target": "VERSION", "version": 0}],
        [put_op(p + "k", "n"), {"request_txn": {"compare": [{"key": b64(p + "k"), "target": "VERSION", "version": 0}],
                                               "success": [get_op(p + "k")], "failure": [get_op(p + "nothing")]}}],
        [{"request_txn": {"compare": [{"key": b64(p + "k"), "target": "VALUE", "value": b64("n")}], "success": [delete_op(p + "k", prev_kv=True)],
                          "failure": [put_op(p + "k", "f")]}}])
    txn(c, [{"key": b64(p + "k"), "target": "VERSION", "version": 0}], [put_op(p + "k", "n2")],
        [{"request_txn": {"success": [{"request_txn": {"success": [get_op(p + "k"), {"request_txn": {}}]}}]}}])
    txn(c, None, [{"request_txn": {"success": [{"request_put": {"key": b64(p + "k"), "value": b64("q"), "lease": 404}}]}}])
    txn(c, None, [{"request_txn": {"compare": [{"key": ""}]}}])
    txn(c, None, [{"request_txn": {"success": [get_op(p + "k", revision=c.rev(99))]}}])
    txn(c, None, [get_op(p, "ct0", limit=1), get_op(p, "ct0", limit=1, sort_order=2), get_op(p, "ct0", min_mod_revision=c.rev(3)),
                  get_op(p, "ct0", serializable=True, limit=-1), get_op("", "ct0")])
    txn(c, None, [get_op(p + "a"), get_op(p + "nothing"), delete_op(p + "nothing"), delete_op(p + "nothing", prev_kv=True)])
    for count in (127, 128, 129):
        ops = [get_op("ct/none")] * count
        c.raw("kv/txn", json.dumps({"success": ops}).encode(), note="%d reads: " % count)
        c.raw("kv/txn", json.dumps({"failure": ops}).encode(), note="%d reads not done: " % count)
        c.raw("kv/txn", json.dumps({"compare": [{"key": b64("ct/none")}] * count}).encode(), note="%d compares: " % count)
    get(c, p, "ct0")
    c.call("lease/revoke", {"ID": lease})
    get(c, p, "ct0")


def scenario_corner_txn_end(c):
    """A delete without an end, and a put behind its beginning."""
    put(c, b"\xff\xffa", "1")
    txn(c, None, [delete_op(b"\xff\xff", "\0"), put_op(b"\xff\xffz", "1")])
    c.call("kv/deleterange", {"key": b64(b"\xff\xff"), "range_end": "AA=="}, record=False)


def scenario_corner_puts(c):
    p = "cp/"
    lease = c.call("lease/grant", {"TTL": 100})["ID"]
    for more in ({}, {"prev_kv": True}, {"lease": lease}, {"lease": lease, "prev_kv": True}, {"ignore_lease": True}, {"lease": "0"},
                 {"ignore_lease": True, "prev_kv": True}, {"ignore_lease": True, "lease": lease}, {"lease": -1}, {"lease": 404}, {"lease": None}):
        put(c, p + "a", "v", **more)
    for body in ({"key": b64(p + "a"), "ignore_value": True}, {"key": b64(p + "a"), "ignore_value": True, "value": ""},
                 {"key": b64(p + "a"), "ignore_value": True, "lease": lease, "prev_kv": True}, {"key": b64(p + "a"), "ignore_value": True, "ignore_lease": True},
                 {"key": b64(p + "none"), "ignore_value": True}, {"key": b64(p + "none"), "ignore_lease": True}, {"key": b64(p + "a")},
                 {"key": b64(p + "a"), "value": b64("x"), "ignore_value": True, "ignore_lease": True}, {"value": b64("x")}, {"key": "", "value": b64("x")},
                 {"key": b64("\0"), "value": b64("nul")}, {"key": b64(b"\xff" * 40), "value": b64(b"\xff\x00")}, {"key": b64("cp/" + "k" * 3000)}):
        c.call("kv/put", body)
    for body in ({"key": b64("\0")}, {"key": b64(b"\xff" * 40), "prev_kv": True}, {"key": b64("cp/k"), "range_end": b64("cp/l"), "prevKv": True},
                 {}, {"range_end": b64("a")}, {"key": "", "range_end": "AA=="}, {"key": b64("cp/z"), "range_end": b64("cp/a")},
                 {"key": b64("cp/none"), "prev_kv": True}, {"key": b64(p), "range_end": b64("cp0"), "prev_kv": True},
                 {"key": b64(p), "range_end": b64("cp0"), "prev_kv": True}):
        c.call("kv/deleterange", body)
    c.call("lease/revoke", {"ID": lease})


def scenario_corner_leases(c):
    p = "cl/"
    for body in ({"TTL": "100", "ID": "4001"}, {"TTL": 100, "ID": 4001.0}, {"TTL": "1e2"}, {"TTL": 100, "ID": "x"}, {"TTL": 100, "ID": [1]},
                 {"TTL": True}, {"TTL": None, "ID": 4002}, {"TTL": 3, "ID": "-1"}, {"TTL": 100, "ID": -9223372036854775808}, {"TTL": "100 "},
                 {"TTL": -9223372036854775808, "ID": 4003}, {"Ttl": 100, "ID": 4004}, {"TTL": 100, "ID": "18446744073709551615"}):
        c.call("lease/grant", body)
    put(c, p + "a", "1", lease=4001)
    put(c, p + "b", "1", lease="4001")
    put(c, p + "c", "1", lease=-1)
    put(c, p + "n", "1", lease="-9223372036854775808")
    get(c, p, "cl0")
    for body in ({"ID": 4001}, {"ID": "4001", "keys": True}, {"ID": -1, "keys": True}, {"ID": "-1", "keys": None}, {"ID": 4001, "keys": "true"},
                 {"id": 4001}, {"ID": 4001, "Keys": True}, {"ID": None}, {"ID": "", "keys": True}):
        c.call("lease/timetolive", body)
        c.call("kv/lease/timetolive", body)
    for text in ('{"ID":4001}{"ID":4001}', '{"ID":4001} {"ID":"x"}', '{"ID":4001}\n\n\n{"ID":9}', "{}", '{"ID":null}', '{"ID":-1}',
                 '{"ID":4001,"x":[]}', '{"ID":"4001"}]', '{"ID":4001}null', "null", "1", '"x"'):
        c.got(c.stream("lease/keepalive", text), 3, seconds=1)
    for body in ({"ID": "4002"}, {"ID": "4002"}, {"ID": -1}, {"ID": 0}, {"ID": "0"}, {"ID": "x"}, {"ID": 4001}, {"ID": 4003}, {"ID": 4004},
                 {"ID": "-9223372036854775808"}):
        c.call("lease/revoke", body)
    get(c, p, "cl0")
