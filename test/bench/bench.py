"""Measures floe beside its peers in one run; prints tables and writes RESULTS.md. Run it as ./dev bench [--quick].

Servers of a kind run alone, one kind after another, in rounds: medians over rounds and ratios count, absolute
figures belong to the machine. Everything is on loopback and below one temporary directory.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "../..")
BUILD = os.environ.get("FLOE_BUILD", os.path.join(TOP, "build/release"))
ETCD = shutil.which("etcd")
TRIALS = 5
LOAD = os.path.join(BUILD, "test/bench/load")


def say(text):
    print(text, flush=True)


def free_ports(count):
    socks = [socket.socket() for _ in range(count)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            result = what()
            if result:
                return result
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise SystemExit("bench: a server did not come up")


def get_json(port, path, data=None):
    with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), data=data, timeout=5) as answer:
        return json.load(answer)


class Servers:
    """Processes of one cluster, with their directory."""

    def __init__(self, root, name):
        self.dir = os.path.join(root, name)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        self.processes = []
        self.commands = []

    def start(self, command):
        self.commands.append(command)
        log = open(os.path.join(self.dir, "log%d" % len(self.processes)), "w")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.dir))

    def process_of(self, port):
        ports = getattr(self, "ports", [port])
        return self.processes[ports.index(port)]

    def stop(self):
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def cpu_s(self):
        total = 0
        for p in self.processes:
            with open("/proc/%d/stat" % p.pid) as f:
                fields = f.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def written(self):
        total = 0
        for p in self.processes:
            with open("/proc/%d/io" % p.pid) as f:
                total += [int(line.split()[1]) for line in f if line.startswith("write_bytes")][0]
        return total

    def rss_mib(self):
        worst = 0
        for p in self.processes:
            with open("/proc/%d/status" % p.pid) as f:
                worst = max(worst, [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0])
        return worst / 1024


class Floe(Servers):
    put, get = "put", "get"

    def __init__(self, root, count=3, wait=True):
        super().__init__(root, "floe")
        http, peer = free_ports(count), free_ports(count)
        for i in range(count):
            conf = os.path.join(self.dir, "%d.toml" % (i + 1))
            with open(conf, "w") as f:
                f.write('id = %d\ndata_dir = "d%d"\n[http]\nlisten = "127.0.0.1:%d"\n[peer]\n'
                        'listen = "127.0.0.1:%d"\n[cluster]\nname = "bench"\nmembers = [\n' %
                        (i + 1, i + 1, http[i], peer[i]))
                for j in range(count):
                    f.write('    "%d=http://127.0.0.1:%d",\n' % (j + 1, peer[j]))
                f.write("]\n")
            self.start([os.path.join(BUILD, "floed"), "--config", conf])
        self.ports = http
        if not wait:
            return
        leader = wait_for(lambda: get_json(http[0], "/status").get("leader"))
        self.port = http[leader - 1]
        self.follower_port = http[leader % count]


class FloeV3(Floe):
    put, get = "v3put", "v3get"


class Etcd(Servers):
    put, get = "v3put", "v3get"

    def __init__(self, root, count=3, wait=True):
        super().__init__(root, "etcd")
        http, peer = free_ports(count), free_ports(count)
        cluster = ",".join("n%d=http://127.0.0.1:%d" % (i, peer[i]) for i in range(count))
        for i in range(count):
            client = "http://127.0.0.1:%d" % http[i]
            own = "http://127.0.0.1:%d" % peer[i]
            self.start([ETCD, "--name", "n%d" % i, "--data-dir", "d%d" % i, "--listen-client-urls", client,
                        "--advertise-client-urls", client, "--listen-peer-urls", own,
                        "--initial-advertise-peer-urls", own, "--initial-cluster", cluster,
                        "--log-level", "error", "--logger", "zap"])
        self.ports = http
        if not wait:
            return
        status = [wait_for(lambda p=p: self.status(p)) for p in http]
        at = [s["header"]["member_id"] for s in status].index(status[0]["leader"])
        self.port = http[at]
        self.follower_port = http[(at + 1) % count]

    @staticmethod
    def status(port):
        answer = get_json(port, "/v3/maintenance/status", b"{}")
        return answer if answer.get("leader") else None


class Bare(Servers):
    put, get = "put", "get"

    def __init__(self, root):
        super().__init__(root, "bare")
        self.port = self.follower_port = free_ports(1)[0]
        self.start([os.path.join(BUILD, "test/bench/noop_http"), str(self.port)])
        wait_for(lambda: socket.create_connection(("127.0.0.1", self.port)).close() or True)


def load(port, kind, clients, seconds, size=100):
    out = subprocess.run([LOAD, str(port), kind, str(clients), str(seconds), str(size)], stdout=subprocess.PIPE,
                         check=True, text=True).stdout
    result = json.loads(out)
    if result["failures"]:
        say("  (%d answers were not 2xx)" % result["failures"])
    return result


def fill(port, kind, count):
    """So many PUTs of 100 bytes: what a get kind of load does first."""
    get = {"put": "get", "v3put": "v3get"}[kind]
    subprocess.run([LOAD, str(port), get, "64", "0.01", "100", str(count)], stdout=subprocess.DEVNULL, check=True)


def measure(servers, seconds):
    """Everything that one running cluster is asked for, by name."""
    figures = {}
    cpu, written = servers.cpu_s(), servers.written()
    r = load(servers.port, servers.put, 64, seconds)
    figures["put100_64 /s"] = r["per_s"]
    figures["put100_64 p99 us"] = r["p99"]
    done = max(r["answers"] * (seconds + 0.5) / seconds, 1)
    figures["put100_64 cpu s/1000"] = (servers.cpu_s() - cpu) / done * 1000
    figures["put100_64 written B"] = (servers.written() - written) / done
    r = load(servers.port, servers.put, 1, seconds)
    figures["put100_1 p50 us"] = r["p50"]
    r = load(servers.port, servers.get, 64, seconds)
    figures["get100_64 /s"] = r["per_s"]
    r = load(servers.follower_port, servers.get, 64, seconds)
    figures["get100_64 follower /s"] = r["per_s"]
    r = load(servers.port, servers.put, 64, seconds, 4096)
    figures["put4k_64 /s"] = r["per_s"]
    figures["rss MiB"] = servers.rss_mib()
    return figures


def disk_us(root):
    """A 4 KiB append and fdatasync on a file that is allocated already, p50."""
    path = os.path.join(root, "disk")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(fd, bytes(4096 * 1000))
        os.fsync(fd)
        took = []
        for i in range(1000):
            begin = time.perf_counter()
            os.pwrite(fd, b"x" * 4096, i * 4096)
            os.fdatasync(fd)
            took.append((time.perf_counter() - begin) * 1e6)
        return statistics.median(took)
    finally:
        os.close(fd)
        os.unlink(path)


def core_figures():
    rows = []
    for members, batch, count in ((3, 1, 1000000), (3, 256, 3000064), (5, 1, 500000), (5, 256, 1000192)):
        out = subprocess.run([os.path.join(BUILD, "test/bench/core"), str(members), str(batch), str(count)],
                             stdout=subprocess.PIPE, check=True, text=True).stdout
        rows.append((members, batch, float(out.rsplit(" ", 1)[1].rstrip("/s\n"))))
    return rows


def lifecycle_lines():
    import lifecycle  # which is built on this file
    root = tempfile.mkdtemp(prefix="floe-bench-", dir=os.environ.get("FLOE_BENCH_DIR", TOP + "/build"))
    try:
        return lifecycle.table(lifecycle.measure(lifecycle.kinds(), root, TRIALS)) + lifecycle.binary_lines()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def table(kinds, medians):
    lines = ["| | " + " | ".join(kinds) + " | floe / etcd | floe / bare |", "|" + " --- |" * (len(kinds) + 3)]
    for name in next(iter(medians.values())):
        row = ["%.4g" % medians[k][name] for k in kinds]
        for other in ("etcd", "bare"):
            known = other in medians and medians[other][name] > 0
            row.append("%.2f" % (medians["floe"][name] / medians[other][name]) if known else "")
        lines.append("| %s | %s |" % (name, " | ".join(row)))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two short rounds, under three minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--rates", action="store_true", help="without starts, restarts and fail-over")
    args = parser.parse_args()
    rounds = args.rounds or (2 if args.quick else 5)
    seconds = 1 if args.quick else 3
    kinds = {"floe": Floe, "floe /v3": FloeV3, "etcd": Etcd, "bare": Bare}
    if ETCD is None:
        say("SKIPPED: etcd is not installed (apt install etcd-server): no comparison with it")
        del kinds["etcd"]
    root = tempfile.mkdtemp(prefix="floe-bench-", dir=os.environ.get("FLOE_BENCH_DIR", TOP + "/build"))
    samples = {k: {} for k in kinds}
    try:
        disk = disk_us(root)
        for number in range(rounds):
            for name, kind in kinds.items():
                say("round %d of %d: %s" % (number + 1, rounds, name))
                servers = kind(root)
                try:
                    for figure, value in measure(servers, seconds).items():
                        samples[name].setdefault(figure, []).append(value)
                finally:
                    servers.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    medians = {k: {f: statistics.median(v) for f, v in figures.items()} for k, figures in samples.items()}
    with open("/proc/cpuinfo") as f:
        cpu = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    lines = ["Medians of %d interleaved rounds of %d s, %s; %d x %s, %s; three nodes a cluster, load on the leader, "
             "the client on the same cores." % (rounds, seconds, time.strftime("%Y-%m-%d"), len(cpu), cpu[0], platform.release()),
             "4 KiB write + fdatasync in an allocated file, p50: %.0f us." % disk, ""]
    lines += table(list(kinds), medians)
    lines += ["", "The consensus core alone, proposals a second:", "", "| members | batch | /s |", "| --- | --- | --- |"]
    lines += ["| %d | %d | %.0f |" % row for row in core_figures()]
    if not args.quick and not args.rates:
        lines += ["", "Starts, restarts, fail-over (%d trials):" % TRIALS, ""] + lifecycle_lines()
    say("\n".join(lines))
    if not args.quick:
        with open(os.path.join(TOP, "build/bench-results.md"), "w") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
