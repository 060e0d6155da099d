"""A real scheduler with many light workers: prints a JSON line when all are there, serves until stdin closes.

python bench/many_workers.py 1000 4     # workers, processes they are in
"""

# ruff: noqa: E402 - stdout is how it answers; Dask reads its settings when it is imported

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time

import dask

# What a worker does by the clock is made rare, so that a thousand of them fit on one machine. Heartbeats stay.
dask.config.set(
    {
        "distributed.worker.profile.enabled": False,
        "distributed.comm.timeouts.connect": "120s",
        "distributed.admin.tick.interval": "10s",
        "distributed.admin.tick.limit": "1h",
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "logging": {"distributed": "error"},
    }
)

from distributed import Client, Scheduler, Worker


def nap(seconds):
    time.sleep(seconds)


def serve_workers(address, directory, first, count):
    async def main():
        options = {"nthreads": 2, "dashboard": False, "memory_limit": "4GiB", "local_directory": directory}
        workers = [Worker(address, name=f"w{first + i}", **options) for i in range(count)]
        for begin in range(0, count, 25):
            await asyncio.gather(*(worker.start() for worker in workers[begin : begin + 25]))
        await asyncio.Event().wait()

    asyncio.run(main())


async def main(count, processes, directory):
    context = multiprocessing.get_context("spawn")
    share = count // processes
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
        for i in range(processes):
            args = (scheduler.address, directory, i * share, share)
            context.Process(target=serve_workers, args=args, daemon=True).start()
        while len(scheduler.workers) < share * processes:
            await asyncio.sleep(0.2)
            assert len(multiprocessing.active_children()) == processes, "workers have ended"
        async with Client(scheduler.address, asynchronous=True) as client:
            await client.gather(client.map(nap, [0.01] * count, key="quick"))
            held = client.map(nap, [86400] * count, key="nap")
            print(json.dumps({"address": scheduler.address, "workers": len(scheduler.workers)}), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            del held
            shutil.rmtree(directory, ignore_errors=True)
            # Nothing depends on an orderly end.
            os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), tempfile.mkdtemp(prefix="many-workers-")))
