from prefect import Flow, task


@task
def double(x):
    return 2 * x


def make():
    with Flow("inner") as flow:
        double(21)
    return flow


if __name__ == "__main__":
    state = make().run()
    print("script says", state.is_successful())
    print("script goes on")
