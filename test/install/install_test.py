#!/usr/bin/env python3
"""Installs the current build into a temporary root and uses libfloe from there as a stranger would.

usage: install_test.py SOURCE_ROOT BUILD_ROOT SANITIZERS COMPILER...
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD, SANITIZERS = sys.argv[1:4]
COMPILER = sys.argv[4:]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*args, **more):
    result = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if result.returncode != 0:
        sys.exit("failed (%d): %s\n%s" % (result.returncode, " ".join(args), result.stdout))
    return result.stdout


def one(root, name):
    found = glob.glob(os.path.join(root, "**", name), recursive=True)
    if len(found) != 1:
        sys.exit("wanted one %s, found %s" % (name, found))
    return found[0]


def build_and_run(what, work, flags, libs, env):
    program = os.path.join(work, what)
    sanitize = [] if SANITIZERS == "none" else ["-fsanitize=" + SANITIZERS]
    run(*COMPILER, *STRICT, *sanitize, *flags, "three_nodes.c", "-o", program, *libs, cwd=work)
    out = run(program, env=env)
    if out != "node 1: hello\nnode 2: hello\nnode 3: hello\n":
        sys.exit("%s: unexpected output: %s" % (what, out))
    print("%s: fine" % what)
    return program


def check_shared(library):
    head = run("readelf", "-d", library)
    if "SONAME" not in head or "[libfloe.so.0]" not in head:
        sys.exit("the soname is not libfloe.so.0:\n" + head)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", head)
    strange = [n for n in needed if not re.match(r"(libc|libasan|libubsan|libtsan|libm|ld-)", n)]
    if strange:
        sys.exit("libfloe needs more than libc: %s" % strange)
    names = [line.split()[-1] for line in
             run("nm", "-D", "--defined-only", library).splitlines()]
    other = [n for n in names if not n.startswith(("floe_", "__odr_asan", "__asan"))]
    if other or len(names) < 50:
        sys.exit("exported, but not floe_*: %s (of %d)" % (other, len(names)))
    print("libfloe.so.0 exports %d names, all floe_*" % len(names))
    return set(names)


def check_static(library):
    names = [line.split()[-1] for line in run("nm", "-g", "--defined-only", library).splitlines() if " " in line]
    other = [n for n in names if not n.startswith(("floe_", "__odr_asan", "__asan", "asan."))]
    if other or len(names) < 50:
        sys.exit("visible in libfloe.a, but not floe_*: %s (of %d)" % (other, len(names)))


def check_headers(include, exported):
    declared = set()
    for path in glob.glob(os.path.join(include, "floe", "*.h")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        declared |= set(re.findall(r"FLOE_EXPORT\s[^;{]*?\b(floe_\w+)\(", text))
    missing = declared - exported
    hidden = {name for name in exported if name.startswith("floe_")} - declared
    if missing or hidden:
        sys.exit("declared, not exported: %s; exported, not declared: %s" % (missing, hidden))
    if shutil.which("g++"):
        run("g++", "-std=c++11", "-Wall", "-Werror", "-fsyntax-only", "-I", include, "-x", "c++",
            "-", input="#include <floe/raft.h>\nint main() { return floe_version() == nullptr; }\n")
        print("the headers are good C++ too")


def main():
    for tool in ("meson", "pkg-config", "readelf", "nm"):
        if not shutil.which(tool):
            print("there is no %s here" % tool)
            sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="floe-install-") as work:
        root = os.path.join(work, "root")
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
        shutil.copy(os.path.join(SOURCE, "test", "install", "three_nodes.c"), work)
        folder = os.path.dirname(one(root, "floe.pc"))
        env = dict(os.environ, PKG_CONFIG_PATH=folder, PKG_CONFIG_SYSROOT_DIR=root)
        flags = run("pkg-config", "--cflags", "floe", env=env).split()
        libs = run("pkg-config", "--libs", "floe", env=env).split()
        library = os.path.realpath(one(root, "libfloe.so"))
        check_headers(os.path.dirname(os.path.dirname(one(root, "raft.h"))), check_shared(library))
        shared = build_and_run("shared", work, flags, libs,
                               dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(library)))
        if "[libfloe.so.0]" not in run("readelf", "-d", shared):
            sys.exit("the program does not use the shared library")
        check_static(one(root, "libfloe.a"))
        static = build_and_run("static", work, flags, [one(root, "libfloe.a")], dict(os.environ))
        if "libfloe" in run("readelf", "-d", static):
            sys.exit("the program should not need the shared library")
        if not os.access(one(root, "floed"), os.X_OK):
            sys.exit("floed is not installed")
        version = run("pkg-config", "--modversion", "floe", env=env).strip()
        said = run(one(root, "floed"), "--version").strip()
        if said != "floed " + version:
            sys.exit("floe.pc says %s, floed says %s" % (version, said))


if __name__ == "__main__":
    main()
