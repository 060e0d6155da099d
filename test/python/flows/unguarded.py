from prefect import flow, task


@task
def square(x):
    return x * x


@flow
def ng(n):
    return [future.result() for future in square.map(list(range(n)))]


print("RESULT", ng(3))
