"""A flow that fails: how a failure is shown, with a traceback whose lines can be clicked."""

from prefect import flow, task


@task
def share(total: int, people: int) -> float:
    """Divides without looking."""
    return total / people


@flow
def ledger(people: tuple[int, ...] = (3, 2, 1, 0)) -> list[float]:
    """The last one has nobody to share with."""
    return share.map(100, list(people)).result()


if __name__ == "__main__":
    ledger()
