"""Prefect 2 and 3: six task runs. The first one notes when it runs."""

import os
import time

from prefect import flow, task
from prefect_dask import DaskTaskRunner


@task
def extract(n):
    with open(os.environ["FIRST_TASK"], "a") as file:
        file.write("%f\n" % time.time())
    return list(range(n))


@task
def transform(x):
    time.sleep(0.05)
    return x * 10


@task
def load(xs):
    return sum(xs)


@flow(name="etl", task_runner=DaskTaskRunner(address=os.environ.get("ADDRESS")))
def etl(n: int = 4):
    raw = extract.submit(n).result()
    return load.submit(transform.map(raw)).result()


if __name__ == "__main__":
    print("result", etl(), flush=True)
