"""Prefect 2 and 3: eight tasks of a second, with marks of what began and what ended."""

import os
import time

from prefect import flow, task


def mark(text):
    with open(os.environ["MARKS"], "a") as file:
        file.write(text + "\n")


@task
def slow(x):
    mark("start %s" % x)
    time.sleep(1)
    mark("end %s" % x)
    return x


@flow
def slowflow(n: int = 8):
    return [future.result() for future in slow.map(list(range(n)))]


@task
def busy():
    while True:
        pass


@task
def asleep():
    time.sleep(1000)


@task
def with_child():
    import subprocess

    subprocess.call(["sleep", "1000"])


@flow
def endless():
    futures = [busy.submit(), asleep.submit(), with_child.submit()]
    return [future.result() for future in futures]


def linger(flow, flow_run, state):
    time.sleep(1000)


@flow(on_completion=[linger])
def lingers():
    return 1
