import tasks
from library.rows import Size
from prefect import flow, task


@task
def double(n):
    return tasks.double(n)


@task
def tell(row):
    from library import late

    return "%s %d" % (tasks.tell(row), late.factor())


version = task(tasks.version, name="version")


@flow
def main(n: int = 21):
    row = double.submit(n).result()
    return [row.size is Size.LARGE, tell.submit(row).result(), version.submit().result()]
