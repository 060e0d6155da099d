"""Plain Dask: the ways of its futures."""

import asyncio
import os
import time

from distributed import Client, LocalCluster, as_completed, get_client, worker_client


def double(x):
    time.sleep(0.1)
    return 2 * x


def nested(n):
    with worker_client() as client:
        return sum(client.gather(client.map(double, range(n))))


def sync():
    with Client() as client:
        futures = client.map(double, range(4))
        print("gathered", client.gather(futures))
        print("completed", sorted(future.result() for future in as_completed(futures)))
        [data] = client.scatter([20])
        print("scattered", client.submit(double, data).result())
        print("nested", client.submit(nested, 3).result())
        print("default", get_client() is client)


async def later():
    async with Client(asynchronous=True) as client:
        futures = client.map(double, range(4))
        print("gathered", await client.gather(futures))
        print("completed", sorted([await future async for future in as_completed(futures)]))


def local():
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        print("own", client.submit(double, 21).result())


def elsewhere():
    with Client(os.environ["ELSEWHERE"]) as client:
        print("elsewhere", client.submit(double, 21).result())


if __name__ == "__main__":
    result = globals()[os.environ["HOW"]]()
    if asyncio.iscoroutine(result):
        asyncio.run(result)
