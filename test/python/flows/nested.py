"""Prefect 3: a task that submits tasks, from the worker that it runs on."""

from prefect import flow, task


@task
def inner(x):
    return x + 1


@task
def outer(n):
    return sum(future.result() for future in [inner.submit(i) for i in range(n)])


@flow
def outside(n: int = 2):
    return outer.submit(n).result()
