"""Prefect 2 and 3 with a task runner of its own: which worker it was, and whether its cluster was closed, is told."""

import os
import time

from distributed import LocalCluster, get_worker
from prefect import flow, task
from prefect_dask import DaskTaskRunner


class Told(LocalCluster):
    async def _close(self, *args, **kwargs):
        if not getattr(self, "told", False):
            self.told = True
            print("closing its cluster", flush=True)
        await super()._close(*args, **kwargs)


def own_cluster(**kwargs):
    return Told(n_workers=1, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None, **kwargs)


@task
def where(seconds):
    with open(os.environ["MARKS"], "a") as file:
        file.write("%d\n" % os.getpid())
    time.sleep(seconds)
    return get_worker().name


@flow(task_runner=DaskTaskRunner(cluster_class=own_cluster))
def written(seconds: int = 0):
    name = where.submit(seconds).result()
    print("on worker %s" % name, flush=True)
    return name


@flow
def called():
    return where.submit(0).result()


if __name__ == "__main__":
    called.with_options(task_runner=DaskTaskRunner(cluster_class=own_cluster))()
    print("the script goes on", flush=True)
