"""Prefect 1: six task runs (and one for the parameter). The first one notes when it runs."""

import os
import time

from prefect import Flow, Parameter, task


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


with Flow("etl") as flow:
    n = Parameter("n", default=4)
    load(transform.map(extract(n)))

if __name__ == "__main__":
    from prefect.executors import DaskExecutor

    print("result", flow.run(executor=DaskExecutor(address=os.environ.get("ADDRESS"))), flush=True)
