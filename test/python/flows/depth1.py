"""Prefect 1: what flows are made of, on whatever executor."""

import datetime
import time

import prefect
from prefect import Flow, Parameter, case, task
from prefect.engine.signals import SKIP
from prefect.executors import DaskExecutor


def handler(what, old, new):
    if new.is_finished():
        print("handler of %s: %s" % (what.name, type(new).__name__))
    return new


@task(state_handlers=[handler])
def numbers(n):
    return [1, n]


@task
def double(x):
    time.sleep(0.3)
    return 2 * x


@task(max_retries=2, retry_delay=datetime.timedelta(seconds=0.2))
def shaky(x):
    if prefect.context.task_run_count < 3:
        raise RuntimeError("not yet")
    return x


@task
def skips():
    raise SKIP("not today")


@task
def is_even(n):
    return n % 2 == 0


@task
def even():
    return "even"


@task
def odd():
    return "odd"


@task
def boom():
    raise ValueError("no way")


@task
def after(x):
    return x


with Flow("everything", state_handlers=[handler]) as everything:
    everything.executor = DaskExecutor(address="tcp://127.0.0.1:1", client_kwargs={"name": "mine"})
    n = Parameter("n")
    total = shaky.map(double.map(numbers(n)))
    skips()
    with case(is_even(n), True):
        even()
    with case(is_even(n), False):
        odd()

with Flow("fails", state_handlers=[handler]) as fails:
    after(boom())
