"""Puts classic bugs into the server, one at a time, and lets the simulator look for them.

python3 test/sim/planted/plant.py [--list | --apply] [--minutes M] [--seed S] [NUMBER...]

Each is built outside of the tree and run seed by seed until one fails, five minutes of the processor's time at most.
Exit status 1 if one is not found. --apply only looks whether each still has its place in the sources (the suite asks).
"""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../../..")
FLOORS = ["base", "raft", "codec", "kv", "storage", "peer", "node", "api"]
FLAGS = ["-std=gnu11", "-O2", "-g", "-w", "-D_GNU_SOURCE", "-DTWIN_IN_SIMULATOR"]
HANGS_S = 60  # of the processor's time: so long no seed takes
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


def planted(source, edits):
    """{path: its text with these edits}; None: a place is not there any more."""
    texts = {}
    for name, old, new in edits:
        path = os.path.join(source, name)
        if path not in texts:
            if not os.path.exists(path):
                return None
            texts[path] = open(path).read()
        if old not in texts[path]:
            return None
        texts[path] = texts[path].replace(old, new, 1)
    return texts


def apply_all(numbers):
    """As the suite counts tests; 1 if one is stale."""
    stale = [n for n in numbers if planted(os.path.join(ROOT, "src"), BUGS[n - 1][1:]) is None]
    for number in stale:
        print("%3d %-72s STALE" % (number, BUGS[number - 1][0]))
    print("%d passed, %d failed" % (len(numbers) - len(stale), len(stale)))
    return 1 if stale else 0


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
                    if name.endswith(".c") and name not in ("linear_test.c", "linear_main.c", "linear_twin.c")]
        sources += [os.path.join(ROOT, "test/unit/kv", name) for name in ("twin.c", "twin_check.c")]
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
        texts = planted(os.path.join(self.folder, "src"), edits)
        if texts is None:
            return None
        kept = {path: open(path).read() for path in texts}
        try:
            for path, text in texts.items():
                with open(path, "w") as f:
                    f.write(text)
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
    """(seed, what it said) or None, and the seconds of the processor. What else runs on the machine changes nothing:
    the time is the processor's, and so is the limit that ends a seed which does not end by itself."""
    bound = 60 * minutes
    limit = int(bound) + HANGS_S

    def confine():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([program, str(first), "--cpu", str(bound), "--first"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, preexec_fn=confine, check=False)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    out = done.stdout.decode(errors="replace")
    found = re.search(r"seed (\d+) (FAILED: .*|ends the process)", out)
    if found is None:
        return None, spent
    why = found.group(2)
    if done.returncode == -signal.SIGXCPU:
        why = "does not end"
    elif why == "ends the process":
        why = (re.findall(r"^.*assert.*$", out, re.M | re.I) or [why])[0]
    return (int(found.group(1)), why), spent


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
    if "--apply" in arguments:
        return apply_all(chosen)
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(folder)
        for number in chosen:
            name, *edits = BUGS[number - 1]
            program = shop.build(edits)
            found, spent = (look(program, int(options["--seed"]), float(options["--minutes"])) if program
                            else (None, 0))
            if found is None:
                missed.append(number)
                print("%3d %-72s %s" % (number, name, "NOT FOUND" if program else "STALE"), flush=True)
            else:
                print("%3d %-72s %5d seeds %4.0f s  %s" %
                      (number, name, found[0] - int(options["--seed"]) + 1, spent, found[1][:90]),
                      flush=True)
    print("%d planted, %d found, not found: %s" % (len(chosen), len(chosen) - len(missed), missed or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
