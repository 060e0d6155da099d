"""Plain scripts whose tasks are counted: `HOW` says which of its ways."""

import os
import sys
import time

import dask
import dask.bag
from distributed import Client


def inc(x):
    time.sleep(0.01)
    return x + 1


def boom(x):
    if x == 3:
        raise ValueError("bad row 3")
    time.sleep(0.05)
    return x


def graph():
    """Tasks in between, of which nobody has a future."""
    client = Client()
    print(dask.delayed(sum)([dask.delayed(inc)(i) for i in range(20)]).compute())
    client.close()


def bare():
    print(dask.bag.from_sequence(range(10), npartitions=5).map(inc).sum().compute())


def futures():
    with Client() as client:
        first = client.map(inc, range(10))
        print(client.submit(sum, first).result())
        print(sum(client.gather(client.map(inc, range(10)))))  # the same
        print(sum(client.gather(client.map(inc, range(10), pure=False))))
        del first


def again():
    """The same names again: once as new tasks, and once of results that are still held."""
    with Client():
        total = dask.delayed(sum)([dask.delayed(inc)(i) for i in range(5)])
        print(total.compute())
        time.sleep(0.2)  # till it is released
        held = total.persist()
        print(held.compute(), total.compute())


def fails():
    Client()
    dask.delayed(sum)([dask.delayed(boom)(i) for i in range(30)]).compute()


def brief():
    """Hundreds of very short ones, over before anybody can ask for them."""
    with Client() as client:
        for _ in range(5):
            client.gather(client.map(abs, range(60), pure=False))


if __name__ == "__main__":
    globals()[sys.argv[1] if len(sys.argv) > 1 else os.environ["HOW"]]()
