"""Three counters in processes of their own count together, also over a kill -9 and a restart."""
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from harness import free_ports, main, wait_for  # noqa: E402

COUNTER = os.environ["COUNTER"]


class Member:
    def __init__(self, n, port, folder):
        self.args = [COUNTER, str(n), "3", str(port), folder]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)
        self.value = 0
        threading.Thread(target=self.read, args=(self.process,), daemon=True).start()

    def read(self, process):
        for line in process.stdout:
            self.value = int(line)

    def add(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def test_counters_agree_and_survive_a_kill():
    with tempfile.TemporaryDirectory() as folder:
        port = free_ports(1)[0] - 4
        members = [Member(n, port, folder) for n in (1, 2, 3)]
        try:
            def count_on():
                members[0].add()
                time.sleep(0.2)
                return members[0].value > 0
            wait_for("the first count", count_on)
            for m in members:
                m.add()
            time.sleep(0.5)
            reached = max(m.value for m in members)
            wait_for("all agree", lambda: {m.value for m in members} == {reached})
            members[2].process.kill()
            members[2].process.wait()
            before = members[0].value
            wait_for("two go on", lambda: members[0].add() or time.sleep(0.2) or members[0].value > before)
            members[2].start()
            wait_for("the third has counted again",
                     lambda: members[2].value == members[0].value and members[2].value > 0)
        finally:
            for m in members:
                m.process.kill()


if __name__ == "__main__":
    main(sys.modules[__name__])
