"""A plain script with a cluster of its own."""

import os
import time

from distributed import Client, LocalCluster, get_worker


def where(seconds):
    with open(os.environ["MARKS"], "a") as file:
        file.write("%d\n" % os.getpid())
    time.sleep(seconds)
    return get_worker().name


if __name__ == "__main__":
    try:
        with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
            with Client(cluster) as client:
                print("on worker", client.submit(where, int(os.environ.get("SECONDS", 0))).result(), flush=True)
    finally:
        print("closing its cluster", flush=True)
