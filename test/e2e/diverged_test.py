"""A member whose data is not the cluster's: what no checksum finds, the chain of hashes does."""
import ctypes
import ctypes.util
import os
import struct
import sys

from harness import Cluster, main, wait_for


def checksum(header, payload):
    """XXH3-64 of the payload, seeded with that of the header without its checksum (codec/record.h)."""
    lib = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    lib.XXH3_64bits.restype = lib.XXH3_64bits_withSeed.restype = ctypes.c_uint64
    lib.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    lib.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    seed = lib.XXH3_64bits(header[:8] + header[16:32], 24)
    return lib.XXH3_64bits_withSeed(payload, len(payload), seed)


def forge(node, text):
    """Changes one byte of the log record that holds the text, checksum and all."""
    path = os.path.join(node.dir, "wal", "%016x.wal" % 1)
    with open(path, "rb") as f:
        log = bytearray(f.read())
    at = 0
    while True:
        size, = struct.unpack_from("<I", log, at)
        header, payload = log[at:at + 32], log[at + 32:at + 32 + size]
        assert header[4] != 0, "no record with %r" % text
        if text in payload:
            break
        at += 32 + size
    assert checksum(bytes(header), bytes(payload)) == struct.unpack_from("<Q", header, 8)[0]
    payload[payload.index(text)] ^= 1
    header[8:16] = struct.pack("<Q", checksum(bytes(header), bytes(payload)))
    log[at:at + 32 + size] = header + payload
    with open(path, "wb") as f:
        f.write(log)


def test_members_agree_on_the_chain_and_keep_it():
    with Cluster() as c:
        c.start()
        for i in range(20):
            assert c.nodes[1 + i % 3].put("k%d" % i, b"v").status == 204

        def chain():
            seen = {(s["chain"]["index"], s["chain"]["hash"]) for s in (n.status() for n in c.up())}
            return seen.pop() if len(seen) == 1 else None
        before = wait_for("the same chain everywhere", chain)
        assert len(before[1]) == 16 and int(before[1], 16) != 0, before
        for n in c.up():
            assert n.status()["disk"]["state"] in ("good", "late"), n.status()
            n.terminate()
        for n in c.nodes.values():
            n.start(wait=False)
        after = wait_for("the same chain again", lambda: all(n.serves() for n in c.up()) and chain())
        assert after[0] >= before[0], (before, after)


def test_member_with_a_forged_log_ends_with_3_and_says_what_to_do():
    with Cluster() as c:
        c.start()
        victim = c.followers()[0]
        assert c.leader().put("k", b"the very value").status == 204
        wait_for("the victim to have it", lambda: victim.get("k").body == b"the very value")
        victim.terminate()
        forge(victim, b"the very value")
        for _ in range(2):
            victim.start(wait=False)
            assert victim.wait_exit(20) == 3
            said = [line for line in victim.log().splitlines() if "this member's data is not the cluster's" in line]
            assert said and "the hash of everything applied up to index" in said[-1], victim.log()[-2000:]
            assert "new data directory" in said[-1] and "a majority of the members" in said[-1], said[-1]
        others = [n for n in c.up()]
        assert len(others) == 2
        for n in others:
            assert n.get("k").body == b"the very value"
            assert n.put("k2", b"v").status == 204


if __name__ == "__main__":
    main(sys.modules[__name__])
