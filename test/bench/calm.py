"""No election without need: python3 test/bench/calm.py [SECONDS]   (default 300)

Three nodes with default time-outs under more load than they can take, while one after the other is stopped (SIGSTOP) for a
time that is shorter than the election time-out. The term must stay what it was; exit status 1 otherwise.
"""
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import bench

LONGEST_S = 0.7  # election_ms is 1000, the pause may begin just before a heartbeat


def terms(servers):
    return [bench.get_json(p, "/status")["term"] for p in servers.ports]


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rng = random.Random(1)
    root = tempfile.mkdtemp(prefix="floe-calm-", dir=bench.TOP + "/build")
    servers = bench.Floe(root)
    try:
        before = terms(servers)
        loads = [subprocess.Popen([bench.LOAD, str(p), "put", "512", str(seconds), "1000"], stdout=subprocess.PIPE, text=True)
                 for p in servers.ports]
        end, pauses = time.monotonic() + seconds, 0
        while time.monotonic() < end - 2:
            victim = rng.choice(servers.processes)
            victim.send_signal(signal.SIGSTOP)
            time.sleep(rng.uniform(0.02, LONGEST_S))
            victim.send_signal(signal.SIGCONT)
            pauses += 1
            time.sleep(rng.uniform(0.3, 1.5))
        for load in loads:
            bench.say(load.communicate()[0].strip())
        after = terms(servers)
        bench.say("%d s, %d pauses of up to %d ms: terms %s before, %s after" %
                  (seconds, pauses, LONGEST_S * 1000, before, after))
        return 0 if after == before else 1
    finally:
        servers.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
