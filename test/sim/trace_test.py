"""The same seeds through two builds of the simulator, and through one of them twice: the traces' checksums agree.

python3 trace_test.py SIM OTHER_SIM
"""
import subprocess
import sys

SEEDS = 25


def sums(program):
    out = subprocess.run([program, "1", "--seeds", str(SEEDS), "--list"], stdout=subprocess.PIPE, check=True)
    return [line for line in out.stdout.decode().split("\n") if line.startswith("seed ")]


first = sums(sys.argv[1])
failed = sum(a != b for other in (sums(sys.argv[1]), sums(sys.argv[2])) for a, b in zip(first, other))
failed += len(first) != SEEDS
for line in first:
    print(line)
print("%d passed, %d failed" % (2 * SEEDS - failed, failed))
sys.exit(1 if failed else 0)
