#!/usr/bin/python3
"""Real etcd clients from Debian against floe's v3 JSON (./dev clients).

  run.py [--against floe|etcd] [NAME...]     NAME: etcd3gw, tooz, patroni, recorded, or a test's name

Debian's own python3 runs it, since the clients' modules belong to that one. FLOED names floe's binary.
Ends by itself: each group of tests has a time limit, after which it is killed with all that it started.
"""
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import stores  # noqa: E402  (adds the end-to-end tests' harness)

LIMIT_S = {"recorded": 300, "etcd3gw": 90, "tooz": 90, "patroni": 240}


def run_group(group, against, only):
    """In a process of its own, in a session of its own."""
    module = importlib.import_module(group + "_client")
    tests = [(k, v) for k, v in vars(module).items() if k.startswith("test_") and (not only or k in only)]
    store = stores.new(against)
    passed = failed = 0
    try:
        store.start()
        for name, test in tests:
            begin = time.monotonic()
            try:
                test(store)
                passed += 1
                print("ok   %s %s (%.1f s)" % (group, name, time.monotonic() - begin), flush=True)
            except Exception:
                failed += 1
                print("FAIL %s %s" % (group, name))
                traceback.print_exc(file=sys.stdout)
                sys.stdout.flush()
    finally:
        store.stop(keep=failed > 0)
    print("%d passed, %d failed" % (passed, failed), flush=True)
    os._exit(1 if failed or not passed else 0)  # etcd3gw's threads never end


def command(group, against, only):
    if group == "recorded":
        verb = ["check", os.path.join(HERE, "etcd-3.4.23.json")]
        return [sys.executable, os.path.join(HERE, "compare.py")] + verb + (["--etcd"] if against == "etcd" else [])
    return [sys.executable, os.path.abspath(__file__), "--group", group, "--against", against] + only


def is_ours(pid, session, folder):
    """Of the group's session, or at work in its folder: Patroni gives PostgreSQL a session of its own."""
    if os.getsid(pid) == session:
        return True
    return (os.readlink("/proc/%d/cwd" % pid) + "/").startswith(folder + "/")


def kill_all_of(session, folder):
    """What the group has started and left behind."""
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and is_ours(int(entry), session, folder):
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            pass


def supervise(group, against, only):
    begin = time.monotonic()
    folder = tempfile.mkdtemp(prefix="floe-clients-")
    os.chmod(folder, 0o755)  # PostgreSQL's user goes through it
    process = subprocess.Popen(command(group, against, only), start_new_session=True, env=dict(os.environ, TMPDIR=folder))
    status = None
    try:
        status = process.wait(LIMIT_S[group])
    except subprocess.TimeoutExpired:
        print("FAIL %s: not done after %d s" % (group, LIMIT_S[group]))
        status = 1
    finally:
        kill_all_of(process.pid, folder)
        process.wait()
        if not status:  # good, or interrupted: nobody wants the logs
            shutil.rmtree(folder, ignore_errors=True)
    print("---- %s against %s: %s, %.0f s%s" % (group, against, "good" if status == 0 else "FAILED", time.monotonic() - begin,
                                               "; see " + folder if status else ""), flush=True)
    return status


def option(arguments, name, default):
    if name not in arguments:
        return default
    at = arguments.index(name)
    value = arguments[at + 1]
    del arguments[at:at + 2]
    return value


def main():
    arguments = sys.argv[1:]
    against = option(arguments, "--against", "floe")
    group = option(arguments, "--group", None)
    if against not in ("floe", "etcd") or any(a.startswith("-") for a in arguments):
        sys.exit(__doc__)
    if group:
        run_group(group, against, arguments)
    groups = [g for g in LIMIT_S if g in arguments] or list(LIMIT_S)
    only = [a for a in arguments if a not in LIMIT_S]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = [g for g in groups if supervise(g, against, only) != 0]
    print("%d clients good, %d failed%s" % (len(groups) - len(failed), len(failed),
                                           ": " + " ".join(failed) if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
