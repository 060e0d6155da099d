"""Prefect 2 and 3: tasks that end when a file is there."""

import os
import time

from prefect import flow, task


@task
def work(path):
    while not os.path.exists(path):
        time.sleep(0.02)


@flow
def waits(path: str, n: int):
    return [future.result() for future in work.map([path] * n)]
