"""Puts classic bugs into the server, one at a time, and lets the simulator look for them.

python3 test/sim/planted/plant.py [--list] [--minutes M] [--seed S] [NUMBER...]

Each is built outside of the tree and run seed by seed until one fails, five minutes at most. Exit status 1 if one is
not found.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../../..")
FLOORS = ["base", "raft", "codec", "kv", "storage", "peer", "node", "api"]
FLAGS = ["-std=gnu11", "-O2", "-g", "-w", "-D_GNU_SOURCE"]
LIBRARIES = ["libevent", "msgpack", "jansson", "libxxhash"]
sys.path.insert(0, HERE)
from bugs import BUGS  # noqa: E402


def pkg_config(what):
    out = ""
    for name in LIBRARIES:
        for spelled in (name, name + "-c"):
            done = subprocess.run(["pkg-config", what, spelled], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if done.returncode == 0:
                out += " " + done.stdout.decode()
                break
    return out.split()


class Workshop:
    """Objects of everything as it is, built once; a bug costs its files and a link."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(os.path.join(ROOT, "src"), os.path.join(folder, "src"))
        self.include = ["-I" + os.path.join(ROOT, "include"), "-I" + os.path.join(folder, "src"),
                        *pkg_config("--cflags")]
        self.libraries = pkg_config("--libs")
        self.objects = {}
        sources = [os.path.join("src", floor, name) for floor in FLOORS
                   for name in sorted(os.listdir(os.path.join(ROOT, "src", floor))) if name.endswith(".c")]
        tests = os.path.join(ROOT, "test/sim")
        sources += [os.path.join(tests, name) for name in sorted(os.listdir(tests))
                    if name.endswith(".c") and name not in ("linear_test.c", "linear_main.c")]
        running = []
        for source in sources:
            if len(running) == 2:
                self.wait(running.pop(0))
            self.objects[source] = os.path.join(folder, source.replace("/", "_") + ".o")
            running.append(self.start(source, self.objects[source]))
        for process in running:
            self.wait(process)

    def start(self, source, out):
        return subprocess.Popen(["gcc", *FLAGS, *self.include, "-c", os.path.join(self.folder, source), "-o", out])

    @staticmethod
    def wait(process):
        if process.wait() != 0:
            sys.exit("it does not compile: " + " ".join(process.args))

    def build(self, edits):
        """The simulator with these edits; None: a place is not there any more."""
        objects = dict(self.objects)
        kept = {}
        try:
            for name, old, new in edits:
                path = os.path.join(self.folder, "src", name)
                text = open(path).read()
                kept.setdefault(path, text)
                if old not in text:
                    return None
                with open(path, "w") as f:
                    f.write(text.replace(old, new, 1))
            for name in {edit[0] for edit in edits}:
                source = os.path.join("src", name)
                objects[source] = os.path.join(self.folder, "planted_" + name.replace("/", "_") + ".o")
                self.wait(self.start(source, objects[source]))
        finally:
            for path, text in kept.items():
                with open(path, "w") as f:
                    f.write(text)
        out = os.path.join(self.folder, "sim")
        subprocess.run(["gcc", *objects.values(), *self.libraries, "-o", out], check=True)
        return out


def look(program, first, minutes):
    """(seed, what it said), or None."""
    begin = time.time()
    seed = first
    while time.time() - begin < 60 * minutes:
        left = 60 * minutes - (time.time() - begin)
        try:
            done = subprocess.run([program, str(seed), "--seconds", str(left), "--first"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=left + 20)
            out = done.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as hang:
            return seed, "a seed does not end " + (hang.stdout or b"").decode(errors="replace")[-60:]
        found = re.search(r"seed (\d+) (FAILED: .*|ends the process)", out)
        if found is None:
            return None
        why = found.group(2)
        if why == "ends the process":
            why = (re.findall(r"^.*assert.*$", out, re.M | re.I) or [why])[0]
        return int(found.group(1)), why
    return None


def main():
    arguments = sys.argv[1:]
    options = {"--minutes": "5", "--seed": "1"}
    for name in options:
        if name in arguments:
            at = arguments.index(name)
            options[name] = arguments[at + 1]
            del arguments[at:at + 2]
    chosen = [int(a) for a in arguments if a.isdigit()] or range(1, len(BUGS) + 1)
    if "--list" in arguments:
        for number in chosen:
            print("%3d %s" % (number, BUGS[number - 1][0]))
        return 0
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(folder)
        for number in chosen:
            name, *edits = BUGS[number - 1]
            program = shop.build(edits)
            begin = time.time()
            found = look(program, int(options["--seed"]), float(options["--minutes"])) if program else None
            if found is None:
                missed.append(number)
                print("%3d %-72s %s" % (number, name, "NOT FOUND" if program else "STALE"), flush=True)
            else:
                print("%3d %-72s %5d seeds %4.0f s  %s" %
                      (number, name, found[0] - int(options["--seed"]) + 1, time.time() - begin, found[1][:90]),
                      flush=True)
    print("%d planted, %d found, not found: %s" % (len(chosen), len(chosen) - len(missed), missed or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
