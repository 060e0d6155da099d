"""A real scheduler and workers for tests. Prints its address as a JSON line, serves until stdin closes.

Each line on stdin is a call, `["submit", prefix, count, seconds]` and the like, answered by a JSON line.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time

from distributed import Client, Nanny, Scheduler, Worker
from distributed.security import Security

held = []
naps = {"begun": 0, "ended": 0}
named = {}
# What tasks print must not get between the answers.
answers = os.fdopen(os.dup(1), "w")


class Recorded(dict):
    """Handlers by the operation that calls them; remembers which were called since it was last asked."""

    def __init__(self, handlers):
        super().__init__(handlers)
        self.called = set()

    def __getitem__(self, op):
        self.called.add(op)
        return super().__getitem__(op)

    def take(self):
        called, self.called = self.called, set()
        return called


def nap(seconds):
    counts = sys.modules["__main__"].naps  # without nannies all workers are threads of this process
    counts["begun"] += 1
    time.sleep(seconds)
    counts["ended"] += 1
    return seconds


def late(value):
    time.sleep(1)
    return value


def boom(seconds):
    raise ValueError("boom")


def eat():
    eaten = []
    while True:
        eaten.append(b"x" * 20_000_000)
        time.sleep(0.02)


def log_lines(name, count, text):
    for i in range(count):
        logging.getLogger(name).warning(text, i) if "%d" in text else logging.getLogger(name).warning(text)


async def with_worker(client, scheduler, name, what, *args):
    """Does something in or to a worker; answers its process id."""
    (address,) = [address for address, worker in scheduler.workers.items() if worker.name == name]
    pid = (await client.run(os.getpid, workers=[address]))[address]
    if what == "log":
        await client.run(log_lines, "distributed.worker", *args, workers=[address])
    elif what == "nap":
        held.append(client.submit(nap, *args, workers=[address], key=f"nap-{len(held)}"))
    elif what == "exit":
        held.append(client.submit(os._exit, *args, workers=[address], key=f"exiting-{len(held)}"))
    elif what == "eat":
        held.append(client.submit(eat, workers=[address], key=f"eat-{len(held)}"))
    elif what == "retire":
        await client.retire_workers([address])
    return pid


async def serve_calls(client, scheduler):
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        op, *args = json.loads(line)
        answer = None
        if op == "submit":
            prefix, count, seconds = args
            run = boom if prefix == "boom" else nap
            held.extend([client.submit(run, seconds, key=f"{prefix}-{len(held) + i}") for i in range(count)])
        elif op == "submit_late":
            named[args[0]] = client.submit(late, args[1], key=args[0])
        elif op == "result":
            answer = await named[args[0]]
        elif op == "tuple":
            held.append(client.submit(nap, args[1], key=(args[0], 0, 1)))
        elif op == "naps":
            answer = naps
        elif op == "release":
            held.clear()
        elif op == "log":
            log_lines("distributed.scheduler", *args)
        elif op == "worker":
            answer = await with_worker(client, scheduler, *args)
        elif op == "restart":
            await client.restart()
        elif op == "log_event":
            scheduler.log_event(*args)
        elif op == "prefixes":
            from dask.utils import key_split

            answer = [key_split(tuple(key) if isinstance(key, list) else key) for key in args[0]]
        elif op == "called":
            handlers = (scheduler.handlers, scheduler.stream_handlers)
            answer = sorted(set().union(*(one.take() for one in handlers)))
        elif op == "left":
            events = scheduler.extensions["events"]
            names = [name for name in getattr(events, "_events", ()) if name.startswith("flow-clusters")]
            answer = {
                "tasks": [str(key) for key in scheduler.tasks],
                "gates": names,
                "clients": list(scheduler.clients),
            }
        print(json.dumps(answer), file=answers, flush=True)


async def main(options):
    security = {}
    if options.tls:
        names = {
            f"tls_{role}_{part}": getattr(options, part)
            for role in ("scheduler", "worker", "client")
            for part in ("cert", "key")
        }
        security = {"security": Security(tls_ca_file=options.ca, require_encryption=True, **names)}
    kind = Nanny if options.nanny else Worker
    limit = {"memory_limit": options.memory_limit} if options.memory_limit else {}
    async with Scheduler(
        protocol=options.protocol,
        host=options.host,
        port=options.port,
        # Any port of the same host. As text Dask can't read an IPv6 number here.
        dashboard_address=(options.host.strip("[]"), 0),
        blocked_handlers=options.blocked,
        **security,
    ) as scheduler:
        scheduler.handlers = Recorded(scheduler.handlers)
        scheduler.stream_handlers = Recorded(scheduler.stream_handlers)
        workers = [
            kind(scheduler.address, nthreads=1, name=f"w{i}", dashboard_address=":0", **limit, **security)
            for i in range(options.workers)
        ]
        await asyncio.gather(*(worker.start() for worker in workers))
        async with Client(scheduler.address, asynchronous=True, **security) as client:
            print(json.dumps({"address": scheduler.address}), file=answers, flush=True)
            try:
                await serve_calls(client, scheduler)
            finally:
                # Nothing of the tests depends on an orderly end.
                os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    os.dup2(2, 1)
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", default="tcp")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--nanny", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--blocked", nargs="*", help="calls that the scheduler refuses")
    parser.add_argument("--memory-limit")
    for part in ("ca", "cert", "key"):
        parser.add_argument(f"--{part}")
    asyncio.run(main(parser.parse_args()))
