"""From the loopback of each worker's container to one port on the loopback of the machine that the editor runs on.

An API server that listens there, and nowhere else, is reached from containers without opening it to a network. The hub
is with the scheduler. The extension connects to it, by TLS with the cluster's own certificates, and waits; what
connects to an offered port is joined with one of these connections, through which the extension passes it on. Workers
that share the scheduler's loopback find the port there; others hear of it from the hub, and have it on their own
loopback, from where it leads to the hub. `src/backends/relay.ts` is the extension's side.

A connection says first what it is: `provider` waits to be joined with whoever comes; `offer N` has the hub offer a
port; `member` hears which ports are offered, a line each; `want N` comes from a member's port; `hold` keeps a cluster
that is held, and hears a beat; `keep` hears which hub this is, and in the end that it is over.
"""

import asyncio
import collections
import os
import ssl
import time
import uuid

PORT = 8788
GREETING_SECONDS = 10
PROVIDER_SECONDS = 10
CHUNK = 65536
CONNECT_SECONDS = 3
FOLLOW_AGAIN_SECONDS = 0.5
LAST_WORD_SECONDS = 0.2
BEAT_SECONDS = 3


def _context(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=os.path.join(folder, "ca.pem"))
    context.load_cert_chain(os.path.join(folder, "node.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Hub:
    def __init__(self):
        self._idle = collections.deque()
        self._wanted = collections.deque()
        self._offers = {}
        self._members = set()
        self._holders = 0
        self._held_at = time.monotonic()
        self._name = uuid.uuid4().hex.encode() + b"\n"
        self._over = asyncio.Event()
        self._keepers = 0

    async def listen(self, folder):
        self._server = await asyncio.start_server(self._greet, "0.0.0.0", PORT, ssl=_context(folder))

    async def _greet(self, reader, writer):
        try:
            word, _, port = (
                (await asyncio.wait_for(reader.readline(), GREETING_SECONDS)).decode().strip().partition(" ")
            )
            if word == "provider":
                self._provide((reader, writer))
                return
            if word == "want" and int(port) in self._offers:
                await self._join(reader, writer, int(port))
                return
            if word == "offer":
                await self.offer(int(port))
            elif word == "member":
                await self._tell_member(reader, writer)
            elif word == "hold":
                await self._hold(reader, writer)
            elif word == "keep":
                await self._tell_keeper(writer)
        except (OSError, asyncio.TimeoutError, ValueError):
            pass
        writer.close()

    async def offer(self, port):
        """Listens on the loopback here for what is meant for `port` of the editor's machine."""
        if port in self._offers:
            return
        self._offers[port] = None
        self._offers[port] = await asyncio.start_server(
            lambda reader, writer: self._join(reader, writer, port), "127.0.0.1", port
        )
        for member in self._members:
            member.write(b"%d\n" % port)

    async def _join(self, reader, writer, port):
        try:
            provider = await asyncio.wait_for(self._provider(), PROVIDER_SECONDS)
            provider[1].write(b"%d\n" % port)
            await join((reader, writer), provider)
        except (OSError, asyncio.TimeoutError):
            writer.close()  # whoever asked sees a connection that ends, as from a server that is not there

    async def _tell_member(self, reader, writer):
        self._members.add(writer)
        try:
            for port in self._offers:
                writer.write(b"%d\n" % port)
            await reader.read()
        finally:
            self._members.discard(writer)

    async def _hold(self, reader, writer):
        self._holders += 1
        ended = asyncio.ensure_future(reader.read())
        try:
            while not ended.done():
                writer.write(b"\n")  # who hears nothing any more holds it anew
                await asyncio.wait({ended}, timeout=BEAT_SECONDS)
            await ended
        finally:
            ended.cancel()
            self._holders -= 1
            self._held_at = time.monotonic()

    async def _tell_keeper(self, writer):
        self._keepers += 1
        try:
            writer.write(self._name)
            await self._over.wait()
            writer.write(b"over\n")
            await writer.drain()
        finally:
            self._keepers -= 1

    async def over(self):
        """Says to who keeps the cluster that it ends, for good."""
        self._over.set()
        if self._keepers:
            await asyncio.sleep(LAST_WORD_SECONDS)

    async def released(self, seconds):
        """Returns when nobody has held this for so long."""
        while self._holders or time.monotonic() - self._held_at < seconds:
            await asyncio.sleep(1)

    def _provide(self, provider):
        while self._wanted:
            waiting = self._wanted.popleft()
            if not waiting.done():
                waiting.set_result(provider)
                return
        self._idle.append(provider)

    async def _provider(self):
        while self._idle:
            provider = self._idle.popleft()
            if not provider[0].at_eof():
                return provider
        waiting = asyncio.get_running_loop().create_future()
        self._wanted.append(waiting)
        return await waiting


def client_context(folder):
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.pem"))
    context.load_cert_chain(os.path.join(folder, "node.pem"))
    context.check_hostname = False  # the authority is the cluster's own
    return context


async def connected(hub, context):
    """A connection to the hub at `host:port`."""
    host, _, port = hub.rpartition(":")
    # A service that its node has yet to hear of answers nothing at all, and goes on so for that connection.
    return await asyncio.wait_for(asyncio.open_connection(host, int(port), ssl=context), CONNECT_SECONDS)


async def follow(hub, folder):
    """Has each port that the hub at `hub`, `host:port`, offers on the loopback here too. Never returns."""
    context = client_context(folder)
    servers = {}

    async def passed(reader, writer, wanted):
        try:
            other = await connected(hub, context)
            other[1].write(b"want %d\n" % wanted)
            await join((reader, writer), other)
        except (OSError, asyncio.TimeoutError):
            writer.close()

    while True:
        try:
            reader, writer = await connected(hub, context)
            writer.write(b"member\n")
            async for line in reader:
                wanted = int(line)
                if wanted not in servers:
                    servers[wanted] = await asyncio.start_server(
                        lambda r, w, wanted=wanted: passed(r, w, wanted), "127.0.0.1", wanted
                    )
            writer.close()
        except (OSError, ValueError, asyncio.TimeoutError):
            pass  # it does not listen yet, or starts again
        await asyncio.sleep(FOLLOW_AGAIN_SECONDS)


async def join(one, other):
    """Passes on what each sends to the other, till one of them ends."""
    ways = [asyncio.ensure_future(_pass_on(one[0], other[1])), asyncio.ensure_future(_pass_on(other[0], one[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for writer in (one[1], other[1]):
            writer.close()
        for way in ways:
            way.cancel()


async def _pass_on(reader, writer):
    try:
        while True:
            data = await reader.read(CHUNK)
            if not data:
                return
            writer.write(data)
            await writer.drain()
    except OSError:
        return
