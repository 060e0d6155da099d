from prefect import Flow, task


@task
def ok(x):
    return x


@task
def boom(x):
    raise ValueError("bad row %s" % x)


@task
def after(xs):
    return xs


with Flow("fail") as flow:
    after(boom.map(ok.map([1, 2])))
