"""Closes a worker to new tasks, waits till somebody lets it go on, then uses it."""

import time

from distributed import Client

if __name__ == "__main__":
    client = Client()
    worker = next(iter(client.scheduler_info()["workers"]))
    client.retire_workers(workers=[worker], close_workers=False, remove=False)
    task = client.submit(abs, -7, workers=[worker], pure=False)
    time.sleep(0.5)
    print("closed", worker, task.status, flush=True)
    print("result", task.result())
