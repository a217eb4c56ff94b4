"""A raw client of the v3 JSON gateway that records what was answered, made comparable.

Ids, terms and sizes differ between two servers and revisions between two runs: a record holds
"<cluster>", "<lease1>" and "r+3" (three revisions after the scenario began) instead. Bytes are shown as
text ("b:foo"). Everything else is kept as it came: the order of fields, what is a number and what a
string, what is absent.
"""
import base64
import json
import os
import re
import socket
import struct
import time


def b64(text):
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    return base64.b64encode(text).decode()


class Answer:
    """Of one HTTP request, read byte by byte so that chunks stay visible."""

    def __init__(self, port, request, timeout=15):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.sendall(request)
        self.buffer = b""
        self.status = None
        self.headers = {}
        self.chunks = []
        self.ended = False

    def _fill(self, until):
        left = until - time.monotonic()
        if left <= 0:
            raise socket.timeout()
        self.sock.settimeout(left)
        data = self.sock.recv(65536)
        if not data:
            self.ended = True
            raise EOFError()
        self.buffer += data

    def _line(self, until):
        while b"\r\n" not in self.buffer:
            self._fill(until)
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, size, until):
        while len(self.buffer) < size:
            self._fill(until)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_head(self, until):
        if self.status is not None:
            return
        status = int(self._line(until).split(b" ")[1])
        if status == 100:
            self._line(until)
            status = int(self._line(until).split(b" ")[1])
        while True:
            line = self._line(until)
            if not line:
                break
            name, value = line.split(b":", 1)
            self.headers[name.decode().lower()] = value.strip().decode()
        self.status = status

    def read_chunk(self, until):
        """The next chunk, or None at the end of the body."""
        self.read_head(until)
        if self.ended:
            return None
        if self.headers.get("transfer-encoding") != "chunked":
            self.ended = True
            length = self.headers.get("content-length")
            if length is not None:
                data = self._exactly(int(length), until)
            else:
                data = self._to_eof(until)
            self.chunks.append(data)
            return data
        size = int(self._line(until).split(b";")[0], 16)
        if size == 0:
            while self._line(until):
                pass
            self.ended = True
            return None
        data = self._exactly(size, until)
        self._line(until)
        self.chunks.append(data)
        return data

    def _to_eof(self, until):
        try:
            while True:
                self._fill(until)
        except EOFError:
            data, self.buffer = self.buffer, b""
            return data

    def read_all(self, seconds):
        until = time.monotonic() + seconds
        while self.read_chunk(until) is not None and not self.ended:
            pass
        return b"".join(self.chunks)

    def close(self):
        self.sock.close()


class Stream:
    """Messages of a streaming answer, one JSON text each."""

    def __init__(self, answer):
        self.answer, self.rest, self.silent = answer, b"", False

    def read(self, count, seconds):
        """Up to count messages, fewer if the time passes or the stream ends."""
        until, found = time.monotonic() + seconds, []
        while len(found) < count:
            value = self._cut()
            if value is not None:
                found.append(value)
                continue
            try:
                chunk = self.answer.read_chunk(until)
            except (socket.timeout, EOFError, ConnectionError):
                break
            if chunk is None:
                break
            self.rest += chunk
        return found

    def _cut(self):
        text = self.rest.decode("utf-8", "replace").lstrip()
        if not text:
            return None
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            if self.answer.ended:
                self.rest = b""
                return {"not json": text[:200]}
            return None
        self.rest = text[end:].encode()
        return value

    def close(self):
        self.answer.close()


class WebSocket:
    """RFC 6455 as a client speaks it, texts only."""

    def __init__(self, port, path):
        key = base64.b64encode(os.urandom(16)).decode()
        self.answer = Answer(port, ("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (path, key)).encode())
        self.answer.read_head(time.monotonic() + 5)
        self.status = self.answer.status

    def send(self, text, opcode=1):
        data = text.encode()
        mask = os.urandom(4)
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", len(data))
        self.answer.sock.sendall(head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(data)))

    def frame(self, seconds):
        """(opcode, bytes), or None when the time is over or the peer is gone."""
        until = time.monotonic() + seconds
        try:
            first, second = self.answer._exactly(2, until)
            size = second & 127
            if size == 126:
                size = struct.unpack(">H", self.answer._exactly(2, until))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.answer._exactly(8, until))[0]
            return first & 15, self.answer._exactly(size, until)
        except (socket.timeout, EOFError, ConnectionError):
            return None

    def read(self, count, seconds):
        found = []
        until = time.monotonic() + seconds
        while len(found) < count:
            got = self.frame(max(0.0, until - time.monotonic()))
            if got is None:
                break
            if got[0] in (1, 2):
                found.append(json.loads(got[1]))
            elif got[0] == 8:
                found.append({"closed": True})
                break
        return found

    def close(self):
        self.answer.close()


REVISIONS = {"revision", "create_revision", "mod_revision", "compact_revision", "rev", "hash_revision"}
SOME = {"cluster_id": "<cluster>", "member_id": "<member>", "raft_term": "<term>", "dbSize": "<size>",
        "dbSizeInUse": "<size>", "raftIndex": "<index>", "raftAppliedIndex": "<index>", "raftTerm": "<term>",
        "hash": "<hash>", "blob": "<blob>", "remaining_bytes": "<size>", "memberID": "<member>", "leader": "<member>"}


class Recorder:
    """Runs one scenario against one server; records is what came of it."""

    def __init__(self, port):
        self.port = port
        self.records = []
        self.leases = {}
        self.members = {}
        self.base = 0
        self.streams = []
        self.store = None  # of scenarios with several members
        self.base = self.revision_now()

    # ---- requests ----

    def settle(self, after, seconds=5):
        """Waits until the store is that many revisions after the scenario's begin."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.revision_now() < self.rev(after):
            time.sleep(0.02)

    def revision_now(self):
        got = self.raw("kv/range", b'{"key":"AA=="}', record=False)
        return int(json.loads(got[1])["header"]["revision"])

    def rev(self, after):
        """The revision that many after the scenario's begin."""
        return self.base + after

    def call(self, path, body=None, **options):
        """A unary request; the decoded answer is returned, whatever its status."""
        text = b"" if body is None else json.dumps(body).encode()
        return self.text(path, text, **options)

    def text(self, path, text, **options):
        text = text.encode() if isinstance(text, str) else text
        status, body = self.raw(path, text, **options)
        try:
            return json.loads(body)
        except ValueError:
            return {}

    def raw(self, path, body, method="POST", headers=(), prefix="/v3/", record=True, seconds=12, note=""):
        lines = ["%s %s%s HTTP/1.1" % (method, prefix, path), "Host: 127.0.0.1"]
        lines += ["Content-Length: %d" % len(body)] if method != "GET" or body else []
        request = ("\r\n".join(lines + list(headers)) + "\r\n\r\n").encode() + body
        answer = Answer(self.port, request)
        try:
            got = answer.read_all(seconds)
        except socket.timeout:
            got = b"".join(answer.chunks) + b"(unfinished)"
        except (EOFError, ConnectionError):
            got = b"".join(answer.chunks) + b"(connection ended)"
        finally:
            answer.close()
        if record:
            shown = body.decode("utf-8", "replace")
            what = "%s %s%s %s" % (method, prefix, path, shown if len(shown) < 600 else shown[:80] + "... %d" % len(shown))
            self.note(note + what, answer.status, answer.headers.get("content-type", ""), got)
        return answer.status, got

    def stream(self, path, text, **options):
        """A streaming request with a body that has ended."""
        text = text if isinstance(text, str) else json.dumps(text)
        request = ("POST /v3/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s"
                   % (path, len(text.encode()), text)).encode()
        stream = Stream(Answer(self.port, request, **options))
        stream.what = self.clean("POST /v3/%s %s" % (path, text))
        self.streams.append(stream)
        return stream

    def got(self, stream, count, seconds=3, note="", exact=False):
        """Records (and returns) what a stream says next. Events of several messages are gathered, as how
        many revisions share a message is a matter of timing. exact: one more message would be a fault."""
        messages = stream.read(count, seconds)
        if exact:
            messages += stream.read(1, 0.3)
        for message in messages:
            if "events" in message.get("result", {}):
                self.check_header(message, message["result"]["events"])
        head = (stream.answer.status, stream.answer.headers.get("content-type", ""))
        self.records.append({"step": "%s%s -> %s" % (note, stream.what, count), "status": head[0], "type": head[1],
                             "messages": [self.normal(m) for m in gathered(messages)]})
        return messages

    def events(self, stream, count, seconds=4, note=""):
        """Reads messages until count events have come; records the events with their revisions' borders."""
        events, others = [], []
        until = time.monotonic() + seconds
        while len(events) < count and time.monotonic() < until:
            for message in stream.read(1, until - time.monotonic()):
                found = message.get("result", {}).get("events")
                if found is None:
                    others.append(message)
                else:
                    events += found
                    self.check_header(message, found)
        self.records.append({"step": "%sevents of %s" % (note, stream.what),
                             "events": [self.normal(e) for e in events],
                             "others": [self.normal(m) for m in others]})
        return events

    def check_header(self, message, events):
        """No event may be newer than the header of its message."""
        newest = int(message["result"]["header"]["revision"])
        if any(int(e["kv"]["mod_revision"]) > newest for e in events):
            self.records.append({"step": "an event is newer than its header", "body": message})

    def chunk_faults(self):
        """Chunks that are not one message with its line end: etcd3gw 2.0 cannot read them."""
        for stream in self.streams:
            for chunk in stream.answer.chunks:
                try:
                    json.loads(chunk)
                    whole = chunk.endswith(b"\n") or b'"error"' in chunk
                except ValueError:
                    whole = False
                if not whole and stream.answer.status == 200 and \
                        stream.answer.headers.get("transfer-encoding") == "chunked":
                    yield "%s: chunk %r" % (stream.what[:80], chunk[:80])

    def note(self, step, status, kind, body):
        try:
            shown = self.normal(json.loads(body))
        except ValueError:
            shown = {"text": body.decode("utf-8", "replace")[:300]}
        self.records.append({"step": self.clean(step), "status": status, "type": kind.split(";")[0], "body": shown,
                             "compact": re.match(rb'\{ |\{"\w+": |.*\n$', body, re.S) is None})

    def say(self, step, value):
        """Records what a scenario has found out by itself."""
        self.records.append({"step": step, "body": value})

    # ---- making it comparable ----

    def clean(self, text):
        for known, name in self.leases.items():
            text = text.replace(known, name)
        for known, name in self.members.items():
            text = text.replace(known, name)
        return text

    def lease(self, value):
        text = str(value)
        if len(text) < 12:
            return value
        self.leases.setdefault(text, "<lease%d>" % (len(self.leases) + 1))
        return self.leases[text] if isinstance(value, str) else "number " + self.leases[text]

    def revision(self, value):
        if not str(value).lstrip("-").isdigit():
            return value
        shown = "r%+d" % (int(value) - self.base) if int(value) >= self.base - 1 else "old"
        return shown if isinstance(value, str) else "number " + shown

    def normal(self, value, name=""):
        if isinstance(value, dict):
            if list(value) == ["cluster_id", "member_id", "revision", "raft_term"] and name == "header" and \
                    all(isinstance(v, str) for v in value.values()):
                return "<header %s>" % self.revision(value["revision"])  # the usual one, in short
            return {k: self.normal(v, k) for k, v in value.items()}
        if isinstance(value, list):
            shown = [self.normal(v, name) for v in value]
            return sorted(shown) if name == "keys" else shown  # a lease's keys are in no order
        if name in REVISIONS:
            return self.revision(value)
        if name in ("ID", "lease"):
            return self.lease(value)
        if name == "errors":
            return re.sub(r"(memberID:)\d+|\d{3,}", lambda m: (m[1] or "") + "<member>", value)
        if name in SOME:
            return SOME[name] if isinstance(value, str) else "number " + SOME[name]
        if name in ("key", "value", "keys", "range_end", "name") and isinstance(value, str):
            return self.bytes(value)
        return value

    def bytes(self, value):
        try:
            data = base64.b64decode(value, validate=True)
        except ValueError:
            return value
        if base64.b64encode(data).decode() != value:
            return "not canonical " + value
        text = data.decode("latin-1")
        for known, name in self.leases.items():
            text = text.replace("%x" % int(known), name)
        text = re.sub(r"/[0-9a-f]{12,16}$", "/<lease>", text)
        return "b:" + text if len(text) < 200 else "b:%s... %d bytes" % (text[:20], len(text))


def gathered(messages):
    """Neighbouring messages of one watch that carry events become one."""
    out = []
    for message in messages:
        result = message.get("result", {})
        last = out[-1].get("result", {}) if out else {}
        if "events" in result and "events" in last and result.get("watch_id") == last.get("watch_id"):
            last["events"] += result["events"]
        elif "events" in result:
            # Which later revision the header shows is a matter of timing, too.
            out.append({"result": dict(result, header="<header>", events=list(result["events"]))})
        else:
            out.append(message)
    return out
