"""Flows that exist only while the script runs, an async one, retries, a cached task, an unguarded call."""

import asyncio
import sys

from prefect import flow, task


@task
def double(x):
    return 2 * x


@flow
async def later(n: int = 3):
    futures = [double.submit(i) for i in range(n)]
    found = []
    for future in futures:
        result = future.result()
        found.append(await result if asyncio.iscoroutine(result) else result)
    return sum(found)


ATTEMPTS = []


@task(retries=2, retry_delay_seconds=0.1)
def shaky():
    from prefect.context import TaskRunContext

    if TaskRunContext.get().task_run.run_count < 2:
        raise RuntimeError("not yet")
    return "at last"


@flow
def retrying():
    return shaky.submit().result()


def make():
    @flow
    def inner(n: int):
        return double.submit(n).result()

    return inner


if __name__ == "__main__":
    print("script says", make()(21), sys.argv[1:])
    print("script goes on")
