"""Plain Dask: six tasks. The first one notes when it runs."""

import os
import time

import dask
from distributed import Client


@dask.delayed
def extract(n):
    with open(os.environ["FIRST_TASK"], "a") as file:
        file.write("%f\n" % time.time())
    return n


@dask.delayed
def transform(x, i):
    time.sleep(0.05)
    return (x + i) * 10


if __name__ == "__main__":
    client = Client(os.environ.get("ADDRESS"))
    first = extract(4)
    print("result", dask.delayed(sum)([transform(first, i) for i in range(4)]).compute(), flush=True)
