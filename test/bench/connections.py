"""What an idle keep-alive connection costs in memory: python3 test/bench/connections.py [COUNT]   (default 10000)

Each connection makes one PUT and one GET and is kept; a bare evhttp server beside it. Memory of the kernel's
sockets is not in it: both have the same.
"""
import resource
import shutil
import socket
import sys
import tempfile
import time

import bench


def talk(conn, request):
    conn.sendall(request)
    answer = conn.recv(4096)
    while b"\r\n\r\n" not in answer:
        answer += conn.recv(4096)
    assert answer[9:10] == b"2", answer


def rss_bytes(process):
    with open("/proc/%d/status" % process.pid) as f:
        return [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0] * 1024


def per_connection(servers, port, count):
    process = servers.process_of(port)
    time.sleep(1)
    before = rss_bytes(process)
    conns = []
    for i in range(count):
        # the loopback net has more than one address, and a port for each
        conn = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.%d" % (2 + i // 5000), 0))
        conns.append(conn)
        talk(conn, b"PUT /key HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
        talk(conn, b"GET /key HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(2)
    grown = rss_bytes(process) - before
    for conn in (conns[0], conns[-1]):  # still alive
        talk(conn, b"GET /key HTTP/1.1\r\nHost: x\r\n\r\n")
    for conn in conns:
        conn.close()
    time.sleep(2)
    return grown / count, (rss_bytes(process) - before) / count


def measure(root, count=10000):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - 200)
    rows = ["| idle connections | server | bytes each | bytes each when all have gone |", "| --- | --- | --- | --- |"]
    for name, kind in (("floe, leader", bench.Floe), ("bare evhttp", bench.Bare)):
        servers = kind(root)
        try:
            rows.append("| %d | %s | %.0f | %.0f |" % (count, name, *per_connection(servers, servers.port, count)))
        finally:
            servers.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return rows


if __name__ == "__main__":
    directory = tempfile.mkdtemp(prefix="floe-connections-", dir=bench.TOP + "/build")
    try:
        bench.say("\n".join(measure(directory, int(sys.argv[1]) if len(sys.argv) > 1 else 10000)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
