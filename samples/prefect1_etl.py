"""The same in Prefect 1. It needs an interpreter with `prefect<2` and `distributed` (see README.md)."""

import time

from prefect import Flow, Parameter, task


@task
def extract(pages):
    """The numbers of the pages to work on."""
    return list(range(pages))


@task
def transform(page):
    """A second of work for each page."""
    time.sleep(1)
    return page * page


@task
def load(rows):
    """All rows together."""
    print(f"loaded {len(rows)} rows, the sum is {sum(rows)}")
    return sum(rows)


with Flow("etl-1") as flow:
    pages = Parameter("pages", default=12)
    load(transform.map(extract(pages)))


if __name__ == "__main__":
    flow.run()
