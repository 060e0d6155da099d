"""Prefect 1 with an executor of its own: which worker it was, and whether its cluster was closed, is told."""

import os
import time

from distributed import LocalCluster, get_worker
from prefect import Flow, Parameter, task
from prefect.executors import DaskExecutor, LocalDaskExecutor


class Told(LocalCluster):
    def close(self, *args, **kwargs):
        print("closing its cluster", flush=True)
        return super().close(*args, **kwargs)


def own_cluster():
    return Told(n_workers=1, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None)


@task
def where(seconds):
    with open(os.environ["MARKS"], "a") as file:
        file.write("%d\n" % os.getpid())
    time.sleep(seconds)
    return get_worker().name


@task(log_stdout=True)
def say(name):
    print("on worker %s" % name, flush=True)


with Flow("written", executor=DaskExecutor(cluster_class=own_cluster)) as flow:
    say(where(Parameter("seconds", default=0)))

with Flow("called") as other:
    say("of none")

if __name__ == "__main__":
    other.run(executor=LocalDaskExecutor(scheduler="threads", num_workers=2))
    print("the script goes on", flush=True)
