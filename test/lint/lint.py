#!/usr/bin/env python3
"""House rules that no compiler checks: floors, sizes, guards, words. Prints file:line: text.

The table of floors below is the one of src/README.md; a file may include its own folder, base,
and what its row names. Needs python3 only; works in a git checkout and in an unpacked archive.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE_LINES = 600
TEST_FILE_LINES = 800  # a test file is a list: longer is not harder to read
FUNCTION_LINES = 60
COLUMNS = 100

# Headers of the C library that give neither clock, socket, file descriptor nor randomness.
PURE = {"inttypes.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h",
        "malloc.h", "stdlib.h", "string.h", "strings.h", "sys/queue.h"}
# folder: (folders besides its own and base, outside headers besides PURE)
FLOORS = {
    "base": ((), {"arpa/inet.h"}),  # inet_pton reads no network
    "raft": ((), {"floe/"}),
    "codec": ((), {"floe/", "msgpack.h", "msgpack/pack.h", "xxhash.h"}),
    "kv": (("codec",), set()),
    "storage": (("codec",), {"floe/"}),
    "peer": (("codec",), {"floe/", "event2/buffer.h"}),
    "node": (("codec", "kv", "storage", "peer"), {"floe/", "uthash.h", "event2/buffer.h"}),
    "api": (("node", "kv"), {"floe/", "uthash.h", "jansson.h", "event2/buffer.h"}),
    "io": (("codec", "kv", "storage", "peer", "node", "api"), None),  # None: anything outside
    "floed": (("codec", "kv", "storage", "peer", "node", "api", "io", "raft"), None),
    "floectl": ((), None),  # a client: it knows floe by its HTTP only
}
REAL_WORLD = {"io", "floed", "floectl"}
CALLS = """time clock clock_gettime clock_nanosleep gettimeofday nanosleep usleep sleep alarm
    socket bind connect listen accept accept4 send sendto sendmsg recv recvfrom recvmsg poll select
    epoll_wait getaddrinfo gethostbyname open openat creat fopen freopen fdopen opendir stat fstat
    read pread write pwrite fsync fdatasync rename unlink mkdir rmdir ftruncate mmap
    rand srand random srandom rand_r drand48 getrandom getentropy arc4random
    getenv system fork pthread_create signal sigaction""".split()
CALL = re.compile(r"(?<![\w.>])(" + "|".join(CALLS) + r")\s*\(")
LATER = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME)\\b")
MACHINE = re.compile(r"(?<![\w.])/(" + "work|root" + r"|home/\w+)/")
PRIVATE = re.compile(r"\.\./shared|\bshared/(house|style|raft-|traces|pains|etcd-)")
TEXT = (".c", ".h", ".py", ".md", ".build", ".toml", ".service", ".wrap", ".txt", ".sh", "/dev",
        "/run", ".options")

findings = []


def find(path, line, text):
    findings.append((path, line, text))


def all_files():
    """Tracked files and those that git would add, relative to the root."""
    try:
        out = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        names = [name for name in out.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [f for f in folders if f[0] != "." and not f.startswith(("build", "data"))]
            names += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return sorted(name for name in names if os.path.isfile(os.path.join(ROOT, name)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text):
    """The text with comments, strings and characters blanked; lines stay where they are."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def is_c(path):
    return path.endswith((".c", ".h")) and path.startswith(("src/", "include/", "test/"))


def floor_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_include(path, number, opening, name):
    floor = floor_of(path)
    if opening == '"' and name.startswith("floe/"):
        find(path, number, "public headers are included as <%s>" % name)
    if name.startswith("floe/") and not os.path.isfile(os.path.join(ROOT, "include", name)):
        find(path, number, "there is no include/%s" % name)
    if path.startswith("include/") and name not in PURE and not name.startswith("floe/"):
        find(path, number, "a public header includes %s" % name)
    if floor is None:
        return
    folders, outside = FLOORS[floor]
    if opening == '"':
        folder = name.split("/")[0] if "/" in name else None
        if folder is None:
            find(path, number, "include with the folder: \"%s/%s\"" % (floor, name))
        elif folder not in (floor, "base") + folders:
            find(path, number, "%s may not include %s" % (floor, name))
        elif not os.path.isfile(os.path.join(ROOT, "src", name)):
            find(path, number, "there is no src/%s" % name)
    elif outside is not None and name not in PURE and name not in outside and \
            not (name.startswith("floe/") and "floe/" in outside):
        find(path, number, "%s may not include <%s>" % (floor, name))


def check_calls(path, code):
    floor = floor_of(path)
    if floor is None or floor in REAL_WORLD:
        return
    own = set(re.findall(r"^static [^;={]*?\b(\w+)\(", code, flags=re.M))
    for number, line in enumerate(code.split("\n"), 1):
        for match in CALL.finditer(line):
            if match.group(1) in own:  # a function of the same name in this file
                continue
            find(path, number, "%s() belongs to io or floed only" % match.group(1))


def check_functions(path, code):
    """A body begins with { and ends with } in the first column: clang-format sees to that."""
    start = None
    size = 0
    for number, line in enumerate(code.split("\n"), 1):
        if line.rstrip() == "{":
            start, size = number, 0
        elif line.startswith("}") and start is not None:
            if size > FUNCTION_LINES:
                find(path, start, "this function has %d code lines, more than %d" %
                     (size, FUNCTION_LINES))
            start = None
        elif start is not None and line.strip():
            size += 1


def check_lines(path, text):
    lines = text.split("\n")
    limit = TEST_FILE_LINES if path.startswith("test/") else FILE_LINES
    if len(lines) - 1 > limit:
        find(path, limit + 1, "this file has %d lines, more than %d" % (len(lines) - 1, limit))
    if not text.endswith("\n") or text.endswith("\n\n"):
        find(path, len(lines), "a file ends with one line end")
    for number, line in enumerate(lines, 1):
        # A ruler (/* ---- name ---- */) may run on: nobody reads its end.
        if len(re.sub(r"-{4,} \*/$", "*/", line)) > COLUMNS:
            find(path, number, "%d columns, more than %d" % (len(line), COLUMNS))
        if "\t" in line:
            find(path, number, "a tab")
        if line != line.rstrip():
            find(path, number, "blanks at the end")


def check_guard(path, text):
    lines = text.rstrip("\n").split("\n")
    want = re.sub(r"\W", "_", path.split("/", 1)[1]).upper()
    if path.startswith("test/"):
        want = re.sub(r"\W", "_", os.path.basename(path)).upper()
    at = next((i for i, line in enumerate(lines) if line.startswith("#ifndef ")), None)
    if at is None or at + 1 == len(lines) or lines[-1].split("/*")[0].strip() != "#endif":
        find(path, 1, "no header guard")
    elif lines[at + 1] != "#define " + lines[at].split()[1]:
        find(path, at + 2, "#ifndef and #define of the guard differ")
    elif not lines[at].split()[1].endswith(want):
        find(path, at + 1, "the guard should be %s" % want)


def check_c(path):
    text = read(path)
    code = code_only(text)
    check_lines(path, text)
    check_functions(path, code)
    check_calls(path, code)
    if path.endswith(".h"):
        check_guard(path, text)
    if not text.startswith("/*"):
        find(path, 1, "a comment at the head says what the file is for")
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            check_include(path, number, match.group(1), match.group(2))


def check_words(path):
    for number, line in enumerate(read(path).split("\n"), 1):
        if LATER.search(line):
            find(path, number, "do it, or write an issue")
        if MACHINE.search(line):
            find(path, number, "an absolute path of one machine")
        if path.startswith(("src/", "include/")) and PRIVATE.search(line):
            find(path, number, "a mention of what is not in this repository")


def check_built(paths):
    for path in paths:
        folder, name = os.path.split(path)
        build = os.path.join(folder, "meson.build")
        if path.startswith("src/") and name.endswith(".c") and \
                (build not in paths or "'%s'" % name not in read(build)):
            find(path, 1, "not listed in %s" % build)
        if path.startswith("src/") and floor_of(path) not in FLOORS and is_c(path):
            find(path, 1, "this folder has no floor: see FLOORS in test/lint/lint.py")


def main():
    paths = all_files()
    check_built(set(paths))
    for path in paths:
        if is_c(path) and (floor_of(path) in FLOORS or not path.startswith("src/")):
            check_c(path)
        if ("/" + path).endswith(TEXT):
            check_words(path)
    for path, line, text in sorted(findings):
        print("%s:%d: %s" % (path, line, text))
    print("%d findings" % len(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
