"""A plain Dask script."""

import sys
import time

import dask
from distributed import Client


@dask.delayed
def inc(x):
    time.sleep(0.02)
    return x + 1


if __name__ == "__main__":
    client = Client()
    print("workers", len(client.scheduler_info()["workers"]), "argv", sys.argv == [__file__])
    print("total", dask.delayed(sum)([inc(i) for i in range(4)]).compute())
