"""Prefect 2 and 3: a flow of another name than its function, run by one call with options."""

from prefect import flow, task
from prefect_dask import DaskTaskRunner


@task
def inc(x):
    return x + 1


def extract():
    return inc.submit(1).result()


etl = flow(extract)

if __name__ == "__main__":
    runner = DaskTaskRunner(cluster_kwargs={"n_workers": 1, "dashboard_address": None, "processes": False})
    print("got %s" % etl.with_options(task_runner=runner)(), flush=True)
    print("the script goes on", flush=True)
