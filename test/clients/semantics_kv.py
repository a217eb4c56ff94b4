"""Requests to kv/*: what a real etcd answers to them is the measure (see compare.py)."""
from gateway import b64


def put(c, key, value="", **more):
    return c.call("kv/put", dict({"key": b64(key), "value": b64(value)}, **more))


def get(c, key, end=None, **more):
    body = {"key": b64(key)}
    if end is not None:
        body["range_end"] = b64(end)
    return c.call("kv/range", dict(body, **more))


def five(c, p):
    """a to e, with versions, creations and values in different orders."""
    for key, value in (("c", "3"), ("a", "5"), ("e", "1"), ("b", "4"), ("d", "2"), ("a", "9"), ("c", "0"), ("a", "7")):
        put(c, p + key, value)


def scenario_put(c):
    p = "put/"
    put(c, p + "a", "1")
    put(c, p + "a", "2", prev_kv=True)
    put(c, p + "a", "2", prevKv=True)
    put(c, p + "b", "1", prev_kv=True)
    put(c, p + "empty", "")
    get(c, p + "empty")
    put(c, p + "a", "3", ignore_value=True)
    put(c, p + "a", "", ignore_value=True)
    put(c, p + "a", "", ignore_value=True, prev_kv=True)
    put(c, p + "missing", "", ignore_value=True)
    put(c, p + "missing", "x", ignore_lease=True)
    put(c, p + "a", "x", ignore_lease=True)
    put(c, p + "a", "x", lease="77", ignore_lease=True)
    put(c, p + "a", "x", lease="77")
    put(c, p + "a", "x", lease=-1)
    put(c, p + "a", "", ignore_value=True, ignore_lease=True)
    put(c, "", "x")
    c.call("kv/put", {"key": b64(p + "novalue")})
    c.call("kv/put", {"value": b64("x")})
    c.call("kv/put", {})
    c.call("kv/put", {"key": None, "value": None})
    c.text("kv/put", "")
    c.call("kv/put", {"key": b64(b"\x00\xff" + p.encode()), "value": b64(bytes(range(256)))})
    get(c, b"\x00\xff" + p.encode())
    get(c, p, p + "\xff")
    get(c, p, "put0")


def scenario_put_sizes(c):
    for size in (1000, 1572000, 1572764, 1572844, 1572864, 1600000, 2000000, 2097100, 2200000):
        c.call("kv/put", {"key": b64("big"), "value": b64("x" * size)})
    c.call("kv/deleterange", {"key": b64("big")})
    c.call("kv/put", {"key": b64("k" * 100000), "value": b64("v")})
    c.call("kv/deleterange", {"key": b64("k" * 100000)})


def scenario_range(c):
    p = "range/"
    end = "range0"
    five(c, p)
    get(c, p + "a")
    get(c, p + "nothing")
    get(c, p, end)
    get(c, p + "b", p + "d")
    get(c, p + "b", p + "b")
    get(c, p + "d", p + "b")
    get(c, p + "b", "")
    c.call("kv/range", {"key": "", "range_end": b64("z")})
    c.call("kv/range", {"range_end": b64("z")})
    c.call("kv/range", {})
    c.text("kv/range", "")
    c.text("kv/range", "{}")
    get(c, p + "d", "\0")
    for limit in (1, 2, 4, 5, 6, 0, -1, "3"):
        get(c, p, end, limit=limit)
    get(c, p, end, count_only=True)
    get(c, p, end, countOnly=True, limit=2)
    get(c, p + "zz", end, count_only=True)
    get(c, p, end, keys_only=True)
    get(c, p + "a", keysOnly=True)
    get(c, p, end, keys_only=True, count_only=True)
    get(c, p, end, serializable=True)
    get(c, p + "a", serializable=True, count_only=True)


def scenario_range_sort(c):
    p, end = "sort/", "sort0"
    five(c, p)
    for order in ("NONE", "ASCEND", "DESCEND"):
        for target in ("KEY", "VERSION", "CREATE", "MOD", "VALUE"):
            get(c, p, end, sort_order=order, sort_target=target)
    for order in (0, 1, 2, 3, -1):
        get(c, p, end, sort_order=order, sort_target=3, limit=2)
    for target in (0, 1, 2, 3, 4):  # a number past the last ends a 3.4.23 member
        get(c, p, end, sortOrder=2, sortTarget=target, keys_only=True)
    get(c, p, end, sort_target="VERSION", limit=3)
    get(c, p, end, sort_order="DESCEND", limit=2)
    get(c, p, end, sort_order="DESCEND", sort_target="MOD", limit=1, count_only=True)
    get(c, p, end, sort_order="NOPE")
    get(c, p, end, sort_target="NOPE")
    get(c, p, end, sort_order="descend")
    get(c, p, end, sort_order=None, sort_target=None)
    get(c, p, end, sort_order="1")


def scenario_range_filters(c):
    p, end = "filter/", "filter0"
    five(c, p)
    for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
        for after in (1, 3, 6, 8, 20):
            get(c, p, end, **{name: c.rev(after)})
    get(c, p, end, min_mod_revision=c.rev(3), max_mod_revision=c.rev(7))
    get(c, p, end, minModRevision=str(c.rev(3)), limit=1)
    get(c, p, end, min_mod_revision=c.rev(3), limit=2, count_only=True)
    get(c, p, end, max_create_revision=c.rev(2), sort_order="DESCEND", keys_only=True)
    get(c, p, end, min_mod_revision=-4)
    get(c, p, end, max_mod_revision=-4)
    get(c, p, end, min_mod_revision=c.rev(30), limit=1)


def scenario_range_revision(c):
    p, end = "rev/", "rev0"
    five(c, p)
    c.call("kv/deleterange", {"key": b64(p + "b")})
    put(c, p + "b", "again")
    for after in range(0, 11):
        get(c, p, end, revision=c.rev(after))
    get(c, p + "b", revision=c.rev(9))
    get(c, p + "b", revision=str(c.rev(8)))
    get(c, p + "b", revision=c.rev(11))
    get(c, p + "b", revision=c.rev(1000))
    get(c, p + "b", revision=-1)
    get(c, p + "b", revision=-1000, serializable=True)
    get(c, p, end, revision=c.rev(4), limit=2)
    get(c, p, end, revision=c.rev(4), count_only=True)
    get(c, p, end, revision=c.rev(4), sort_order="DESCEND", sort_target="VALUE")
    get(c, p + "b", revision=c.rev(11), count_only=True)
    get(c, p + "b", revision="9223372036854775807")


def scenario_delete(c):
    p, end = "del/", "del0"
    five(c, p)

    def delete(key, last=None, **more):
        body = {"key": b64(key)}
        if last is not None:
            body["range_end"] = b64(last)
        return c.call("kv/deleterange", dict(body, **more))
    delete(p + "a")
    delete(p + "a")
    delete(p + "b", prev_kv=True)
    delete(p + "b", prev_kv=True)
    delete(p + "zz", end)
    delete(p + "e", p + "c")
    delete(p, end, prevKv=True)
    delete(p, end)
    get(c, p, end)
    get(c, p, end, revision=c.rev(9))
    put(c, p + "a", "new")
    get(c, p + "a")
    put(c, p + "x", "1")
    put(c, p + "y", "2")
    delete(p + "x", "\0" if False else p + "z", prev_kv=False)
    delete("")
    c.call("kv/deleterange", {"range_end": b64("z")})
    c.call("kv/deleterange", {})
    c.text("kv/deleterange", "")
    delete(p + "a", p + "a")
    delete(p + "a", "")
    get(c, p, end)


def scenario_everything_from_nul(c):
    c.call("kv/deleterange", {"key": "AA==", "range_end": "AA==", "prev_kv": False}, record=False)
    c.base = int(c.call("kv/range", {"key": "AA=="}, record=False)["header"]["revision"])
    for key in ("m", "n", "o"):
        put(c, key, key)
    c.call("kv/range", {"key": "AA==", "range_end": "AA=="})
    c.call("kv/range", {"key": "AA==", "range_end": "AA==", "keys_only": True, "limit": 1})
    c.call("kv/range", {"key": b64("n"), "range_end": "AA=="})
    c.call("kv/range", {"key": "AA==", "range_end": b64("n")})
    c.call("kv/range", {"key": "AAA=", "range_end": "AA=="})
    c.call("kv/range", {"key": b64("n"), "range_end": "AAA="})
    c.call("kv/deleterange", {"key": b64("n"), "range_end": "AA==", "prev_kv": True})
    c.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
    c.call("kv/range", {"key": "AA==", "range_end": "AA=="})


def scenario_compaction(c):
    p, end = "compact/", "compact0"
    five(c, p)
    c.call("kv/deleterange", {"key": b64(p + "b")})
    c.call("kv/compaction", {"revision": c.rev(9), "physical": True})
    c.call("kv/compaction", {"revision": c.rev(9)})
    c.call("kv/compaction", {"revision": c.rev(3)})
    c.call("kv/compaction", {"revision": c.rev(10)})
    c.call("kv/compaction", {"revision": 0})
    c.call("kv/compaction", {"revision": -1})
    c.call("kv/compaction", {})
    c.text("kv/compaction", "")
    for after in (0, 4, 8, 9):
        get(c, p, end, revision=c.rev(after))
    get(c, p, end, revision=1)
    get(c, p, end)
    put(c, p + "a", "after")
    put(c, p + "b", "back")
    get(c, p, end, revision=c.rev(9))
    get(c, p, end, revision=c.rev(10))
    c.call("kv/compaction", {"revision": str(c.rev(10))})
    get(c, p, end, revision=c.rev(10))
    get(c, p, end, revision=c.rev(9))
    get(c, p, end, revision=c.rev(11))
    c.call("kv/txn", {"success": [{"request_range": {"key": b64(p + "a"), "revision": c.rev(9)}}]})
    w = c.stream("watch", {"create_request": {"key": b64(p), "range_end": b64(end), "start_revision": c.rev(2)}})
    c.got(w, 2)
    w.close()
    w = c.stream("watch", {"create_request": {"key": b64(p), "range_end": b64(end), "start_revision": c.rev(10)}})
    c.got(w, 1)
    c.events(w, 2)
    w.close()


# ---- transactions ----

def compare(key, target=None, result=None, **more):
    body = {"key": b64(key)}
    if target is not None:
        body["target"] = target
    if result is not None:
        body["result"] = result
    return dict(body, **more)


def put_op(key, value, **more):
    return {"request_put": dict({"key": b64(key), "value": b64(value)}, **more)}


def get_op(key, end=None, **more):
    body = {"key": b64(key)}
    if end is not None:
        body["range_end"] = b64(end)
    return {"request_range": dict(body, **more)}


def delete_op(key, end=None, **more):
    body = {"key": b64(key)}
    if end is not None:
        body["range_end"] = b64(end)
    return {"request_delete_range": dict(body, **more)}


def txn(c, compares=None, success=None, failure=None, **options):
    body = {}
    for name, value in (("compare", compares), ("success", success), ("failure", failure)):
        if value is not None:
            body[name] = value
    return c.call("kv/txn", body, **options)


def scenario_txn_compare(c):
    p = "cmp/"
    put(c, p + "a", "1")
    put(c, p + "a", "5")
    results = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
    for key in (p + "a", p + "missing"):
        for result in results:
            for version in (0, 1, 2, 3):
                txn(c, [compare(key, "VERSION", result, version=version)])
            for after in (0, 1, 2, 3):
                txn(c, [compare(key, "MOD", result, mod_revision=c.rev(after))])
                txn(c, [compare(key, "CREATE", result, create_revision=str(c.rev(after)))])
            txn(c, [compare(key, "CREATE", result, create_revision=0)])
            for value in ("", "4", "5", "50", "6"):
                txn(c, [compare(key, "VALUE", result, value=b64(value))])
            txn(c, [compare(key, "LEASE", result, lease=0)])
            txn(c, [compare(key, "LEASE", result, lease=5)])


def scenario_txn_compare_forms(c):
    p = "cmpform/"
    put(c, p + "a", "1")
    a = p + "a"
    txn(c, [{"key": b64(a)}])
    txn(c, [{"key": b64(p + "none")}])
    txn(c, [{"key": b64(a), "version": 1}])
    txn(c, [{"key": b64(a), "target": "CREATE"}])
    txn(c, [{"key": b64(a), "target": "MOD", "modRevision": c.rev(1)}])
    txn(c, [{"key": b64(a), "target": 2, "mod_revision": str(c.rev(1))}])
    txn(c, [{"key": b64(a), "target": 3, "result": 0, "value": b64("1")}])
    txn(c, [{"key": b64(a), "target": "VALUE"}])
    txn(c, [{"key": b64(a), "target": "VALUE", "version": 1}])
    txn(c, [{"key": b64(a), "target": "VERSION", "value": b64("1")}])
    txn(c, [{"key": b64(a), "target": "VERSION", "mod_revision": 1}])
    txn(c, [{"key": b64(a), "target": "NOPE"}])
    txn(c, [{"key": b64(a), "result": "NOPE"}])
    txn(c, [{"key": b64(a), "target": 9}])
    txn(c, [{"key": b64(a), "result": 9, "version": 1}])
    txn(c, [{"target": "VERSION"}])
    txn(c, [{}])
    txn(c, [None])
    txn(c, [])
    txn(c, None)
    c.text("kv/txn", "")
    txn(c, [compare(a, "VERSION", "EQUAL", version=1), compare(p + "none", "VERSION", "EQUAL", version=0)])
    txn(c, [compare(a, "VERSION", "EQUAL", version=1), compare(p + "none", "VERSION", "EQUAL", version=1)])
    put(c, p + "b", "1")
    put(c, p + "c", "2")
    end = b64("cmpform0")
    for result in ("EQUAL", "GREATER", "LESS", "NOT_EQUAL"):
        txn(c, [compare(p, "VERSION", result, version=1, range_end=end)])
        txn(c, [compare(p, "VALUE", result, value=b64("1"), range_end=end)])
        txn(c, [compare(p + "x", "VERSION", result, version=0, range_end=end)])
        txn(c, [compare(p + "x", "VALUE", result, value=b64("1"), range_end=end)])
        txn(c, [compare(p, "CREATE", result, create_revision=c.rev(0), range_end=end)])
    txn(c, [compare(p, "VERSION", "GREATER", version=0, range_end="AA==")])
    txn(c, [compare(p + "c", "VERSION", "GREATER", version=0, range_end=b64(p + "a"))])
    txn(c, [compare(a, "VALUE", "EQUAL", value="***")])


def scenario_txn_operations(c):
    p, end = "txn/", "txn0"
    put(c, p + "a", "1")
    txn(c, None, [put_op(p + "b", "2"), get_op(p, end), put_op(p + "c", "3"), get_op(p, end), delete_op(p + "a"),
                  get_op(p, end)])
    txn(c, None, [get_op(p + "b"), put_op(p + "b", "3", prev_kv=True), delete_op(p + "c", prev_kv=True)])
    txn(c, [compare(p + "b", "VERSION", "EQUAL", version=9)], [put_op(p + "b", "no")], [put_op(p + "b", "yes"), get_op(p + "b")])
    txn(c, [compare(p + "b", "VERSION", "EQUAL", version=9)], [put_op(p + "b", "no")])
    txn(c, None, [get_op(p + "b")])
    txn(c, None, [get_op(p + "none")])
    txn(c, None, [delete_op(p + "none")])
    txn(c, None, [delete_op(p + "none"), get_op(p, end, count_only=True)])
    txn(c, None, [put_op(p + "d", "4"), delete_op(p + "e", p + "f")])
    txn(c, None, [delete_op(p, end, prev_kv=True), get_op(p, end), get_op(p, end, revision=c.rev(1))])
    get(c, p, end)
    txn(c, None, [put_op(p + "b", "1"), put_op(p + "d", "1")])
    txn(c, None, [get_op(p, end, limit=1), get_op(p, end, keys_only=True), get_op(p, end, sort_order="DESCEND"),
                  get_op(p, end, serializable=True), get_op(p, end, revision=c.rev(1))])
    txn(c, None, [put_op(p + "b", "", ignore_value=True, prev_kv=True)])
    txn(c, None, [put_op(p + "b", "x", ignore_lease=True)])
    txn(c, None, [{"requestRange": {"key": b64(p + "b")}}])
    txn(c, None, [{"requestPut": {"key": b64(p + "b"), "value": b64("camel"), "prevKv": True}}])
    txn(c, None, [{"requestDeleteRange": {"key": b64(p + "b"), "prevKv": True}}])


def scenario_txn_refused(c):
    p, end = "txnbad/", "txnbad0"
    put(c, p + "a", "1")
    txn(c, None, [put_op(p + "a", "1"), put_op(p + "a", "2")])
    txn(c, None, [put_op(p + "a", "1"), delete_op(p + "a")])
    txn(c, None, [delete_op(p + "a"), put_op(p + "a", "1")])
    txn(c, None, [put_op(p + "m", "1"), delete_op(p, end)])
    txn(c, None, [put_op(p + "zz", "1"), delete_op(p + "a", p + "b")])
    txn(c, None, [delete_op(p, end), delete_op(p + "a")])
    txn(c, [compare(p + "a", "VERSION", "EQUAL", version=99)], [put_op(p + "a", "1")], [put_op(p + "a", "2")])
    txn(c, None, [put_op("", "1")])
    txn(c, None, [get_op("")])
    txn(c, None, [delete_op("")])
    txn(c, None, None, [put_op("", "1")])
    txn(c, None, [{}])
    txn(c, None, [None])
    txn(c, None, [{"request_nothing": {"key": b64("a")}}])
    txn(c, None, [{"request_put": {}}])
    txn(c, None, [{"request_put": None}])
    txn(c, None, [{"request_range": {}}])
    txn(c, None, [{"request_txn": {}}])
    txn(c, None, [put_op(p + "b", "1"), get_op(p + "b", revision=c.rev(100))])
    txn(c, None, [get_op(p + "b", revision=c.rev(100))])
    txn(c, None, [get_op(p + "b", revision=c.rev(1)), put_op(p + "b", "1")])
    txn(c, None, [put_op(p + "c", "1", lease=4242)])
    txn(c, None, [put_op(p + "d", "1"), put_op(p + "c", "1", lease=4242)])
    txn(c, None, [put_op(p + "none", "", ignore_value=True)])
    txn(c, None, [put_op(p + "d", "1"), put_op(p + "none", "x", ignore_lease=True)])
    txn(c, None, [put_op(p + "a", "x", ignore_value=True)])
    txn(c, None, [put_op(p + "a", "x", ignore_lease=True, lease=3)])
    txn(c, [compare(p + "a", "VERSION", "EQUAL", version=99)], [put_op(p + "c", "1", lease=4242)])
    txn(c, [compare("", "VERSION", "EQUAL", version=0)])
    get(c, p, end)
    many = [get_op(p + "%d" % i) for i in range(129)]
    txn(c, None, many[:128])
    txn(c, None, many)
    txn(c, None, None, many)
    txn(c, [compare(p + "%d" % i) for i in range(129)], None, None)
    txn(c, [compare(p + "%d" % i) for i in range(128)], many[:1], None)
    txn(c, None, [put_op(p + "%d" % i, "x") for i in range(128)])
    c.call("kv/deleterange", {"key": b64(p), "range_end": b64(end)})
    c.call("kv/txn", {"success": {"request_range": {"key": b64("a")}}})
    c.call("kv/txn", {"success": ["x"]})
    c.call("kv/txn", {"compare": "x"})


def scenario_txn_nested(c):
    p, end = "nest/", "nest0"
    put(c, p + "a", "1")

    def inner(compares=None, success=None, failure=None):
        body = {}
        for name, value in (("compare", compares), ("success", success), ("failure", failure)):
            if value is not None:
                body[name] = value
        return {"request_txn": body}
    txn(c, None, [inner(None, [put_op(p + "b", "2"), get_op(p, end)])])
    txn(c, None, [put_op(p + "c", "1"), inner([compare(p + "c", "VERSION", "EQUAL", version=0)], [get_op(p + "c")],
                                              [get_op(p + "a")])])
    txn(c, None, [inner([compare(p + "a", "VERSION", "EQUAL", version=7)], None, [inner(None, [put_op(p + "d", "deep")])])])
    txn(c, None, [inner(), inner(None, [get_op(p + "a")])])
    txn(c, None, [put_op(p + "x", "1"), inner(None, [put_op(p + "x", "2")])])
    txn(c, None, [inner(None, [put_op(p + "x", "2")], [put_op(p + "x", "3")])])
    txn(c, None, [put_op(p + "y", "1"), inner(None, None, [put_op(p + "y", "3")])])
    txn(c, None, [delete_op(p, end), inner(None, [put_op(p + "q", "2")])])
    txn(c, None, [inner(None, [delete_op(p, end)]), inner(None, [put_op(p + "q", "2")])])
    txn(c, None, [inner(None, [put_op("", "2")])])
    txn(c, None, [inner(None, [get_op(p + "a", revision=c.rev(50))]), put_op(p + "z", "1")])
    txn(c, None, [put_op(p + "z", "1"), inner(None, [put_op(p + "w", "1", lease=999)])])
    txn(c, None, [inner(None, [get_op(p + "%d" % i) for i in range(129)])])
    txn(c, None, [inner([compare(p + "a", "VALUE", "EQUAL", value=b64("1"))], [delete_op(p + "a", prev_kv=True)]),
                  get_op(p, end, keys_only=True)])
    get(c, p, end)


def scenario_patroni_shapes(c):
    """The requests of Patroni 3.0 as it sends them."""
    p = "/service/demo/"
    lease = c.call("lease/grant", {"TTL": 30})["ID"]
    c.call("kv/txn", {"compare": [{"target": "CREATE", "create_revision": "0", "key": b64(p + "initialize")}],
                      "success": [{"request_put": {"key": b64(p + "initialize"), "value": b64("")}}]})
    c.call("kv/txn", {"compare": [{"target": "CREATE", "create_revision": "0", "key": b64(p + "leader")}],
                      "success": [{"request_put": {"key": b64(p + "leader"), "value": b64("one"), "lease": lease}}]})
    c.call("kv/txn", {"compare": [{"target": "CREATE", "create_revision": "0", "key": b64(p + "leader")}],
                      "success": [{"request_put": {"key": b64(p + "leader"), "value": b64("two"), "lease": lease}}]})
    c.call("kv/put", {"key": b64(p + "members/one"), "value": b64("{}"), "lease": lease})
    c.call("kv/range", {"key": b64(p), "range_end": b64("/service/demo0"), "serializable": True})
    c.call("kv/txn", {"compare": [{"target": "MOD", "mod_revision": str(c.rev(1)), "key": b64(p + "initialize")}],
                      "success": [{"request_put": {"key": b64(p + "initialize"), "value": b64("7")}}]})
    c.call("kv/txn", {"compare": [{"target": "MOD", "mod_revision": c.rev(1), "key": b64(p + "leader")}],
                      "success": [{"request_delete_range": {"key": b64(p + "leader")}}]})
    c.call("kv/txn", {"compare": [{"target": "MOD", "mod_revision": c.rev(2), "key": b64(p + "leader")}],
                      "success": [{"request_delete_range": {"key": b64(p + "leader")}}]})
    c.call("kv/put", {"key": b64(p + "failover"), "value": b64("")})
    c.call("kv/deleterange", {"key": b64(p + "failover")})
    c.call("auth/authenticate", {"name": "a", "password": "b"})
    c.call("lease/revoke", {"ID": lease})
    c.call("kv/range", {"key": b64(p), "range_end": b64("/service/demo0"), "serializable": True})
