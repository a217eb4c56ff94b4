"""floectl against real nodes, and against false ones that break off, hang or refuse."""
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

from harness import Cluster, free_ports, load, main, wait_for

FLOECTL = os.environ.get("FLOECTL") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/release/floectl")


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return "status %d, out %r, err %r" % (self.status, self.out, self.err)


def ctl(endpoints, *words, given=b"", timeout=30):
    done = subprocess.run([FLOECTL, *words], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          env=dict(os.environ, FLOE_ENDPOINTS=endpoints))
    return Result(done.returncode, done.stdout, done.stderr.decode())


def good(endpoints, *words, **more):
    result = ctl(endpoints, *words, **more)
    assert result.status == 0, (words, result)
    return result


def all_of(cluster):
    return ",".join("127.0.0.1:%d" % n.http_port for n in cluster.nodes.values())


def one(node):
    return "127.0.0.1:%d" % node.http_port


def revision(result):
    return int(re.search(rb"revision (\d+)", result.out).group(1))


# ---- false nodes ----

class FalseNode(http.server.BaseHTTPRequestHandler):
    """Does what its server's list of answers says, one after the other; the last one again and again."""

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        answers = self.server.answers
        kind = answers.pop(0) if len(answers) > 1 else answers[0]
        if kind == "break":
            self.close_connection = True
            return
        if kind == "hang":
            time.sleep(8)
            return
        status, body = kind
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status < 300:
            self.send_header("X-Floe-Revision", "7")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


def false_node(*answers):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FalseNode)
    server.answers, server.seen = list(answers), []
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.at = "127.0.0.1:%d" % server.server_address[1]
    return server


UP = (200, b"")
BUSY = (503, b'{"error":"there is no leader","code":"no_leader"}')


def dead():
    return "127.0.0.1:%d" % free_ports(1)[0]


def test_reads_go_on_elsewhere():
    for broken in ("break", "hang", BUSY):
        bad, fine = false_node(broken), false_node((200, b"value"))
        result = good("%s,%s,%s" % (dead(), bad.at, fine.at), "get", "k")
        assert result.out == b"value\n" and len(bad.seen) == 1, result


def test_repeated_writes_carry_one_key():
    """A write whose connection broke is repeated with the same Idempotency-Key; two writes have two."""
    bad, fine = false_node("break"), false_node((204, b""))
    good("%s,%s" % (bad.at, fine.at), "put", "k", "v")
    first, second = bad.seen[0], fine.seen[0]
    assert first[:2] == second[:2] == ("PUT", "/kv/k") and first[3] == second[3] == b"v"
    key = first[2]["Idempotency-Key"]
    assert len(key) == 32 and key == second[2]["Idempotency-Key"]
    good(fine.at, "put", "k", "v")
    assert fine.seen[1][2]["Idempotency-Key"] != key


def test_what_must_not_happen_twice_is_not_repeated():
    for words in (("lease", "grant", "60"), ("member", "remove", "3"), ("leader", "2")):
        bad, fine = false_node("break"), false_node((200, b'{"id":5,"ttl":60}'))
        result = ctl("%s,%s" % (bad.at, fine.at), *words)
        assert result.status == 4 and "not known" in result.err and not fine.seen, (words, result)
        busy = false_node(BUSY)
        good("%s,%s,%s" % (dead(), busy.at, fine.at), *words)
        assert len(fine.seen) == 1 and len(busy.seen) == 1


def test_watch_goes_on_without_repeating():
    """What was printed of the last revision is skipped at the next node."""
    def event(revision, key):
        return json.dumps({"type": "put", "revision": revision, "key": key, "value": "v"}).encode() + b"\n"
    first = false_node((200, event(5, "a")), BUSY)
    second = false_node((200, event(5, "a") + event(5, "b") + event(6, "c")), BUSY)
    watch = Watch("%s,%s" % (first.at, second.at), "k", "--from", "5")
    wait_for("three changes", lambda: len(watch.lines) >= 3, 5)
    watch.stop()
    assert watch.lines == [b"5\tput\ta\tv", b"5\tput\tb\tv", b"6\tput\tc\tv"], watch.lines
    assert [seen[1] for seen in (first.seen[0], second.seen[0])] == ["/kv/k?watch&from_revision=5"] * 2


def test_nobody_answers():
    result = ctl("%s,%s" % (dead(), dead()), "put", "k", "v", "--timeout", "1")
    assert result.status == 3 and "nothing was done" in result.err and result.err.count("cannot connect") == 2, result
    result = ctl(false_node(BUSY).at, "get", "k", "--timeout", "1")
    assert result.status == 3 and "there is no leader" in result.err, result
    result = ctl(false_node("break").at, "put", "k", "v", "--timeout", "1")
    assert result.status == 4 and "not known" in result.err, result
    assert ctl(false_node("break").at, "get", "k", "--timeout", "1").status == 3


def test_a_busy_cluster_is_waited_for():
    node = false_node(BUSY, BUSY, BUSY, (204, b""))
    begin = time.monotonic()
    good(node.at, "put", "k", "v")
    assert len(node.seen) == 4 and time.monotonic() - begin > 0.5


def test_refusals_are_told():
    said = (409, b'{"error":"id 4 was used already","code":"id_used"}')
    result = ctl(false_node(said).at, "member", "add", "4", "http://127.0.0.1:1")
    assert result.status == 5 and "id 4 was used already" in result.err and "409 id_used" in result.err, result
    result = ctl(false_node((500, b"<html>")).at, "get", "k")
    assert result.status == 5 and "500" in result.err, result


def test_command_line():
    assert b"exit status" in good("x:1", "--help").out
    assert good("x:1", "--version").out.startswith(b"floectl ")
    for words in (("frob",), ("get",), ("get", "k", "--frob"), ("lease", "grant", "x"), ("member", "add", "0", "h:1"),
                  ("member", "add", "4", "nonsense"), ("lease", "ttl", "-1")):
        result = ctl(dead(), *words)
        assert result.status == 2 and result.err.startswith("floectl: ") and not result.out, (words, result)
    assert ctl("nonsense", "status").status == 2


# ---- real nodes ----

def test_put_get_del():
    with Cluster(3) as c:
        c.start()
        everyone = all_of(c)
        at = revision(good(everyone, "put", "a", "one"))
        assert good(everyone, "get", "a").out == b"one\n"
        assert good(everyone, "get", "a", "--raw").out == b"one"
        assert good(everyone, "get", "a", "--json").json() == \
            [{"key": "a", "value": "one", "create_revision": at, "mod_revision": at, "version": 1}]
        assert ctl(everyone, "get", "none", "--json").status == 1
        good(everyone, "put", "a/b c", given=b"\x00\xff\n")
        assert good(everyone, "get", "a/b c", "--raw").out == b"\x00\xff\n"
        assert good(everyone, "get", "a/b c", "--json").json()[0]["value_base64"] == "AP8K"
        for n in c.nodes.values():  # any node
            good(one(n), "put", "n", "%d" % n.id)
            assert good(all_of(c), "get", "n").out == b"%d\n" % n.id
            assert good(one(n), "get", "n", "--stale").status == 0
        later = revision(good(everyone, "put", "a", "two", "--if-revision", str(at)))
        refused = ctl(everyone, "put", "a", "three", "--if-revision", str(at))
        assert refused.status == 1 and str(later) in refused.err, refused
        assert ctl(everyone, "put", "a", "three", "--if-absent").status == 1
        assert good(everyone, "get", "a", "--revision", str(at)).out == b"one\n"
        assert good(everyone, "get", "a", "--json", "--revision", str(at)).json()[0]["value"] == "one"
        assert ctl(everyone, "get", "none").status == 1
        assert ctl(everyone, "del", "none").status == 1
        good(everyone, "del", "a")
        assert ctl(everyone, "get", "a").status == 1
        assert good(everyone, "put", "a", "four", "--if-absent", "--json").json()[0]["revision"] > later


def test_prefix():
    with Cluster(1) as c:
        c.start()
        everyone = all_of(c)
        written = load([c.nodes[1].http_port], [("kv/p/%04d" % n, b"v%d" % n) for n in range(2100)])  # over two pages
        assert set(written.values()) <= {200, 204}, set(written.values())
        c.nodes[1].put("q", b"outside")
        lines = good(everyone, "get", "p/", "--prefix").out.splitlines()
        assert lines == [b"p/%04d\tv%d" % (n, n) for n in range(2100)], (len(lines), lines[:2])
        lines = good(everyone, "get", "p/", "--prefix", "--reverse", "--keys", "--limit", "1500").out.splitlines()
        assert lines == [b"p/%04d" % n for n in range(2099, 599, -1)], (len(lines), lines[:2], lines[-2:])
        items = good(everyone, "get", "p/00", "--prefix", "--json").json()
        assert [i["key"] for i in items] == ["p/%04d" % n for n in range(100)] and items[3]["value"] == "v3"
        assert good(everyone, "get", "none", "--prefix").out == b""
        assert len(good(everyone, "get", "", "--prefix", "--keys").out.splitlines()) == 2101
        assert good(everyone, "del", "p/1", "--prefix").out == b"deleted 1000\n"
        assert ctl(everyone, "del", "p/1", "--prefix").status == 1
        assert len(good(everyone, "get", "p/", "--prefix").out.splitlines()) == 1100


def test_txn():
    with Cluster(1) as c:
        c.start()
        everyone = all_of(c)
        good(everyone, "put", "a", "1")
        text = {"if": [{"key": "a", "value": "1"}], "then": [{"put": {"key": "a", "value": "2"}}, {"get": {"key": "a"}}],
                "else": [{"get": {"key": "a"}}]}
        done = good(everyone, "txn", given=json.dumps(text).encode()).json()[0]
        assert done["succeeded"] is True and done["revision"] > 1, done
        again = ctl(everyone, "txn", given=json.dumps(text).encode())
        assert again.status == 1 and again.json()[0]["succeeded"] is False, again
        assert ctl(everyone, "txn", given=b"nonsense").status == 5
        assert ctl(everyone, "txn", "/no/such/file").status == 2


class Watch:
    def __init__(self, endpoints, *words):
        self.process = subprocess.Popen([FLOECTL, "watch", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=dict(os.environ, FLOE_ENDPOINTS=endpoints))
        self.lines = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip(b"\n"))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(5)
        self.thread.join(5)


def test_watch():
    with Cluster(3) as c:
        c.start()
        everyone = all_of(c)
        first = revision(good(everyone, "put", "w/a", "old"))
        past = Watch(everyone, "w/", "--prefix", "--from", str(first), "--json")
        live = Watch(everyone, "w/a")
        wait_for("the past", lambda: len(past.lines) == 1)
        time.sleep(0.5)
        for number in range(20):
            good(everyone, "put", "w/a", "%d" % number)
            if number == 10:
                c.leader().kill()
        good(everyone, "put", "w/b\tc", "x")
        good(everyone, "del", "w/a")
        wait_for("all changes", lambda: len(past.lines) == 23 and len(live.lines) == 21, 30)
        past.stop()
        live.stop()
        events = [json.loads(line) for line in past.lines]
        assert [e.get("value") for e in events] == ["old"] + [str(n) for n in range(20)] + ["x", None], events
        assert events[-1]["type"] == "delete" and [e["revision"] for e in events] == sorted({e["revision"] for e in events})
        assert [line.split(b"\t")[1:] for line in live.lines] == \
            [[b"put", b"w/a", b"%d" % n] for n in range(20)] + [[b"delete", b"w/a"]], live.lines


def test_leases():
    with Cluster(3) as c:
        c.start()
        everyone = all_of(c)
        made = good(everyone, "lease", "grant", "60", "--lease", "77").out
        assert made == b"lease 77, 60 s\n", made
        good(everyone, "put", "l/a", "1", "--lease", "77")
        good(everyone, "put", "l/b", "1", "--ttl", "2")
        assert good(everyone, "get", "l/a", "--json").json()[0]["lease"] == 77
        shown = good(everyone, "lease", "ttl", "77", "--keys").out
        assert re.match(rb"lease 77, 60 s, 5\d\.\d s left\n  l/a\n$", shown), shown
        assert [b"77", b"60", b"s", b"1", b"keys"] in [x.split() for x in good(everyone, "lease", "list").out.splitlines()]
        assert good(everyone, "lease", "keepalive", "77", "--once").out.startswith(b"lease 77, 60 s")
        wait_for("the key to go with its time", lambda: ctl(everyone, "get", "l/b").status == 1, 15)
        good(everyone, "lease", "revoke", "77")
        assert ctl(everyone, "get", "l/a").status == 1
        for verb in ("revoke", "ttl", "keepalive"):
            result = ctl(everyone, "lease", verb, "77")
            assert result.status == 1, (verb, result)


def test_members_and_status():
    with Cluster(3) as c:
        c.start()
        everyone = all_of(c)
        rows = good(one(c.nodes[1]), "status").out.decode().splitlines()  # it finds the others by itself
        assert len(rows) == 4 and sum(" leader " in r for r in rows) == 1 and all("ready" in r for r in rows[1:]), rows
        assert {r["id"] for r in good(everyone, "status", "--json").json()} == {1, 2, 3}
        rows = [x.split() for x in good(everyone, "member", "list").out.decode().splitlines()[1:]]
        assert [r[-1] for r in rows] == ["127.0.0.1:%d" % n.http_port for n in c.nodes.values()], rows
        assert all(re.match(r"127.0.0.1:\d+$", r[-2]) for r in rows), rows
        listed = good(everyone, "member", "list", "--json").json()
        assert [m["id"] for m in listed] == [1, 2, 3], listed
        other = c.followers()[0]
        good(everyone, "leader", str(other.id))
        wait_for("the new leader", lambda: c.leader() is other)
        ports = free_ports(2)
        good(everyone, "member", "add", "4", "http://127.0.0.1:%d" % ports[1], "--learner")
        assert [m["learner"] for m in good(everyone, "member", "list", "--json").json()] == [False, False, False, True]
        assert ctl(everyone, "member", "add", "4", "http://127.0.0.1:%d" % ports[1]).status == 5
        assert ctl(everyone, "member", "promote", "4").status == 5  # it has not even started
        good(everyone, "member", "remove", "4")
        assert ctl(everyone, "member", "remove", "4").status == 1
        c.followers()[0].kill()
        result = ctl(everyone, "status")
        assert result.status == 1 and result.out.count(b"ready") == 2 and b"cannot connect" in result.out, result


# ---- the README's screen ----

def screen():
    """[(command, what is shown)] of the README's section."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    with open(os.path.join(root, "README.md")) as file:
        section = file.read().split("## floectl")[1].split("\n## ")[0]
    steps = []
    for line in re.search(r"```console\n(.*?)```", section, re.S).group(1).splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif line != "^C":
            steps[-1][1].append(line)
    return steps


def vague(line):
    """Addresses, ids of leases, and who happens to lead are not compared."""
    line = re.sub(r"127\.0\.0\.1:\d+ *", "NODE ", line)
    line = re.sub(r"lease \d{6,}", "lease N", line)
    return re.sub(r"(leader|follower) +\d+ +\d+ +(\d+) +\d+ +", r"ROLE \2 ", line)


def test_readme_screen():
    with Cluster(3) as c:
        c.start()
        env = dict(os.environ, FLOE_ENDPOINTS=all_of(c), PATH=os.path.dirname(FLOECTL) + ":" + os.environ["PATH"])
        shown = 0
        for command, expected in screen()[1:]:  # the first one sets the endpoints
            if " watch " in command:
                command = "timeout -s INT 2 " + command
            done = subprocess.run(["bash", "-c", command + " 2>&1"], env=env, stdout=subprocess.PIPE, timeout=20, text=True)
            assert [vague(line) for line in done.stdout.splitlines()] == [vague(line) for line in expected], (command, done.stdout)
            shown += 1
        assert shown >= 8, shown


if __name__ == "__main__":
    main(sys.modules[__name__])
