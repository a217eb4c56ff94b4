"""No room on the disk. RLIMIT_FSIZE stands for a disk that refuses what it had promised (a write fails into room that was
reserved) wherever the tests run; a small tmpfs is a full disk where one can be mounted (in a mount namespace of its own;
said loudly where not)."""
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time

from harness import FLOED, Cluster, Node, main, wait_for

MIB = 1 << 20
VALUE = os.urandom(20000)


def value_of(key):
    return VALUE + key.encode()


def start_limited(node, size):
    """No file of this node may become longer than size: ENOSPC's cousin EFBIG for every write behind it, also where there
    is room already."""
    log = open(node.log_path, "ab")
    node.process = subprocess.Popen(
        [FLOED, "--config", node.conf_path], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    log.close()
    wait_for("node %d to serve" % node.id, node.serves, 30)


def restart_limited(node, size):
    """With a log that has reserved more than it will be allowed to write."""
    wait_for("node %d to serve" % node.id, node.serves)
    wait_for("node %d to have a leader" % node.id, lambda: node.request("GET", "/readyz").status == 200)
    node.kill()
    start_limited(node, size)


def write_until_it_ends(node, prefix, results, threads=6, most=4000, stubborn=False):
    """Writers with a connection and one request at a time each, until one is not done; results[key] = status. Stubborn
    ones go on with the next key then."""
    def run(me):
        c = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=15)
        for i in range(most // threads):
            key = "%s%d-%d" % (prefix, me, i)
            try:
                c.request("PUT", "/" + key, value_of(key))
                answer = c.getresponse()
                answer.read()
                results[key] = answer.status
            except OSError as error:
                results[key] = "closed: %r" % error
            if results[key] != 204 and not stubborn:
                break
        c.close()
    writers = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for t in writers:
        t.start()
    for t in writers:
        t.join()


def assert_all_there(node, results):
    acked = [k for k, s in results.items() if s == 204]
    lost = [k for k in acked if node.get(k).body != value_of(k)]
    assert not lost, "%d of %d acknowledged writes are lost, e.g. %s" % (len(lost), len(acked), lost[:5])
    nothing = [k for k, s in results.items() if s == 503 and node.get(k).status != 404]
    assert not nothing, "503 means certainly not done, but these are there: %s" % nothing[:5]


def assert_said_why(node, why):
    line = [text for text in node.log().splitlines() if "stopped by a failure" in text][-1]
    for part in ("wal/0000", why, "make room", node.dir):
        assert part in line, (part, line)


def test_node_without_room_answers_all_ends_with_1_and_comes_back():
    with Cluster(1) as c:
        n = c.nodes[1]
        n.start()
        restart_limited(n, MIB // 2)
        c.leader()
        results = {}
        write_until_it_ends(n, "k", results)
        began = time.monotonic()
        assert n.wait_exit() == 1
        assert time.monotonic() - began < 2
        statuses = list(results.values())
        assert statuses.count(204) > 10, statuses
        assert set(statuses) <= {204, 503, 504}, [s for s in statuses if s not in (204, 503, 504)]
        assert statuses.count(504) > 0, statuses  # those that had been proposed
        assert_said_why(n, "File too large")
        n.start()  # with room
        assert_all_there(n, results)
        assert n.put("after", b"1").status == 204


def test_member_without_room_leaves_the_others_working_and_comes_back():
    with Cluster(3) as c:
        full = c.nodes[2]
        for n in c.nodes.values():
            n.start(wait=False)
        restart_limited(full, MIB // 2)
        c.leader()
        results = {}
        write_until_it_ends(c.nodes[1], "a", results, threads=4, most=120, stubborn=True)
        assert full.wait_exit() == 1
        assert_said_why(full, "File too large")
        write_until_it_ends(c.nodes[3], "b", results, threads=4, most=120, stubborn=True)
        statuses = list(results.values())
        assert set(statuses) <= {204, 503, 504}, statuses
        assert statuses.count(204) > 200, statuses  # it may have been the leader: some are not known
        for n in (c.nodes[1], c.nodes[3]):
            assert_all_there(n, results)
        full.start()
        assert_all_there(full, results)


def test_log_goes_on_in_short_segments_where_whole_ones_do_not_fit():
    with Cluster(1) as c:
        n = c.nodes[1]
        start_limited(n, 3 * MIB)
        c.leader()
        results = {}
        for i in range(300):  # 6 MB over a few keys: a snapshot has to fit into such a file, too
            key = "k%d" % (i % 4)
            results[key] = n.put(key, value_of(key)).status
            assert results[key] == 204, (i, results[key], n.log()[-2000:])
        files = {f: os.path.getsize(os.path.join(n.dir, "wal", f)) for f in os.listdir(os.path.join(n.dir, "wal"))}
        assert max(int(f.split(".")[0], 16) for f in files) > 4 and max(files.values()) <= 3 * MIB, files
        assert "no room for a whole log segment" in n.log()
        n.kill()
        n.start()
        assert_all_there(n, results)


def test_node_that_cannot_reserve_anything_stays_up_and_says_so():
    with Cluster(1) as c:
        n = c.nodes[1]
        start_limited(n, MIB // 2)
        wait_for("a refusal", lambda: n.put("k", b"v").status == 507)
        answer = n.request("GET", "/readyz")
        assert answer.status == 503 and "no room on the disk" in answer.json()["error"], answer.body
        n.kill()
        n.start()
        c.leader()
        assert n.put("k", b"v").status == 204


def test_request_that_never_came_complete_does_not_keep_a_failed_node():
    with Cluster(1) as c:
        n = c.nodes[1]
        n.start()
        restart_limited(n, MIB // 2)
        c.leader()
        with socket.create_connection(("127.0.0.1", n.http_port)) as s:
            s.sendall(b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            write_until_it_ends(n, "k", {}, threads=2)
            assert n.wait_exit(3) == 1


# ---- a small tmpfs ---------------------------------------------------------------------------------------------

class SmallDisk:
    """A mount namespace, held open by a sleeping process, in which the node's directory is a tmpfs. What is in it is seen
    through /proc/PID/root."""

    def __init__(self, node, mib):
        self.node, self.mib = node, mib
        os.makedirs(node.dir, exist_ok=True)
        script = 'mount -t tmpfs -o size=%dm,mode=700 floe "$0" && echo ready && exec sleep 1000' % mib
        self.holder = subprocess.Popen(["unshare", "-rm", "sh", "-c", script, node.dir], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
        self.ready = self.holder.stdout.readline() == b"ready\n"
        self.why = "" if self.ready else self.holder.stderr.read().decode().strip()

    def path(self, *names):
        return os.path.join("/proc/%d/root" % self.holder.pid, self.node.dir.lstrip("/"), *names)

    def start(self):
        log = open(self.node.log_path, "ab")
        self.node.process = subprocess.Popen(
            ["nsenter", "-t", str(self.holder.pid), "-U", "-m", "--preserve-credentials", FLOED, "--config",
             self.node.conf_path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def free_mib(self):
        info = os.statvfs(self.path())
        return info.f_bavail * info.f_bsize / MIB

    def close(self):
        self.holder.kill()
        self.holder.wait()


def on_small_disk(mib, run, members=1, **raft):
    """run(cluster, the first node, its small disk)."""
    with Cluster(members, **raft) as c:
        try:
            disk = SmallDisk(c.nodes[1], mib)
        except FileNotFoundError as error:
            print("  SKIPPED, THE SMALL TMPFS WAS NOT TRIED:", error, flush=True)
            return
        try:
            if not disk.ready:
                print("  SKIPPED, THE SMALL TMPFS WAS NOT TRIED: cannot mount:", disk.why, flush=True)
                return
            run(c, c.nodes[1], disk)
        finally:
            if c.nodes[1].process is not None:
                c.nodes[1].process.kill()
                c.nodes[1].process.wait()
            disk.close()


def test_small_disk_is_kept_from_filling_by_early_snapshots():
    def run(c, n, disk):
        disk.start()
        wait_for("the node to serve", n.serves, 30)
        c.leader()
        results = {}
        for i in range(3000):  # 60 MB over a few keys on 28 MiB
            key = "k%d" % (i % 10)
            results[key] = n.put(key, value_of(key)).status
            assert results[key] == 204, (i, results[key], n.log()[-2000:])
        assert "snapshot wanted early" in n.log()
        n.kill()
        disk.start()
        wait_for("the node to serve", n.serves, 30)
        assert_all_there(n, results)
    # what was overwritten is part of the snapshots: as little of it as possible
    on_small_disk(28, run, heartbeat_ms=20, election_ms=200, snapshot_entries=10000,
                  extra={"store": {"history_bytes": 65536}})


def fill(disk, leave_mib):
    """What the operator will clear away."""
    ballast = disk.path("ballast")
    with open(ballast, "ab") as f:
        while disk.free_mib() > leave_mib:
            f.write(b"b" * (MIB // 8))
            f.flush()
    return ballast


def assert_refused(node, whose):
    answer = node.put("refused", VALUE)
    assert answer.status == 507 and answer.code() == "no_room", (answer.status, answer.body)
    for part in ("certainly not done", "disk of member %d;" % whose, "make room"):
        assert part in answer.json()["error"], (part, answer.body)
    assert node.get("refused").status == 404


def assert_reads_and_deletes(node, results, key):
    assert node.get(key).body == value_of(key)
    assert node.request("DELETE", "/kv/" + key).status == 204, key
    assert node.get(key).status == 404
    results[key] = "deleted"


def test_full_disk_refuses_growth_while_reads_and_deletes_go_on():
    def run(c, n, disk):
        disk.start()
        wait_for("the node to serve", n.serves, 30)
        c.leader()
        ballast = fill(disk, 0.3)
        results = {}
        write_until_it_ends(n, "k", results)  # keys of their own: no snapshot makes that smaller
        statuses = list(results.values())
        assert set(statuses) == {204, 507} and statuses.count(204) > 50, statuses
        done = [k for k, status in results.items() if status == 204]
        assert_refused(n, 1)
        assert_reads_and_deletes(n, results, done[0])
        disk_now = n.request("GET", "/status").json()["disk"]
        assert disk_now["room"] == "no growth" and "member 1" in disk_now["refuses_writes"], disk_now
        for how in (n.kill, n.terminate):
            how()
            disk.start()
            wait_for("the node to serve", n.serves, 30)
            c.leader()
            wait_for("a refusal", lambda: n.put("probe", VALUE).status == 507)
            assert_refused(n, 1)
            assert_all_there(n, results)
            assert_reads_and_deletes(n, results, done.pop())
        os.remove(ballast)
        wait_for("a write to be taken again", lambda: n.put("after", b"1").status == 204)
        assert_all_there(n, results)
        assert "short of room" in n.log() and "room again" in n.log()
    on_small_disk(24, run)


def bulk(node, keys, value):
    """How many of these were stored at once."""
    body = "".join(json.dumps({"key": key, "value": value}) + "\n" for key in keys)
    lines = node.request("POST", "/kv/", body, timeout=30).body.splitlines()
    return json.loads(lines[-1]).get("applied", 0) if lines else 0


def fill_with_data(node, size, at_once):
    """Until there is no more to be had, also after a while."""
    count = refused = 0
    while refused < 4:
        keys = ["k%07d" % (count + i) for i in range(at_once)]
        if bulk(node, keys, os.urandom(size // 2).hex()) == at_once:
            count += at_once
        else:
            refused += 1
            time.sleep(0.4)
    return count


def delete_all(node, first, end):
    c = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=15)
    for i in range(first, end):
        c.request("DELETE", "/kv/k%07d" % i)
        answer = c.getresponse()
        body = answer.read()
        # what a bulk request had done before it was refused is there, or not
        assert answer.status in (204, 404), (i, answer.status, body, node.log()[-2000:])
    c.close()


def test_disk_that_is_full_of_own_data_takes_all_deletes_and_then_growth():
    def run(c, n, disk):
        for size, at_once, how in ((600, 50, n.kill), (6000, 5, n.terminate)):
            disk.start()
            wait_for("the node to serve", n.serves, 30)
            c.leader()
            count = fill_with_data(n, size, at_once)
            assert count * size > disk.mib * MIB / 10, count
            how()
            disk.start()
            wait_for("the node to serve", n.serves, 30)
            c.leader()
            wait_for("a refusal", lambda: n.put("more", VALUE).status == 507)
            delete_all(n, 0, count // 2)
            wait_for("a write to be taken again", lambda: n.put("after", VALUE).status == 204, 20)
            delete_all(n, count // 2, count)
            how()
    on_small_disk(24, run)


def test_full_disk_of_one_member_refuses_growth_everywhere():
    def run(c, full, disk):
        others = [c.nodes[2], c.nodes[3]]
        disk.start()
        for n in others:
            n.start(wait=False)
        for n in c.nodes.values():
            wait_for("node %d to serve" % n.id, n.serves, 30)
        c.leader()
        ballast = fill(disk, 0.3)
        results = {}
        write_until_it_ends(others[0], "k", results)
        statuses = list(results.values())
        assert set(statuses) == {204, 507} and statuses.count(204) > 50, statuses
        done = [k for k, status in results.items() if status == 204]
        for n in c.nodes.values():
            wait_for("node %d to refuse" % n.id, lambda n=n: n.put("refused", VALUE).status == 507)
            assert_refused(n, 1)
            assert_reads_and_deletes(n, results, done.pop())
        full.kill()
        wait_for("the others to go on", lambda: others[0].put("alone", b"1").status == 204)
        disk.start()
        wait_for("the node to serve", full.serves, 30)
        wait_for("a refusal", lambda: others[1].put("refused", VALUE).status == 507)
        assert full.get("alone").body == b"1"
        os.remove(ballast)
        for n in c.nodes.values():
            wait_for("node %d to take writes again" % n.id, lambda n=n: n.put("after", b"1").status == 204)
            assert_all_there(n, results)
    on_small_disk(24, run, members=3)


if __name__ == "__main__":
    main(sys.modules[__name__])
