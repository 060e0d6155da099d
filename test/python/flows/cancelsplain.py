"""As cancels.py, for plain Dask: `HOW` says which of its ways."""

import asyncio
import os
import threading
import time

import dask
from distributed import Client, as_completed

MARKS = os.environ.get("MARKS")
TASKS = int(os.environ.get("TASKS") or 40)


def mark(text):
    with open(MARKS, "a") as file:
        file.write(text + "\n")


def slow(x):
    mark("start %s" % x)
    time.sleep(0.4)
    mark("end %s" % x)
    return x


def held(x):
    mark("start %s" % x)
    while not os.path.exists(MARKS + ".go"):
        time.sleep(0.02)
    mark("end %s" % x)
    return x


def after(x):
    mark("after %s" % x)
    return x


def mapped():
    client = Client()
    client.gather(client.map(slow, range(TASKS), pure=False))


def holding():
    client = Client()
    client.gather(client.map(held, range(TASKS), pure=False))


def chained():
    """The heads of the chains are no futures."""
    dask.compute([dask.delayed(after)(dask.delayed(slow)(i)) for i in range(TASKS)])


def chained_futures():
    client = Client()
    heads = client.map(slow, range(TASKS), pure=False)
    client.gather(client.map(after, heads, pure=False))


def stubborn():
    """Submits again and again, whatever comes of it."""
    client = Client()
    for round_ in range(100):
        try:
            futures = [client.submit(slow, "%d.%d" % (round_, i), pure=False) for i in range(3)]
            for future in as_completed(futures):
                future.result()
        except Exception as error:
            print("caught", type(error).__name__, flush=True)


def shared():
    """The same key as another client's."""
    client = Client()
    futures = client.map(slow, range(TASKS), pure=False)
    futures.append(client.submit(after, "shared", key="shared"))
    client.gather(futures)


def brief():
    client = Client()
    print(client.submit(after, 1).result(), "all is done", flush=True)
    while not any(thread.name == "flow-clusters-stop" for thread in threading.enumerate()):
        time.sleep(0.005)


async def later():
    async with Client(asynchronous=True) as client:
        await client.gather(client.map(slow, range(TASKS), pure=False))


async def later_chained():
    async with Client(asynchronous=True) as client:
        heads = client.map(slow, range(TASKS), pure=False)
        await client.gather(client.map(after, heads, pure=False))


if __name__ == "__main__":
    result = globals()[os.environ["HOW"]]()
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    print("not reached when stopped")
