"""A follower so far behind that only a snapshot helps: 100,000 writes, 100 MB of data."""
import os
import sys
import threading
import time

from harness import Cluster, load, main, wait_for

WRITES = int(os.environ.get("FLOE_E2E_WRITES", "100000"))


def test_follower_that_missed_everything_is_brought_up_by_a_snapshot():
    value = lambda key: (key.encode() + b"-") * (1000 // (len(key) + 1) + 1)
    with Cluster(snapshot_entries=5000) as c:
        c.start()
        late = c.followers()[0]
        late.put("before", b"1")
        late.kill()
        ports = [c.leader().http_port]
        keys = ["s%06d" % i for i in range(WRITES)]
        results = load(ports, [(k, value(k)) for k in keys], connections=16, depth=32, seconds=500)
        bad = {s for s in results.values()} - {204}
        assert not bad, bad
        leader = c.leader()
        size = sum(len(value(k)) for k in keys)
        assert size > 1000 * WRITES
        late.start()
        # heartbeats do not wait behind the snapshot, and the cluster goes on working
        stop = []
        slowest = [0.0]

        def probe():
            while not stop:
                begin = time.monotonic()
                assert leader.put("probe", b"x").status == 204
                slowest[0] = max(slowest[0], time.monotonic() - begin)
                time.sleep(0.02)
        prober = threading.Thread(target=probe)
        term = leader.health()["term"]
        prober.start()
        wait_for("the late node has everything",
                 lambda: late.health()["applied"] >= leader.health()["applied"] - 100
                 and late.health()["applied"] > WRITES, 120)
        stop.append(1)
        prober.join()
        assert "snapshot installed" in late.log()
        for k in keys[:: max(1, WRITES // 500)] + ["before"]:
            expected = value(k) if k != "before" else b"1"
            r = late.request("GET", "/%s?consistency=stale" % k)
            assert (r.status, r.body) == (200, expected), k
        assert leader.health()["term"] == term, "no election while the snapshot went over"
        print("  slowest write meanwhile: %.0f ms" % (slowest[0] * 1000))
        segments = len(os.listdir(os.path.join(leader.dir, "wal")))
        assert segments < 12, "the log is released after snapshots: %d segments" % segments
        late.kill()
        late.start()
        assert late.get(keys[-1]).body == value(keys[-1])


if __name__ == "__main__":
    main(sys.modules[__name__])
