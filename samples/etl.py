"""Extract, transform, load: about twenty tasks, for a look at a cluster at work."""

import random
import time

from prefect import flow, task


@task
def extract(pages: int) -> list[int]:
    time.sleep(0.5)
    return list(range(pages))


@task
def transform(page: int) -> int:
    time.sleep(random.uniform(0.6, 1.4))  # the cluster does several at once
    return page * page


@task
def load(rows: list[int]) -> int:
    print(f"loaded {len(rows)} rows, the sum is {sum(rows)}")
    return sum(rows)


@flow(log_prints=True)
def etl(pages: int = 18) -> int:
    """Nothing here knows of Dask: what runs the flow decides where its tasks go."""
    found = extract.submit(pages)
    rows = transform.map(found.result())
    return load.submit(rows).result()


if __name__ == "__main__":
    etl()
