"""Damaged and rolled-back data directories: refused with status 3, left as they are, re-seeded."""
import glob
import os
import re
import shutil
import sys
import time

from harness import Cluster, main, wait_for


def put_all(node, keys):
    for k in keys:
        assert node.put(k, b"v" + k.encode()).status == 204


def test_old_copy_of_the_directory_is_found_out_and_never_taken_again():
    with Cluster() as c:
        c.start()
        victim = c.followers()[0]
        put_all(c.leader(), ["a%d" % i for i in range(20)])
        victim.terminate()
        old = victim.dir + ".old"
        shutil.copytree(victim.dir, old)
        victim.start()
        put_all(c.leader(), ["b%d" % i for i in range(50)])
        wait_for("it has all", lambda: victim.health()["applied"] == c.leader().health()["applied"])
        victim.kill()
        shutil.rmtree(victim.dir)
        shutil.copytree(old, victim.dir)
        for _ in range(3):  # the first time it is found out, then it stays so
            victim.start(wait=False)
            assert victim.wait_exit(5) == 3
        assert "the data directory was rolled back: member" in victim.log(), victim.log()
        assert "counts on committed entries up to" in victim.log()
        assert len(re.findall(r"cannot start: the data directory was rolled back", victim.log())) == 2
        assert "Assert" not in victim.log() and "--reseed" in victim.log()
        assert c.leader().put("after", b"1").status == 204


if __name__ == "__main__":
    main(sys.modules[__name__])
