#!/usr/bin/env python3
"""The same requests to a real etcd and to floe: what differs?

  compare.py record FILE [PORT]   what an etcd answers (without PORT it is started here, from Debian)
  compare.py check FILE [PORT]    what floe answers differently (without PORT: FLOED, one member)
  compare.py check FILE --etcd    the same of an etcd: shows which steps are no good measure
  compare.py diff FILE FILE       two recordings
  compare.py random SEED COUNT    random requests to an etcd and to floe, both started here
  --only WORD                     scenarios whose name has it

A recording is JSON: for each scenario the steps, each with the request, the status, the content type
and the answer with ids, terms, sizes and revisions made comparable (gateway.py). Differences that are
wanted stand in WANTED, with the reason.
"""
import json
import sys
import threading
import time
import traceback

import semantics_cluster
import semantics_corners
import semantics_corners2
import semantics_http
import semantics_kv
import semantics_more
import semantics_random
import semantics_streams
import stores
from gateway import Recorder

# (scenario, part of the step, part of floe's answer as it is shown, why floe answers otherwise)
WANTED = [
    ("http_paths", "POST /v3 ", "40", "Go's multiplexer redirects, we do not"),
    ("http_paths", "POST /v3//", "404", "Go's multiplexer redirects, we do not"),
    ("http_paths", "POST /v4/", "bad_member_id", "the root is a store of keys here"),
    ("learner", "update it", "isLearner", "3.4 forgets that it is a learner; newer ones do not"),
    ("corner_txn_end", "kv/txn", "duplicate key", "etcd's check takes a delete without an end for an empty one"),
    ("random_", "kv/txn", "duplicate key", "etcd's check misses a delete behind a put in transactions beside each other"),
    ("corner_maintenance", "hashkv", "", "a path of newer ones"),
    ("corner_http", "an extension", "a chunk is its size", "libevent reads no chunk extensions"),
    ("corner_http", "Origin: http://a", "another origin", "a page of another origin may change nothing here"),
    ("corner_http", "a dot", "404", "Go's multiplexer redirects, we do not"),
    ("corner_http", "two dots", "404", "Go's multiplexer redirects, we do not"),
    ("corner_http", "FOO ", "501", "libevent's answer to a method that nobody knows"),
    ("corner_http", "post ", "501", "libevent's answer to a method that nobody knows"),
    ("cluster3_members", "the same address", "Peer URLs already exists", "as newer ones say"),
    ("cluster3_refused", "every member", "true", "etcd's members diverge for good here (its issue 18667)"),
]


LONGEST = "cluster3_no_majority"  # mostly waiting


def scenarios(only):
    found = []
    for module in (semantics_kv, semantics_streams, semantics_http, semantics_more,
                   semantics_cluster, semantics_corners, semantics_corners2):
        found += [(k[9:], v) for k, v in vars(module).items() if k.startswith("scenario_")]
    return [(k, v) for k, v in found if only in k]


def record_one(name, run, kind, port):
    """Scenarios called cluster3_* have three members of their own."""
    store = stores.new(kind) if name.startswith("cluster3_") else None
    try:
        if store:
            store.start()
            port = stores.port_of(store.endpoints()[0])
        recorder = Recorder(port)
        recorder.store = store
        try:
            run(recorder)
        except Exception:
            recorder.say("the scenario ended early", traceback.format_exc().strip().split("\n")[-1])
        return recorder
    finally:
        if store:
            store.stop()


def steps_of(name, run, kind, port):
    """Of floe, each chunk of a stream has to be one message."""
    begin = time.monotonic()
    try:
        recorder = record_one(name, run, kind, port)
        steps = recorder.records
        faults = list(recorder.chunk_faults()) if kind == "floe" else []
        if faults:
            steps.append({"step": "each chunk is one message", "body": faults[:5]})
    except Exception as error:
        steps = [{"step": "the scenario could not begin", "body": repr(error)}]
    print("  %-24s %4d steps %5.1f s" % (name, len(steps), time.monotonic() - begin), file=sys.stderr)
    return steps


def record(kind, port, only, found=None):
    """Those with members of their own run beside the others, which share one and follow each other;
    likewise the corners, which share another one where we start them."""
    found = found or scenarios(only)
    out = {name: None for name, _ in found}

    def work(some, port):
        for name, run in some:
            out[name] = steps_of(name, run, kind, port)

    def work_apart(some):
        with_own = stores.new(kind, 1)
        try:
            with_own.start()
            work(some, stores.port_of(with_own.endpoints()[0]))
        finally:
            with_own.stop()

    def of(prefix):
        return [one for one in found if one[0].startswith(prefix)]

    apart = [] if port else of("corner_")
    long = [one for one in found if one[0] == LONGEST]
    clusters = [one for one in of("cluster3_") if one not in long]
    beside = [threading.Thread(target=work, args=(some, 0)) for some in (long, clusters)]
    beside += [threading.Thread(target=work_apart, args=(apart,))] if apart else []
    for thread in beside:
        thread.start()
    rest = [one for one in found if one not in apart and not one[0].startswith("cluster3_")]
    if port:
        work(rest, port)
    elif rest:
        work_apart(rest)
    for thread in beside:
        thread.join()
    return out


GO_SAYS = ("json: ", "invalid target ", "invalid character", "unexpected E", "unexpected end", "unknown value", "illegal base64", "bad ",
           "cannot parse", "strconv.", "proto: ", "failed to decode")


def is_go(body):
    """Whether an error's text is that of Go's JSON library: nobody matches on it."""
    text = body.get("message") if isinstance(body, dict) else None
    return isinstance(text, str) and text.startswith(GO_SAYS)


def code_only(body):
    return {"code": body.get("code")} if isinstance(body, dict) else body


def comparable(step, old):
    """What has to be the same. Texts of Go's JSON library and plain-text bodies are not compared, nor the
    step's name, which has revisions as they were."""
    body = step.get("body")
    out = {k: v for k, v in step.items() if k != "step"}
    # "..., possibly due to previous leader failure" and the like
    if isinstance(body, dict) and "request timed out" in str(body.get("message")):
        out["body"] = {"code": body.get("code"), "message": "request timed out"}
    # We tell more there, and call it what it is: application/json.
    more = next((names for names in (("health",), ("etcdserver", "etcdcluster"))
                 if isinstance(body, dict) and names[0] in body), None)
    if more:
        return {"status": step["status"], "body": {name: body.get(name) for name in more}}
    if is_go(old.get("body")):
        out["body"] = code_only(body)
    for part in ("messages", "others"):
        if any(is_go(m) for m in old.get(part, [])):
            out[part] = [code_only(m) for m in step.get(part, [])]
    if isinstance(old.get("body"), dict) and "text" in old["body"]:
        out = {k: v for k, v in out.items() if k not in ("body", "type", "compact")}
    return out


def wanted(name, step, new):
    return next((why for scenario, part, answer, why in WANTED
                 if scenario in name and part in step and answer in shown(new)), None)


def differences(old, new):
    """(scenario, step, etcd's, floe's)"""
    out = []
    for name, steps in old.items():
        others = new.get(name)
        if others is None:
            out.append((name, "(whole scenario)", "recorded", "missing"))
            continue
        for number, step in enumerate(steps):
            other = others[number] if number < len(others) else {"step": "(nothing)"}
            if step.get("body") == {"text": "(connection ended)"} and other.get("status"):
                continue  # a fault of etcd's; any answer is better
            # Text, not equality: the order of fields counts, and 1 is not true.
            if json.dumps(comparable(step, step)) != json.dumps(comparable(other, step)):
                out.append((name, step["step"], step, other))
        for extra in others[len(steps):]:
            out.append((name, extra["step"], {"step": "(nothing)"}, extra))
    return out


def shown(step):
    if not isinstance(step, dict):
        return step
    kept = {k: v for k, v in step.items() if k not in ("step",)}
    text = json.dumps(kept)
    return text if len(text) < 900 else text[:900] + "..."


def report(found, steps):
    unwanted = 0
    for name, step, old, new in found:
        why = wanted(name, step, new)
        if why:
            print("wanted: %s: %s: %s" % (name, step[:100], why))
            continue
        unwanted += 1
        print("%s: %s\n    etcd: %s\n    floe: %s" % (name, step, shown(old), shown(new)))
    print("%d steps compared, %d differ (%d more on purpose)" % (steps, unwanted, len(found) - unwanted))
    return 1 if unwanted else 0


def is_refused(step):
    return isinstance(step, dict) and (step.get("status") or 0) >= 400


def compare_random(first, count):
    """Where a request is wrong in several ways, which one is told may differ. Of each seed the first
    difference counts: what follows may come of it."""
    old, new = (record(kind, 0, "", semantics_random.scenarios(first, count)) for kind in ("etcd", "floe"))
    found = [d for d in differences(old, new) if not (is_refused(d[2]) and is_refused(d[3]))]
    first_of = {d[0]: d for d in reversed(found)}
    return report(list(first_of.values()), sum(map(len, old.values())))


def main():
    arguments = sys.argv[1:]
    only = ""
    if "--only" in arguments:
        at = arguments.index("--only")
        only = arguments[at + 1]
        del arguments[at:at + 2]
    against = "etcd" if "--etcd" in arguments else "floe"
    arguments = [a for a in arguments if a != "--etcd"]
    if arguments[:1] == ["random"] and len(arguments) == 3:
        return compare_random(int(arguments[1]), int(arguments[2]))
    if len(arguments) < 2 or arguments[0] not in ("record", "check", "diff"):
        sys.exit(__doc__)
    verb, path = arguments[:2]
    if verb == "record":
        found = record("etcd", int(arguments[2]) if len(arguments) > 2 else 0, only)
        with open(path, "w") as file:
            file.write(dumped(found))
        print("%d steps of %d scenarios" % (sum(map(len, found.values())), len(found)))
        return 0
    with open(path) as file:
        old = {k: v for k, v in json.load(file).items() if only in k}
    if verb == "diff":
        with open(arguments[2]) as file:
            new = json.load(file)
    else:
        new = record(against, int(arguments[2]) if len(arguments) > 2 else 0, only)
    return report(differences(old, new), sum(map(len, old.values())))


def dumped(found):
    """A step a line, so that a change of a recording can be read."""
    parts = []
    for name, steps in found.items():
        lines = ",\n".join(json.dumps(step) for step in steps)
        parts.append("%s: [\n%s\n]" % (json.dumps(name), lines))
    return "{\n%s\n}\n" % ",\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
