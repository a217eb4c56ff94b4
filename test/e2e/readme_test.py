"""Runs the README's shell blocks as they stand and checks what they print.

    ```sh            runs in a shell; a ```text block right behind it is what must be printed
    ```sh terminal   runs in a terminal of its own, until ```sh interrupt sends it Ctrl-C
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import main, wait_for

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def blocks():
    text = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    return re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.M | re.S)


def walk():
    """[(kind, script, expected or None)]"""
    steps = []
    for info, body in blocks():
        if info.split()[:1] == ["sh"]:
            steps.append([info[2:].strip() or "run", body, None])
        elif info == "text" and steps:
            steps[-1][2] = body
    return steps


def answers(url):
    r = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url], capture_output=True, text=True)
    return r.stdout == "200"


class Terminal:
    def __init__(self, script):
        self.script = script
        self.log = open("/tmp/floe-readme-%d.log" % os.getpid(), "wb")
        self.process = subprocess.Popen(["bash", "-c", "exec " + script.strip()], cwd=ROOT, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)

    def ready(self):
        assert self.process.poll() is None, "%r ended: %s" % (self.script, open(self.log.name).read()[-2000:])
        if "cluster" in self.script:  # what the reader waits for
            return "is the leader" in open(self.log.name).read()
        return answers("http://127.0.0.1:12380/health")

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)
        status = self.process.wait(20)
        assert status in (0, 130), "%r ended with %d: %s" % (self.script, status, open(self.log.name).read()[-2000:])
        os.unlink(self.log.name)


def test_readme_walk_prints_what_it_says():
    saved = [(p, p + ".aside") for p in (os.path.join(ROOT, "floe-data"), os.path.join(ROOT, "data"))
             if os.path.exists(p)]
    for path, aside in saved:  # whoever has data here keeps it
        os.rename(path, aside)
    try:
        take_the_walk()
    finally:
        for path in ("floe-data", "data"):
            shutil.rmtree(os.path.join(ROOT, path), ignore_errors=True)
        for path, aside in saved:
            os.rename(aside, path)


def start_again():
    """The cluster as the walk left it: 3 was removed, 4 was added."""
    terminal = Terminal("./dev cluster")
    try:
        wait_for("a leader again", terminal.ready, 60)
        for port in (12380, 22380, 42380):
            url = "http://127.0.0.1:%d/my-key" % port
            wait_for("the value at %d" % port, lambda: subprocess.run(["curl", "-s", url], capture_output=True,
                                                                      check=False).stdout == b"bar", 60)
        assert not answers("http://127.0.0.1:32380/livez"), "node 3 was removed"
    finally:
        terminal.interrupt()


def take_the_walk():
    for port in (12380, 22380, 32380, 42380):
        assert not answers("http://127.0.0.1:%d/livez" % port), "something serves on port %d already" % port
    terminal = None
    shown = 0
    try:
        for kind, script, expected in walk():
            if kind == "terminal":
                terminal = Terminal(script)
                wait_for("a leader after %r" % script, terminal.ready, 300)
            elif kind == "interrupt":
                changed = "cluster" in terminal.script
                terminal.interrupt()
                terminal = None
                if changed:
                    start_again()
            else:
                if "-XDELETE" in script:
                    time.sleep(1)  # as long as a reader takes: who was added is promoted, which is a change, too
                r = subprocess.run(["bash", "-e", "-c", script], cwd=ROOT, text=True, capture_output=True, timeout=600)
                assert r.returncode == 0, (script, r.stdout[-2000:], r.stderr[-2000:])
                if expected is not None:
                    assert r.stdout == expected, "%s\nprinted:\n%s\nexpected:\n%s" % (script, r.stdout, expected)
                    shown += 1
    finally:
        if terminal is not None:
            try:
                terminal.interrupt()
            except Exception as error:
                print("  cleaning up:", error)
    assert shown >= 6, "only %d blocks had an expected output" % shown
    time.sleep(0.1)


def test_readme_names_files_that_exist():
    text = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert os.path.exists(os.path.join(ROOT, target)), target


if __name__ == "__main__":
    main(sys.modules[__name__])
