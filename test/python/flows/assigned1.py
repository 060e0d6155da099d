"""Prefect 1: a flow whose name is computed, run by one call with an executor; another runs before it."""

from prefect import Flow, task
from prefect.executors import LocalDaskExecutor

NAME = "etl.v%d" % 2


@task(log_stdout=True)
def say():
    print("got 2", flush=True)


with Flow("before") as before:
    pass

with Flow(NAME) as etl:
    say()

if __name__ == "__main__":
    before.run()
    etl.run(executor=LocalDaskExecutor(scheduler="threads", num_workers=2))
    print("the script goes on", flush=True)
