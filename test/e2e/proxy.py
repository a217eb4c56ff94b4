"""A loopback network between members that can be cut: one TCP proxy in front of each member's peer port.

Members know each other by the proxies' addresses. Who dials is read from the first frame, HELLO (codec
of src/peer/frame.c); so bytes can be held back by (from, to), whoever has dialled the connection.
"""
import asyncio
import socket

CLUSTER = b"\xc4\x03e2e"  # msgpack bin of the harness' cluster name: the sender's id follows it in HELLO


class Network:
    def __init__(self, targets):
        """targets: {id: peer port}; ids below 128. ports: {id: the proxy's port}."""
        self.targets, self.ports, self.servers = targets, {}, []
        self.cuts = set()
        self.changed = asyncio.Event()
        self.connections = {}  # writer: (one end, other end)
        self.tasks = set()

    async def open(self):
        for node_id in self.targets:
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            self.ports[node_id] = sock.getsockname()[1]
            self.servers.append(await asyncio.start_server(
                lambda reader, writer, to=node_id: self._serve(reader, writer, to), sock=sock))
        return self

    async def close(self):
        for server in self.servers:
            server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self, pairs, reset=False):
        """Bytes from a to b are held back, for (a, b) in pairs. reset: what is connected there breaks."""
        self.cuts |= set(pairs)
        for writer, ends in list(self.connections.items()):
            if reset and (ends in self.cuts or ends[::-1] in self.cuts):
                writer.transport.abort()

    def heal(self, pairs=None):
        """What was held back goes on. None: everywhere."""
        self.cuts -= self.cuts if pairs is None else set(pairs)
        self.changed.set()
        self.changed = asyncio.Event()

    async def _passable(self, a, b):
        while (a, b) in self.cuts:
            await self.changed.wait()

    async def _pump(self, reader, writer, a, b):
        while True:
            data = await reader.read(65536)
            await self._passable(a, b)
            if not data:
                return
            writer.write(data)
            await writer.drain()

    async def _serve(self, reader, writer, to):
        task = asyncio.current_task()
        self.tasks.add(task)
        out = None
        try:
            hello = b""
            while CLUSTER not in hello or hello.index(CLUSTER) + len(CLUSTER) == len(hello):
                data = await reader.read(65536)
                if not data:
                    return
                hello += data
            dialler = hello[hello.index(CLUSTER) + len(CLUSTER)]
            self.connections[writer] = (dialler, to)
            await self._passable(dialler, to)
            answers, out = await asyncio.open_connection("127.0.0.1", self.targets[to])
            self.connections[out] = (dialler, to)
            out.write(hello)
            pumps = [asyncio.ensure_future(self._pump(reader, out, dialler, to)),
                     asyncio.ensure_future(self._pump(answers, writer, to, dialler))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, out):
                if end is not None:
                    self.connections.pop(end, None)
                    end.transport.abort()
            self.tasks.discard(task)
