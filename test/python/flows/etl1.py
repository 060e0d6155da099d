"""Prefect 1."""

import time

from prefect import Flow, Parameter, task


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


with Flow("etl") as flow:
    n = Parameter("n", default=4)
    load(transform.map(extract(n)))

with Flow("ledger") as ledger:
    rows = Parameter("rows")
    load(extract(rows))
