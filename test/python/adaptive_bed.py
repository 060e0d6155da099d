"""A scheduler that `adaptive_preload.py` scales, on a Deployment that is played here: pods are workers of this process.

Says what it has come to as one line of JSON.
"""

import asyncio
import json
import sys
import time

import dask
from distributed import Client, Scheduler, Worker

PATIENCE_SECONDS = 40


class Pods:
    """What `adaptive_preload.Workers` is to the API server."""

    def __init__(self):
        self.wanted = self.most = 1
        self.marked = []
        self.there = {}
        self._made = 0

    def replicas(self):
        return self.wanted

    def scale(self, replicas):
        self.wanted = replicas
        self.most = max(self.most, replicas)

    def let_go_first(self, pod):
        self.marked.append(pod)

    async def follow(self, address):
        """As Kubernetes does: it takes marked ones first."""
        while True:
            while len(self.there) < self.wanted:
                name = "pod-%d" % self._made
                self._made += 1
                self.there[name] = await Worker(address, name=name, nthreads=1)
            while len(self.there) > self.wanted:
                first = [name for name in self.there if name in self.marked] or list(self.there)
                await self.there[first[0]].close()
                del self.there[first[0]]
            await asyncio.sleep(0.05)


def slow(x):
    time.sleep(0.2)
    return x


async def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.05)


async def main():
    sys.path.insert(0, sys.argv[1])
    import adaptive_preload

    pods, told = Pods(), {}
    limits = {"minimum": 0, "maximum": 3, "interval": "50ms", "target-duration": "1s", "wait-count": 3}
    dask.config.set({"distributed.adaptive": limits})
    async with Scheduler(port=0, dashboard_address=":0") as scheduler:
        adaptive = adaptive_preload.Adaptive(scheduler, pods)
        following = asyncio.ensure_future(pods.follow(scheduler.address))
        adaptive.start()
        async with Client(scheduler.address, asynchronous=True) as client:
            await until(lambda: not scheduler.workers)
            held = client.submit(slow, -1, pure=False)
            futures = client.map(slow, range(60), pure=False)
            told["sum"] = sum(await client.gather(futures))
            told["most"] = pods.most
            del futures
            await until(lambda: len(scheduler.workers) == 1)
            told["held"] = await held
            told["marked"] = len(pods.marked)
            del held
            await until(lambda: not scheduler.workers)
            await until(lambda: not pods.there)
        adaptive.stop()
        following.cancel()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
