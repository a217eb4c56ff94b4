"""Clusters that speak etcd's v3 JSON, on loopback: real etcd members from Debian, or floe's.

Both have the same face: start(), endpoints(), leader_name(), kill(name), start_one(name), stop(). The
clients and the semantic checks run against either, so that etcd's own answers are the measure.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
import harness  # noqa: E402


def post(endpoint, path, body, timeout=10):
    """One unary request; the decoded answer. Raises OSError where there is none or it is no 200."""
    request = urllib.request.Request("http://%s/v3/%s" % (endpoint, path), json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


class EtcdCluster:
    """Debian's etcd-server, as unprivileged processes of our own in a temporary folder."""
    name = "etcd"

    def __init__(self, size=3):
        self.dir = tempfile.mkdtemp(prefix="floe-clients-etcd-")
        ports = harness.free_ports(2 * size)
        self.client_port = {"n%d" % (i + 1): ports[2 * i] for i in range(size)}
        self.peer_port = {"n%d" % (i + 1): ports[2 * i + 1] for i in range(size)}
        self.process = {}

    def start(self):
        for name in self.client_port:
            self._launch(name)
        harness.wait_for("etcd to serve", self._all_healthy, 30)
        return self

    def start_one(self, name):
        self._launch(name)

    def _launch(self, name):
        peers = ",".join("%s=http://127.0.0.1:%d" % p for p in self.peer_port.items())
        client = "http://127.0.0.1:%d" % self.client_port[name]
        peer = "http://127.0.0.1:%d" % self.peer_port[name]
        with open(os.path.join(self.dir, name + ".log"), "ab") as log:
            self.process[name] = subprocess.Popen(
                ["etcd", "--name", name, "--data-dir", os.path.join(self.dir, name),
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", peers, "--initial-cluster-token", "clients", "--logger", "zap"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _healthy(self, endpoint):
        try:
            with urllib.request.urlopen("http://%s/health" % endpoint, timeout=2) as answer:
                return json.load(answer).get("health") == "true"
        except (OSError, ValueError):
            return False

    def _all_healthy(self):
        ended = [n for n, p in self.process.items() if p.poll() is not None]
        assert not ended, "etcd %s ended, see %s" % (ended, self.dir)
        return all(self._healthy(e) for e in self.endpoints())

    def endpoints(self):
        return ["127.0.0.1:%d" % port for port in self.client_port.values()]

    def endpoint(self, name):
        return "127.0.0.1:%d" % self.client_port[name]

    def leader_name(self):
        def known():
            for name, process in self.process.items():
                if process.poll() is not None:
                    continue
                try:
                    status = post(self.endpoint(name), "maintenance/status", {}, 2)
                except OSError:
                    continue
                if status.get("leader") == status["header"]["member_id"]:
                    return name
            return None
        return harness.wait_for("a leader", known, 20)

    def kill(self, name):
        self.process[name].kill()
        self.process[name].wait()

    def stop(self, keep=False):
        for process in self.process.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)


class FloeCluster:
    """floed processes, by the harness of the end-to-end tests."""
    name = "floe"

    def __init__(self, size=3):
        self.cluster = harness.Cluster(size)
        self.dir = self.cluster.dir

    def start(self):
        self.cluster.start()
        return self

    def start_one(self, name):
        self._node(name).start()

    def _node(self, name):
        return self.cluster.nodes[int(name[1:])]

    def endpoints(self):
        return ["127.0.0.1:%d" % n.http_port for n in self.cluster.nodes.values()]

    def endpoint(self, name):
        return "127.0.0.1:%d" % self._node(name).http_port

    def leader_name(self):
        return "n%d" % self.cluster.leader().id

    def kill(self, name):
        self._node(name).kill()

    def stop(self, keep=False):
        broken = AssertionError("kept") if keep else None
        self.cluster.__exit__(type(broken) if broken else None, broken, None)


def new(kind, size=3):
    return {"etcd": EtcdCluster, "floe": FloeCluster}[kind](size)


def port_of(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def deadline(seconds):
    """A function that says how many seconds are left of them."""
    end = time.monotonic() + seconds
    return lambda: max(0.0, end - time.monotonic())
