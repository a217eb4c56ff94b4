"""Starts, restarts and fail-over of floe beside etcd; rows of ./dev bench. python3 test/bench/lifecycle.py [TRIALS]"""
import base64
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench

FILL = 20000  # PUTs before a restart


def post(port, path, body):
    """One request on a connection of its own: status, body; OSError while nobody listens."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.25) as conn:
        conn.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" %
                     (path.encode(), len(body), body))
        answer = b""
        while part := conn.recv(65536):
            answer += part
    return int(answer[9:12] or 0), answer


def b64(text):
    return base64.b64encode(text.encode()).decode()


def put(port, key, value):
    try:
        return post(port, "/v3/kv/put", ('{"key":"%s","value":"%s"}' % (b64(key), b64(value))).encode())[0] == 200
    except (OSError, ValueError):
        return False


def has(port, key, value):
    """By what this member itself has applied."""
    try:
        status, answer = post(port, "/v3/kv/range", ('{"key":"%s","serializable":true}' % b64(key)).encode())
        return status == 200 and b64(value).encode() in answer
    except (OSError, ValueError):
        return False


def until(what, seconds=30):
    """Milliseconds until it is true."""
    begin = time.monotonic()
    while not what():
        if time.monotonic() - begin > seconds:
            raise SystemExit("bench: a server did not come back")
        time.sleep(0.001)
    return (time.monotonic() - begin) * 1000


def leader_index(servers):
    return servers.ports.index(servers.port)


def restart(servers, i):
    """The same process again, in its place."""
    servers.processes[i] = subprocess.Popen(servers.commands[i], cwd=servers.dir, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)


def directory_mib(servers):
    total = 0
    for folder, _, names in os.walk(servers.dir):
        total += sum(os.stat(os.path.join(folder, n)).st_blocks * 512 for n in names)
    return total / len(servers.processes) / (1 << 20)


def follower_restart(servers):
    follower = (leader_index(servers) + 1) % len(servers.ports)
    bench.fill(servers.port, servers.put, FILL)
    put(servers.port, "last", "1")
    until(lambda: has(servers.ports[follower], "last", "1"))
    servers.processes[follower].send_signal(signal.SIGTERM)
    servers.processes[follower].wait()
    put(servers.port, "last", "2")
    restart(servers, follower)
    return until(lambda: has(servers.ports[follower], "last", "2"))


def all_killed(servers):
    for p in servers.processes:
        p.kill()
    for p in servers.processes:
        p.wait()
    for i in range(len(servers.processes)):
        restart(servers, i)
    value = str(time.monotonic())
    return until(lambda: any(put(p, "all", value) for p in servers.ports)) + \
        until(lambda: all(has(p, "all", value) for p in servers.ports))


def leader_killed(servers):
    leader = leader_index(servers)
    put(servers.port, "before", "1")
    time.sleep(0.3)
    servers.processes[leader].kill()
    others = [p for i, p in enumerate(servers.ports) if i != leader]
    return until(lambda: put(others[0], "after", "1"))


def first_answer(kind, root):
    """One member, from exec to a committed write."""
    begin = time.monotonic()
    servers = kind(root, count=1, wait=False)
    try:
        until(lambda: put(servers.ports[0], "k", "v"))
        return (time.monotonic() - begin) * 1000
    finally:
        servers.stop()


def idle_mib(servers):
    time.sleep(1)
    return servers.rss_mib()


ROWS = (("one member: start to first write, ms", None), ("data directory at birth, MiB", directory_mib),
        ("idle memory of three, worst, MiB", idle_mib),
        ("follower restart after 20,000 PUTs until it has the next write, ms", follower_restart),
        ("leader killed until a write is answered, ms", leader_killed),
        ("all three killed until a write is on all, ms", all_killed))


def measure(kinds, root, trials):
    """{row: {kind: [values]}}"""
    found = {name: {k: [] for k in kinds} for name, _ in ROWS}
    for _ in range(trials):
        for name, row in ROWS:
            for k, kind in kinds.items():
                if row is None:
                    found[name][k].append(first_answer(kind, root))
                    continue
                servers = kind(root)
                try:
                    found[name][k].append(row(servers))
                finally:
                    servers.stop()
    return found


def table(found):
    kinds = list(next(iter(found.values())))
    lines = ["| median (worst) | " + " | ".join(kinds) + " |", "|" + " --- |" * (len(kinds) + 1)]
    for name, values in found.items():
        cells = ["%.4g (%.4g)" % (statistics.median(values[k]), max(values[k])) for k in kinds]
        lines.append("| %s | %s |" % (name, " | ".join(cells)))
    return lines


def binary_lines():
    """Stripped sizes."""
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(os.path.join(bench.BUILD, "floed"), d + "/floed")
        subprocess.run(["strip", d + "/floed"], check=True)
        mib = os.path.getsize(d + "/floed") / (1 << 20)
    etcd = "; etcd: %.1f MiB" % (os.path.getsize(bench.ETCD) / (1 << 20)) if bench.ETCD else ""
    return ["", "Stripped binary: %.2f MiB%s." % (mib, etcd)]


def kinds():
    return {"floe": bench.Floe, **({"etcd": bench.Etcd} if bench.ETCD else {})}


def main():
    root = tempfile.mkdtemp(prefix="floe-lifecycle-", dir=bench.TOP + "/build")
    try:
        found = measure(kinds(), root, int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    bench.say("\n".join(table(found) + binary_lines()))


if __name__ == "__main__":
    main()
