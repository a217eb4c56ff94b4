"""Random requests of kv, each seed's with keys and leases of its own (see compare.py)."""
import random

from gateway import b64

STEPS = 120
MOST_REVISION = 30
RELATIONS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")


class Maker:
    """Draws requests. No more than seven keys match: Go sorts few of them stably, as we do all."""

    def __init__(self, c, seed):
        self.c, self.random = c, random.Random(seed)
        self.prefix = "r%d/" % seed
        self.keys = [self.prefix + tail for tail in ("a", "b", "c", "d", "aa", "ab", "")]
        self.ends = [self.prefix + tail for tail in ("a", "b", "c", "e", "zz", "\xff")] + ["r%d0" % seed]
        self.leases = [str(10**6 * (seed + 1) + i) for i in range(2)]

    def maybe(self, chance):
        return self.random.random() < chance

    def one(self, *values):
        return self.random.choice(values)

    def revision(self):
        return self.c.rev(self.random.randrange(MOST_REVISION))

    def keyed(self, chance_of_range):
        body = {"key": b64(self.random.choice(self.keys))}
        if self.maybe(chance_of_range):
            body["range_end"] = b64(self.random.choice(self.ends))
        return body

    def flags(self, body, chance, *names):
        body.update({name: True for name in names if self.maybe(chance)})
        return body

    def put(self):
        body = self.keyed(0)
        if self.maybe(0.8):
            body["value"] = b64(self.one("", "1", "2", "xxxxx"))
        if self.maybe(0.3):
            body["lease"] = self.one("0", "999", *self.leases)
        return self.flags(body, 0.15, "prev_kv", "ignore_value", "ignore_lease")

    def get(self):
        body = self.keyed(0.5)
        if self.maybe(0.3):
            body["limit"] = self.one(0, 1, 2, 3)
        if self.maybe(0.2):
            body["revision"] = self.revision()
        if self.maybe(0.3):
            body["sort_order"] = self.one("NONE", "ASCEND", "DESCEND")
        if self.maybe(0.3):
            body["sort_target"] = self.one("KEY", "VERSION", "CREATE", "MOD", "VALUE")
        for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self.maybe(0.07):
                body[name] = self.revision()
        return self.flags(body, 0.1, "keys_only", "count_only", "serializable")

    def delete(self):
        return self.flags(self.keyed(0.3), 0.4, "prev_kv")

    def compare(self):
        body = self.keyed(0.5)
        field, values = self.one(("version", (0, 1, 2, 3)), ("create_revision", (0, self.revision())), ("mod_revision", (0, self.revision())),
                                 ("value", (b64(""), b64("1"), b64("2"))), ("lease", ("0", *self.leases)))
        body["target"] = field.split("_")[0].upper()
        if self.maybe(0.8):
            body["result"] = self.one(*RELATIONS)
        if self.maybe(0.9):
            body[field] = self.one(*values)
        return body

    def operation(self, depth):
        kind = self.random.random()
        if kind < 0.35:
            return {"request_put": self.put()}
        if kind < 0.65:
            return {"request_range": self.get()}
        if kind < 0.85 or depth > 2:
            return {"request_delete_range": self.delete()}
        return {"request_txn": self.txn(depth + 1)}

    def txn(self, depth=0):
        body = {}
        if self.maybe(0.8):
            body["compare"] = [self.compare() for _ in range(self.one(0, 1, 2))]
        for branch, chance in (("success", 0.9), ("failure", 0.7)):
            if self.maybe(chance):
                body[branch] = [self.operation(depth) for _ in range(self.one(0, 1, 2, 3))]
        return body


def scenario(seed):
    def run(c):
        maker = Maker(c, seed)
        for lease in maker.leases:
            c.call("lease/grant", {"TTL": 500, "ID": lease})
        for _ in range(STEPS):
            path, make = maker.one(("kv/put", maker.put), ("kv/put", maker.put), ("kv/range", maker.get), ("kv/range", maker.get),
                                   ("kv/deleterange", maker.delete), ("kv/txn", maker.txn), ("kv/txn", maker.txn), ("kv/txn", maker.txn))
            c.call(path, make())
        everything = {"key": b64(maker.prefix), "range_end": b64("r%d0" % seed), "start_revision": c.rev(1), "prev_kv": True}
        w = c.stream("watch", {"create_request": everything})
        c.events(w, 100000, 1)
        w.close()
        for lease in maker.leases:
            c.call("lease/timetolive", {"ID": lease, "keys": True}, record=False)
            c.call("lease/revoke", {"ID": lease})
    return run


def scenarios(first, count):
    return [("random_%d" % seed, scenario(seed)) for seed in range(first, first + count)]
