"""Prefect 2 and 3, as the documentation writes flows."""

import time

from prefect import flow, task
from prefect_dask import DaskTaskRunner


@task
def extract(n):
    return list(range(n))


@task
def transform(x):
    time.sleep(0.02)
    return x * 10


@task
def load(xs):
    print("loaded", xs)
    return sum(xs)


@flow(name="etl", task_runner=DaskTaskRunner())
def etl(n: int = 4):
    raw = extract.submit(n).result()
    return load.submit(transform.map(raw)).result()


@flow
def ledger(rows: int, name: str):
    return "%s: %d" % (name, extract.submit(rows).result()[-1])


class Pipeline:
    @staticmethod
    @flow
    def run(n: int = 2):
        return load.submit(extract.submit(n).result()).result()


if __name__ == "__main__":
    print("flow result", etl(n=4))
