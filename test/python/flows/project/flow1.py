import tasks
from prefect import Flow, task

double = task(tasks.double)
version = task(tasks.version)


@task
def tell(row):
    from library import late

    text = "%s %d" % (tasks.tell(row), late.factor())
    print("told", text)
    return text


@task
def show(text):
    print("version", text)


with Flow("main") as main:
    tell(double(21))
    show(version())
