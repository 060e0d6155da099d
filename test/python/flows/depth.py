"""Prefect 2 and 3: what flows are made of, on whatever task runner."""

import asyncio
import time

from prefect import flow, task
from prefect.context import FlowRunContext
from prefect_dask import DaskTaskRunner


@task
def double(x):
    time.sleep(0.3)
    return 2 * x


@task(retries=2, retry_delay_seconds=0.2)
def shaky(x):
    from prefect.context import TaskRunContext

    if TaskRunContext.get().task_run.run_count < 3:
        raise RuntimeError("not yet")
    return x


@task(persist_result=True, cache_key_fn=lambda context, parameters: "once-%s" % parameters["x"])
def once(x):
    return x


@task
def boom():
    raise ValueError("no way")


def hook(flow, flow_run, state):
    print("hook of %s: %s" % (flow.name, state.name))


@flow(on_completion=[hook])
def child(numbers: list):
    return [future.result() for future in double.map(numbers)]


@flow(
    task_runner=DaskTaskRunner(address="tcp://127.0.0.1:1", client_kwargs={"name": "mine"}),
    on_completion=[hook],
    on_failure=[hook],
)
def everything(n: int, key: str):
    print("client of", FlowRunContext.get().task_runner.client_kwargs["name"])
    numbers = child([1, n])
    first = once.submit(key)
    first.wait()
    again = once.submit(key, wait_for=[first])
    return [numbers, shaky.submit(7).result(), again.result()]


@flow
async def both():
    return await asyncio.gather(grandchild(1), grandchild(2))


@flow
async def grandchild(x: int):
    result = double.submit(x).result()
    return await result if asyncio.iscoroutine(result) else result


@flow(on_failure=[hook])
def fails():
    boom.submit().result()
