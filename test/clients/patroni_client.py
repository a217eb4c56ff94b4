"""Patroni with PostgreSQL: two database nodes whose leader is elected through the store.

As told by Patroni's own REST interface and by rows: bootstrap, switchover, the store's leader killed
without anybody being demoted, fail-over after the primary and its Patroni were killed, return of the old
primary as a replica. Everything runs as an unprivileged user in a temporary folder.
"""
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import psycopg2
from harness import free_ports, wait_for

BINARIES = "/usr/lib/postgresql/15/bin"
CONF = """
scope: clients
namespace: /service/
name: {name}
restapi: {{listen: 127.0.0.1:{rest}, connect_address: 127.0.0.1:{rest}}}
etcd3: {{hosts: [{hosts}], protocol: http}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    maximum_lag_on_failover: 10485760
    postgresql: {{use_pg_rewind: true, use_slots: true}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, data-checksums, no-sync]
  pg_hba: ["local all all trust", "host replication all 127.0.0.1/32 trust", "host all all 127.0.0.1/32 trust"]
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {dir}/data
  bin_dir: {binaries}
  pgpass: {dir}/pgpass
  authentication:
    superuser: {{username: postgres, password: none}}
    replication: {{username: replicator, password: none}}
    rewind: {{username: rewinder, password: none}}
  parameters: {{unix_socket_directories: "{dir}", fsync: "off", shared_buffers: 16MB, max_connections: 20}}
"""


def unprivileged():
    """What runs a program as another user than root: PostgreSQL refuses to be root."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", "--inh-caps=-all"]


class Node:
    def __init__(self, folder, name, hosts):
        self.name = name
        self.dir = os.path.join(folder, name)
        self.port, self.rest = free_ports(2)
        self.process = None
        os.mkdir(self.dir, 0o700)
        self.conf = os.path.join(self.dir, "patroni.yml")
        with open(self.conf, "w") as file:
            file.write(CONF.format(name=name, dir=self.dir, port=self.port, rest=self.rest, binaries=BINARIES,
                                   hosts=", ".join('"%s"' % h for h in hosts)))
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (self.dir, self.conf):
                os.chown(path, user.pw_uid, user.pw_gid)

    def start(self):
        with open(os.path.join(self.dir, "patroni.log"), "ab") as log:
            self.process = subprocess.Popen(unprivileged() + ["patroni", self.conf], cwd=self.dir, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "HOME": self.dir})

    def log(self):
        with open(os.path.join(self.dir, "patroni.log"), errors="replace") as file:
            return file.read()

    def postmaster(self):
        try:
            with open(os.path.join(self.dir, "data/postmaster.pid")) as file:
                return int(file.readline())
        except (OSError, ValueError):
            return None

    def kill(self):
        """Both at once, as when the machine dies."""
        self.process.kill()
        self.process.wait()
        self.process = None
        pid = self.postmaster()
        # Only what runs out of our own folder: a pid file may be old.
        if pid and os.path.exists("/proc/%d" % pid) and os.readlink("/proc/%d/cwd" % pid).startswith(self.dir):
            os.kill(pid, signal.SIGKILL)
            wait_for("postgres to be gone", lambda: not os.path.exists("/proc/%d" % pid), 10)

    def ask(self, path, body=None):
        """(status, decoded body) of Patroni's REST interface; (0, {}) if it is not there."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.rest, path), data, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        except OSError:
            return 0, {}
        try:
            return status, json.loads(text)
        except ValueError:
            return status, {"text": text.decode()}

    def leads(self):
        return self.ask("/primary")[0] == 200

    def follows(self):
        status, body = self.ask("/replica")
        return status == 200 and body.get("state") == "running"

    def timeline(self):
        return self.ask("/patroni")[1].get("timeline")

    def sql(self, text, *values):
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", connect_timeout=5)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(text, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def rows(self):
        """Or None while the server starts, stops or is rewound."""
        try:
            return [n for (n,) in self.sql("select n from t order by n")]
        except psycopg2.Error:
            return None


class Database:
    def __init__(self, store):
        self.dir = tempfile.mkdtemp(prefix="floe-clients-patroni-")
        os.chmod(self.dir, 0o755)
        self.nodes = [Node(self.dir, name, store.endpoints()) for name in ("p1", "p2")]
        self.written = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        if kind:
            for node in self.nodes:
                print("--- the end of %s's log" % node.name)
                print("\n".join(node.log().split("\n")[-25:]))
        for node in self.nodes:
            if node.process:
                node.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def primary(self):
        found = [n for n in self.nodes if n.process and n.leads()]
        assert len(found) < 2, "two primaries"
        return found[0] if found else None

    def insert(self):
        self.written += 1
        self.primary_now().sql("insert into t values (%s)", self.written)

    def primary_now(self):
        return wait_for("a primary", self.primary, 10)

    def expected(self):
        return list(range(1, self.written + 1))


def test_patroni(store):
    with Database(store) as db:
        bootstrap(db)
        switchover(db)
        store_leader_dies(store, db)
        failover(store, db)
        old_primary_returns(db)


def bootstrap(db):
    one, two = db.nodes
    one.start()
    wait_for("p1 to be the primary", one.leads, 60)
    one.sql("create table t (n int primary key)")
    db.insert()
    two.start()
    wait_for("p2 to be a replica", two.follows, 60)
    wait_for("the row at the replica", lambda: two.rows() == db.expected(), 20)
    print("  bootstrap: p1 is the primary, p2 its replica")


def switchover(db):
    one, two = db.nodes
    status, body = one.ask("/switchover", {"leader": "p1", "candidate": "p2"})
    assert status == 200, (status, body)
    wait_for("p2 to be the primary", two.leads, 30)
    wait_for("PostgreSQL to be promoted", lambda: two.sql("select pg_is_in_recovery()") == [(False,)], 20)
    db.insert()
    wait_for("p1 to follow", one.follows, 40)
    wait_for("the rows at p1", lambda: one.rows() == db.expected(), 20)
    print("  switchover: p2 is the primary, p1 its replica")


def store_leader_dies(store, db):
    """The primary stays the primary for longer than its lock lives, and takes writes all the time."""
    primary = db.primary_now()
    timeline, log = primary.timeline(), len(primary.log())
    victim = store.leader_name()
    store.kill(victim)
    end = time.monotonic() + 25
    while time.monotonic() < end:
        assert primary.leads(), "the primary was demoted"
        db.insert()
        time.sleep(0.5)
    assert primary.timeline() == timeline
    since = primary.log()[log:]
    assert "demot" not in since.lower(), since
    store.start_one(victim)
    wait_for("the store's new leader", store.leader_name, 20)
    print("  %s, the store's leader, was killed: the primary stayed, with %d rows written meanwhile" % (victim, db.written - 2))


def failover(store, db):
    """The primary's machine dies, and the store's leader in the same moment."""
    primary = db.primary_now()
    other = next(n for n in db.nodes if n is not primary)
    wait_for("the replica to have everything", lambda: other.rows() == db.expected(), 20)
    victim = store.leader_name()
    begin = time.monotonic()
    primary.kill()
    store.kill(victim)
    wait_for("%s to take over" % other.name, other.leads, 60)
    took = time.monotonic() - begin
    wait_for("PostgreSQL to be promoted", lambda: other.sql("select pg_is_in_recovery()") == [(False,)], 20)
    assert other.rows() == db.expected()
    db.insert()
    assert other.rows() == db.expected()
    store.start_one(victim)
    print("  fail-over: %s took over after %.0f s with all rows; %s was killed at the same time" % (other.name, took, victim))


def old_primary_returns(db):
    dead = next(n for n in db.nodes if n.process is None)
    dead.start()
    wait_for("%s to be a replica" % dead.name, dead.follows, 60)
    db.insert()
    wait_for("the rows at %s" % dead.name, lambda: dead.rows() == db.expected(), 30)
    print("  %s came back as a replica" % dead.name)
