"""Prefect 2 and 3: many short tasks, with marks of what began and what ended. The workers know nothing of MARKS."""

import os
import time

from prefect import flow, task

MARKS = os.environ.get("MARKS")


def mark(text):
    with open(MARKS, "a") as file:
        file.write(text + "\n")


@task
def slow(x):
    mark("start %s" % x)
    time.sleep(0.4)
    mark("end %s" % x)
    return x


@task
def held(x):
    mark("start %s" % x)
    while not os.path.exists(MARKS + ".go"):
        time.sleep(0.02)
    mark("end %s" % x)
    return x


@task
def after(x):
    mark("after %s" % x)
    return x


def told(flow, flow_run, state):
    mark("hook %s" % state.name)


@flow(on_cancellation=[told])
def mapped(n: int = 40):
    return [future.result() for future in slow.map(list(range(n)))]


@flow
def holding(n: int = 40):
    return [future.result() for future in held.map(list(range(n)))]


@flow
def chained(n: int = 40):
    return [future.result() for future in [after.submit(slow.submit(i)) for i in range(n)]]


@flow
def child(n: int):
    return [future.result() for future in slow.map(list(range(n)))]


@flow
def parent(n: int = 40):
    return child(n)


@flow
async def later(n: int = 40):
    futures = [slow.submit(i) for i in range(n)]
    results = [future.result() for future in futures]
    return [await result if hasattr(result, "__await__") else result for result in results]
