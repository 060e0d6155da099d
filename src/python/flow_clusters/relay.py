"""From the loopback of each worker's container to one port on the loopback of the machine that the editor runs on.

An API server that listens there, and nowhere else, is reached from containers without opening it to a network. The hub
is in the scheduler's container, whose loopback the workers share. The extension connects to it, by TLS with the
cluster's own certificates, and waits; what connects to the port here is joined with one of these connections, through
which the extension passes it on. `src/backends/relay.ts` is the extension's side.
"""

import asyncio
import collections
import os
import ssl

PORT = 8788
GREETING_SECONDS = 10
PROVIDER_SECONDS = 10
CHUNK = 65536


def _context(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=os.path.join(folder, "ca.pem"))
    context.load_cert_chain(os.path.join(folder, "node.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Hub:
    def __init__(self):
        self._idle = collections.deque()
        self._wanted = collections.deque()
        self._offers = []

    async def listen(self, folder):
        self._server = await asyncio.start_server(self._greet, "0.0.0.0", PORT, ssl=_context(folder))

    async def _greet(self, reader, writer):
        try:
            if await asyncio.wait_for(reader.readline(), GREETING_SECONDS) == b"provider\n":
                self._provide((reader, writer))
                return
        except (OSError, asyncio.TimeoutError, ValueError):
            pass
        writer.close()

    async def offer(self, port):
        """Listens on the loopback here for what is meant for `port` of the editor's machine."""

        async def connected(reader, writer):
            try:
                provider = await asyncio.wait_for(self._provider(), PROVIDER_SECONDS)
                provider[1].write(b"%d\n" % port)
                await join((reader, writer), provider)
            except (OSError, asyncio.TimeoutError):
                writer.close()  # whoever asked sees a connection that ends, as from a server that is not there

        self._offers.append(await asyncio.start_server(connected, "127.0.0.1", port))

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
