"""tooz's etcd3gw driver, with which OpenStack's services coordinate: locks, groups, who is alive."""
import time

import etcd3gw
from etcd3gw.client import Etcd3Client
from harness import wait_for
from stores import port_of
from tooz import coordination

# Debian 12's two packages do not fit: tooz passes a path that this function of etcd3gw 2.0.0 does not take.
etcd3gw.client = Etcd3Client


def member(store, name, at=0, **options):
    options = dict({"api_version": "v3", "timeout": 10, "lock_timeout": 5, "membership_timeout": 5}, **options)
    url = "etcd3+http://127.0.0.1:%d?%s" % (port_of(store.endpoints()[at]),
                                            "&".join("%s=%s" % o for o in options.items()))
    coordinator = coordination.get_coordinator(url, name)
    coordinator.start()
    return coordinator


def test_locks(store):
    one, two = member(store, b"one"), member(store, b"two", -1)
    held, wanted = one.get_lock(b"tz-lock"), two.get_lock(b"tz-lock")
    assert held.acquire() and not wanted.acquire(blocking=False)
    assert held.heartbeat() and held.acquired
    assert held.release() and wanted.acquire(blocking=3)
    with one.get_lock(b"tz-other"):
        assert not two.get_lock(b"tz-other").acquire(blocking=False)
    assert wanted.break_()
    one.stop()
    two.stop()


def test_lock_of_the_dead(store):
    one, two = member(store, b"one", lock_timeout=2), member(store, b"two", -1)
    assert one.get_lock(b"tz-dead").acquire()
    begin = time.monotonic()
    wanted = two.get_lock(b"tz-dead")
    assert wanted.acquire(blocking=10) and time.monotonic() - begin >= 1.5
    wanted.release()
    one.stop()
    two.stop()


def test_groups(store):
    one, two = member(store, b"one"), member(store, b"two", -1)
    one.create_group(b"tz-group").get()
    try:
        two.create_group(b"tz-group").get()
        raise AssertionError("made twice")
    except coordination.GroupAlreadyExist:
        pass
    one.join_group(b"tz-group", capabilities=b"fast").get()
    two.join_group(b"tz-group", capabilities={"cores": 2}).get()
    assert two.get_members(b"tz-group").get() == {b"one", b"two"}
    assert one.get_member_capabilities(b"tz-group", b"two").get() == {"cores": 2}
    two.update_capabilities(b"tz-group", {"cores": 3}).get()
    assert one.get_member_capabilities(b"tz-group", b"two").get() == {"cores": 3}
    assert b"tz-group" in one.get_groups().get()
    try:
        one.delete_group(b"tz-group").get()
        raise AssertionError("deleted with members")
    except coordination.GroupNotEmpty:
        pass
    one.leave_group(b"tz-group").get()
    two.leave_group(b"tz-group").get()
    assert two.get_members(b"tz-group").get() == set()
    one.delete_group(b"tz-group").get()
    one.stop()
    two.stop()


def test_who_does_not_beat_leaves(store):
    """Membership ends by itself: one beats, the other does not."""
    one = member(store, b"one", membership_timeout=3)
    two = member(store, b"two", -1, membership_timeout=3)
    one.create_group(b"tz-alive").get()
    one.join_group(b"tz-alive").get()
    two.join_group(b"tz-alive").get()

    def only_one():
        one.heartbeat()
        time.sleep(0.3)
        return one.get_members(b"tz-alive").get() == {b"one"}
    wait_for("the silent member to be gone", only_one, 12)
    one.stop()
    two.stop()
