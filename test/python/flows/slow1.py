import os
import time

from prefect import Flow, task


def mark(text):
    with open(os.environ["MARKS"], "a") as file:
        file.write(text + "\n")


@task
def slow(x):
    mark("start %s" % x)
    time.sleep(1)
    mark("end %s" % x)
    return x


with Flow("slow") as flow:
    slow.map(list(range(8)))
