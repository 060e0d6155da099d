"""Prefect 3: flows and tasks that yield, tasks called like functions, a task runner that a subflow insists on."""

import asyncio

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner


@task
def square(x):
    return x * x


@task
def count(n):
    yield from range(n)


@flow
def numbers(n: int = 3):
    for i in count(n):
        yield square.submit(i).result()


@flow
async def numbers_later(n: int = 3):
    for i in range(n):
        yield square.submit(i).result()


@flow
def breaks_off():
    yield square.submit(2).result()
    raise KeyError("broken")


@task(retries=1)
def shaky():
    from prefect.context import TaskRunContext

    if TaskRunContext.get().task_run.run_count < 2:
        raise RuntimeError("not yet")


@flow
def called():
    shaky()
    return square(3)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
def insists():
    return square.submit(4).result()


@flow
def around():
    return insists()


if __name__ == "__main__":
    print("first of", next(iter(numbers(4))), "all of", list(numbers(4)))
    asyncio.run(numbers_later().__anext__())
