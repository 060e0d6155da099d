from prefect import flow, task


@task
def ok(x):
    return x


@task
def boom(x):
    raise ValueError("bad row %s" % x)


@flow
def fail(n: int = 2):
    rows = boom.map(ok.map(list(range(n))))
    return [row.result() for row in rows]


@flow
def broken():
    raise KeyError("no such thing")
