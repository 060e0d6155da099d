"""A plain Dask script: its tasks go to the cluster that it is run on."""

import time

import dask
from dask import delayed


@delayed
def square(number: int) -> int:
    """Half a second of work."""
    time.sleep(0.5)
    return number * number


@delayed
def total(numbers: list[int]) -> int:
    """All of them together."""
    return sum(numbers)


if __name__ == "__main__":
    (answer,) = dask.compute(total([square(number) for number in range(20)]))
    print(f"the sum of the squares is {answer}")
