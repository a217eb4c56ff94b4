"""python3-etcd3gw, as Debian has it: every call that its users make, against each member in turn."""
import threading
import time

from etcd3gw import exceptions
from etcd3gw.client import Etcd3Client
from harness import wait_for
from stores import port_of


def connect(endpoint):
    return Etcd3Client(host="127.0.0.1", port=port_of(endpoint), api_path="/v3/", timeout=10)


def refused(run, *kinds):
    try:
        run()
    except kinds as error:
        return error
    raise AssertionError("not refused")


def take(watch, count, seconds=10):
    """The next events of a watch, which then ends; fewer if they do not come in time."""
    events, cancel = watch
    timer = threading.Timer(seconds, cancel)
    timer.start()
    found = []
    for event in events:
        found.append(event)
        if len(found) == count:
            break
    timer.cancel()
    cancel()
    return found


def test_put_get_delete(store):
    for number, endpoint in enumerate(store.endpoints()):
        c, key = connect(endpoint), "gw/%d" % number
        assert c.get(key) == []
        assert c.put(key, "one") is True
        assert c.put(key, b"\x00\xff two") is True
        assert c.get(key) == [b"\x00\xff two"]
        value, meta = c.get(key, metadata=True)[0]
        assert value == b"\x00\xff two" and meta["key"] == key.encode() and meta["version"] == "2", meta
        assert int(meta["mod_revision"]) == int(meta["create_revision"]) + 1
        for other in store.endpoints():  # read your write, wherever
            assert connect(other).get(key) == [b"\x00\xff two"]
        assert c.delete(key) is True
        assert c.delete(key) is False
        assert c.get(key) == []


def test_prefix_and_order(store):
    c = connect(store.endpoints()[0])
    for key, value in (("b", "1"), ("c", "3"), ("a", "2")):
        c.put("gwp/" + key, value)
    c.put("gwp0", "outside")
    assert [m["key"] for _, m in c.get_prefix("gwp/")] == [b"gwp/a", b"gwp/b", b"gwp/c"]
    assert [v for v, _ in c.get_prefix("gwp/", sort_order="descend", sort_target="value")] == [b"3", b"2", b"1"]
    assert [v for v, _ in c.get_prefix("gwp/", sort_order="ascend", sort_target="mod")] == [b"1", b"3", b"2"]
    keys = [m["key"] for _, m in c.get_all()]
    assert b"gwp/a" in keys and b"gwp0" in keys and keys == sorted(keys)
    assert c.delete_prefix("gwp/") is True
    assert c.get_prefix("gwp/") == [] and c.get("gwp0") == [b"outside"]


def test_compare_and_swap(store):
    for number, endpoint in enumerate(store.endpoints()):
        c, key = connect(endpoint), "gwcas/%d" % number
        assert c.create(key, "1") is True
        assert c.create(key, "2") is False
        assert c.replace(key, "1", "2") is True
        assert c.replace(key, "1", "3") is False
        assert c.replace("gwcas/none", "1", "3") is False
        assert c.get(key) == [b"2"]


def test_counters_lose_nothing(store):
    """Sixty increments by compare and swap over all members."""
    connect(store.endpoints()[0]).put("gwcount", "0")
    for number in range(60):
        c = connect(store.endpoints()[number % len(store.endpoints())])
        old = c.get("gwcount")[0]
        assert c.replace("gwcount", old, str(int(old) + 1)) is True
    assert c.get("gwcount") == [b"60"]


def test_lease(store):
    c = connect(store.endpoints()[0])
    lease = c.lease(ttl=30)
    assert lease.id > 0 and 25 <= lease.ttl() <= 30
    c.put("gwl/a", "1", lease=lease)
    c.create("gwl/b", "2", lease=lease)
    assert sorted(lease.keys()) == [b"gwl/a", b"gwl/b"]
    assert lease.refresh() == 30
    assert lease.revoke() is True
    assert c.get_prefix("gwl/") == []
    assert lease.ttl() == -1 and lease.refresh() == -1 and lease.keys() == []
    refused(lease.revoke, exceptions.Etcd3Exception)
    refused(lambda: c.put("gwl/c", "3", lease=lease), exceptions.Etcd3Exception)


def test_lease_expires_and_keepalive_holds_it(store):
    c = connect(store.endpoints()[-1])
    dies, lives = c.lease(ttl=2), c.lease(ttl=2)
    c.put("gwx/dies", "1", lease=dies)
    c.put("gwx/lives", "1", lease=lives)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert lives.refresh() == 2
        time.sleep(0.5)
    assert c.get("gwx/dies") == [] and c.get("gwx/lives") == [b"1"]
    lives.revoke()


def test_lock(store):
    one, two = connect(store.endpoints()[0]), connect(store.endpoints()[-1])
    held, wanted = one.lock(id="gwlock", ttl=20), two.lock(id="gwlock", ttl=20)
    assert held.acquire() is True and held.is_acquired()
    assert wanted.acquire() is False and not wanted.is_acquired()
    assert held.refresh() == 20
    assert wanted.release() is False
    assert held.release() is True
    assert wanted.acquire() is True and wanted.release() is True


def test_lock_of_the_dead_is_freed(store):
    c = connect(store.endpoints()[0])
    held, wanted = c.lock(id="gwdead", ttl=2), c.lock(id="gwdead", ttl=20)
    assert held.acquire() is True
    wait_for("the lock of who does not renew it", wanted.acquire, 8)


def test_watch(store):
    """Through another member than the writer's; events of a put, a delete, and a past revision."""
    writer, reader = connect(store.endpoints()[0]), connect(store.endpoints()[-1])
    watch = reader.watch("gww/key")
    for value in ("1", "2"):
        writer.put("gww/key", value)
    writer.delete("gww/key")
    found = take(watch, 3)
    assert [(e.get("type"), e["kv"].get("value")) for e in found] == [(None, b"1"), (None, b"2"), ("DELETE", None)], found
    first = int(found[0]["kv"]["mod_revision"])
    assert take(reader.watch("gww/key", start_revision=first), 3) == found
    only = take(reader.watch_prefix("gww/", start_revision=first, prev_kv=True, filters=[0]), 1)
    assert only[0]["type"] == "DELETE"


def test_watch_many(store):
    """A hundred events in order, and large ones, whose line ends etcd puts into chunks of their own."""
    writer, reader = connect(store.endpoints()[0]), connect(store.endpoints()[-1])
    watch = reader.watch_prefix("gwmany/")
    grows = 0 if store.name == "etcd" else 1000
    for number in range(100):
        writer.put("gwmany/%d" % (number % 7), "%d" % number + "x" * (number * grows))
    found = [e["kv"]["value"] for e in take(watch, 100)]
    assert [int(value.split(b"x")[0]) for value in found] == list(range(100)), found[-1:]
    assert [value.count(b"x") for value in found] == [n * grows for n in range(100)]


def test_watch_once(store):
    c = connect(store.endpoints()[0])
    refused(lambda: c.watch_once("gwonce", timeout=0.5), exceptions.WatchTimedOut)
    assert connect(store.endpoints()[0]).status()["header"]["member_id"]


def test_members_and_status(store):
    for endpoint in store.endpoints():
        c = connect(endpoint)
        members = c.members()
        assert len(members) == len(store.endpoints())
        urls = sorted(m["clientURLs"][0] for m in members)
        assert urls == sorted("http://" + e for e in store.endpoints()), urls
        status = c.status()
        assert status["version"].count(".") == 2 and status["leader"] in {m["ID"] for m in members}


def test_errors(store):
    c = connect(store.endpoints()[0])
    refused(lambda: c.put("", "x"), exceptions.Etcd3Exception)
    refused(lambda: c.post(c.get_url("/auth/authenticate"), json={"name": "a", "password": "b"}),
            exceptions.PreconditionFailedError)
    assert c.put("gwerr", "the connection is still good") is True
