"""Connections to a scheduler that outlive what carries them.

A forwarded port goes through an API server, and breaks when that starts again or the editor's machine changes its
network; a scheduler forgets the work of a client whose connection broke. So each connection of the extension is a
session, carried by one connection after another to a port on the loopback of the scheduler's pod; what is in it is
Dask's own TLS. `src/backends/kubernetes/sessions.ts` is the extension's side.

A carrier begins with a line: `open ID PORT`, or `resume ID RECEIVED` with how much has arrived at the other end. The
answer is how much has arrived here, or `gone`; both go on from there. Then there are frames both ways: a length of four
bytes and so many bytes of data, or, with the top bit set, how much has arrived in all, in eight bytes. A length of zero
is the end, at either side: it ends the whole session, and counts as one byte, so that it arrives once like all else.
Each side keeps what has not arrived, and reads no more when that is too much.

It is a process of its own: it carries while the scheduler's loop is busy, and does not make it busier.
"""

import asyncio
import collections
import os
import struct
import time

PORT = 8789
TARGETS = (8786, 8787, 8788)
KEPT_BYTES = 16 * 1024 * 1024
LIFE_SECONDS = 120
ACK = 0x80000000
ACK_BYTES = 256 * 1024
ACK_SECONDS = 0.1
BEAT_SECONDS = 3
SILENCE_SECONDS = 10
WAITING_BYTES = 1024 * 1024
LONGEST_LINE = 100


def fork():
    """Starts it, for as long as this process lives. Before any thread is there."""
    watched, held = os.pipe()
    if os.fork():
        os.close(watched)
        return  # what is held ends with this process
    os.close(held)
    try:
        asyncio.run(_serve(watched))
    finally:
        os._exit(0)


async def _serve(watched):
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(watched, ended.set)
    await Sessions().listen(PORT)
    await ended.wait()


class Sessions:
    def __init__(self, targets=TARGETS, life_seconds=LIFE_SECONDS, kept_bytes=KEPT_BYTES):
        self.targets = targets
        self.life_seconds = life_seconds
        self.kept_bytes = kept_bytes
        self.known = {}

    async def listen(self, port):
        self._server = await asyncio.get_running_loop().create_server(lambda: _Carrier(self), "127.0.0.1", port)
        return self._server.sockets[0].getsockname()[1]


class _Carrier(asyncio.Protocol):
    """What carries a session for a while."""

    def __init__(self, sessions):
        self._sessions = sessions
        self._session = None
        self._head = bytearray()
        self._left = 0
        self.full = False
        self.heard = time.monotonic()

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(WAITING_BYTES)

    def data_received(self, data):
        self.heard = time.monotonic()
        if self._session:
            self._frames(memoryview(data))
            return
        self._head += data
        if self._head.endswith(b"\n"):
            try:
                self._greet(*self._head.decode().split())
            except (ValueError, TypeError):
                self.transport.abort()
            self._head.clear()
        elif len(self._head) > LONGEST_LINE:
            self.transport.abort()

    def _greet(self, word, name, number):
        session = self._sessions.known.get(name)
        if session:
            self._join(session, int(number) if word == "resume" else 0)
        elif word == "open" and int(number) in self._sessions.targets:
            self._opening = asyncio.ensure_future(self._open(name, int(number)))
        else:
            self.refuse()

    async def _open(self, name, port):
        session = self._sessions.known[name] = Session(name, self._sessions)
        try:
            await asyncio.get_running_loop().create_connection(lambda: session, "127.0.0.1", port)
        except OSError:
            del self._sessions.known[name]
            self.refuse()
            return
        self._join(session, 0)

    def _join(self, session, received):
        if not session.is_open() or self.transport.is_closing():
            self.transport.abort()  # another one opens it just now: whoever asks will ask again
        elif session.carry(self, received):
            self._session = session

    def refuse(self):
        self.transport.write(b"gone\n")
        self.transport.close()

    def leave(self):
        """For another one."""
        self._session = None
        self.transport.abort()

    def _frames(self, data):
        at = 0
        while at < len(data) and self._session:
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                self._session.arrived(part)
                continue
            wanted = 12 if len(self._head) >= 4 and self._head[0] & 0x80 else 4
            part = data[at : at + wanted - len(self._head)]
            at += len(part)
            self._head += part
            if len(self._head) < wanted or (wanted == 4 and self._head[0] & 0x80):
                continue
            if wanted == 12:
                (count,) = struct.unpack_from(">Q", self._head, 4)
                self._session.acknowledged(count)
            else:
                (self._left,) = struct.unpack(">I", self._head)
                if not self._left:
                    self._session.ended_there()
            self._head.clear()

    def pause_writing(self):
        self.full = True
        if self._session:
            self._session.flow()

    def resume_writing(self):
        self.full = False
        if self._session:
            self._session.flow()

    def connection_lost(self, error):
        if self._session:
            self._session.uncarried()
            self._session = None


class Session(asyncio.Protocol):
    """One connection to a port of the scheduler, with what has not arrived at the other end."""

    def __init__(self, name, sessions):
        self._name = name
        self._sessions = sessions
        self._target = None
        self._target_full = False
        self._paused = False
        self._ended = False
        self._carrier = None
        self._kept = collections.deque()
        self._acked = 0  # where the first that is kept begins
        self._sent = 0
        self._received = 0
        self._told = 0
        self._ack_timer = self._expiry = self._beat_timer = None
        self._loop = asyncio.get_running_loop()

    # What is carried.

    def is_open(self):
        return self._target is not None

    def carry(self, carrier, received):
        """Goes on by that carrier, from what has arrived. False if that is no more kept."""
        if not self._acked <= received <= self._sent:
            carrier.refuse()
            return False
        if self._carrier:
            self._carrier.leave()
        if self._expiry:
            self._expiry.cancel()
        self._carrier = carrier
        carrier.transport.write(b"%d\n" % self._received)
        self._told = self._received
        at = self._acked
        for data in list(self._kept):
            after = at + (len(data) or 1)
            if after > received:
                self._send(data[max(0, received - at) :])
            at = after
        self.acknowledged(received)
        self._beat()
        if self._carrier and self._target_full:
            carrier.transport.pause_reading()
        return self._carrier is not None

    def uncarried(self):
        self._carrier = None
        self.flow()
        self._expiry = self._loop.call_later(self._sessions.life_seconds, self._forget)

    def arrived(self, data):
        self._received += len(data)
        if not self._ended:
            self._target.write(data)
        if self._received - self._told >= ACK_BYTES:
            self._tell()
        elif not self._ack_timer:
            self._ack_timer = self._loop.call_later(ACK_SECONDS, self._tell)

    def ended_there(self):
        """Whoever asked has gone: nothing more is of use to it."""
        self._received += 1
        self._tell()
        self._forget()

    def acknowledged(self, count):
        if count > self._sent:
            self._carrier.transport.abort()
            return
        while self._kept and self._acked + (len(self._kept[0]) or 1) <= count:
            self._acked += len(self._kept.popleft()) or 1
        self.flow()
        if self._ended and not self._kept:
            self._forget()

    def _tell(self):
        if self._ack_timer:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self._carrier:
            self._told = self._received
            self._carrier.transport.write(struct.pack(">IQ", ACK, self._received))

    def _beat(self):
        """A carrier that is broken without a word is found by its silence."""
        if self._beat_timer:
            self._beat_timer.cancel()
        self._beat_timer = None
        if not self._carrier:
            return
        if not self._target_full and time.monotonic() - self._carrier.heard > SILENCE_SECONDS:
            self._carrier.transport.abort()
            return
        self._tell()
        self._beat_timer = self._loop.call_later(BEAT_SECONDS, self._beat)

    def _send(self, data):
        if self._carrier:
            self._carrier.transport.write(struct.pack(">I", len(data)) + data)

    def _forget(self):
        self._sessions.known.pop(self._name, None)
        self._ended = True
        for timer in (self._ack_timer, self._expiry, self._beat_timer):
            if timer:
                timer.cancel()
        self._target.close()
        if self._carrier:
            self._carrier.transport.close()
            self._carrier = None

    # The port of the scheduler.

    def connection_made(self, transport):
        self._target = transport
        transport.set_write_buffer_limits(WAITING_BYTES)
        self.uncarried()  # till whoever asked for it has it

    def data_received(self, data):
        self._keep(data)

    def connection_lost(self, error):
        if not self._ended:
            self._ended = True
            self._keep(b"")

    def _keep(self, data):
        self._kept.append(data)
        self._sent += len(data) or 1
        self._send(data)
        self.flow()

    def flow(self):
        """Reads on, or not."""
        most = self._sessions.kept_bytes // (2 if self._paused else 1)
        full = self._sent - self._acked > most or bool(self._carrier and self._carrier.full)
        if full != self._paused and not self._target.is_closing():
            self._paused = full
            (self._target.pause_reading if full else self._target.resume_reading)()

    def pause_writing(self):
        self._target_full = True
        if self._carrier:
            self._carrier.transport.pause_reading()

    def resume_writing(self):
        self._target_full = False
        if self._carrier:
            self._carrier.heard = time.monotonic()
            self._carrier.transport.resume_reading()
