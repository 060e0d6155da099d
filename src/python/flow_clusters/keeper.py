"""The first process of a Job that owns a cluster which somebody else runs: it ends when the cluster's scheduler has.

It does nothing but listen to the scheduler's hub (`relay.py`), which says its name, and in the end that it is over.
Another scheduler in its place has another name, and knows nothing of the work of the first. One that is busy says
nothing for a long time: only an end of the connection means anything.
"""

import asyncio
import signal
import socket
import time

from . import relay

AGAIN_SECONDS = 1
# A node that is gone ends no connection.
KEEPALIVE = ((socket.SO_KEEPALIVE, 1), (socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))


def keep(order, folder):
    return asyncio.run(_keep(order, folder))


async def _keep(order, folder):
    loop = asyncio.get_running_loop()
    # The first process of a container ignores it otherwise.
    loop.add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    context = relay.client_context(folder)
    known, patience, last = None, order["start_seconds"], time.monotonic()
    while time.monotonic() - last < patience:
        try:
            reader, writer = await relay.connected(order["hub"], context)
            try:
                _watch(writer.get_extra_info("socket"))
                writer.write(b"keep\n")
                async for line in reader:
                    if line == b"over\n" or line != (known or line):
                        return 0
                    known, patience = line, order["alone_seconds"]
            finally:
                writer.close()
                last = last if known is None else time.monotonic()
        except asyncio.CancelledError:
            return 0
        except (OSError, asyncio.TimeoutError):
            pass
        await asyncio.sleep(AGAIN_SECONDS)
    print("The scheduler has not been there for %d s: its cluster ends" % patience, flush=True)
    return 0


def _watch(connection):
    for option, value in KEEPALIVE:
        level = socket.SOL_SOCKET if option == socket.SO_KEEPALIVE else socket.IPPROTO_TCP
        connection.setsockopt(level, option, value)
