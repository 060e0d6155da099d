"""As cancels.py, for Prefect 1."""

import datetime
import os
import time

from prefect import Flow, task

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


@task(max_retries=3, retry_delay=datetime.timedelta(seconds=30))
def shaky():
    mark("start shaky")
    mark("end shaky")
    raise RuntimeError("not yet")


with Flow("mapped") as mapped:
    slow.map(list(range(40)))

with Flow("holding") as holding:
    held.map(list(range(40)))

with Flow("chained") as chained:
    after.map(slow.map(list(range(40))))

with Flow("retrying") as retrying:
    shaky()
