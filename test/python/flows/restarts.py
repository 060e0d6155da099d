"""Waits for the cluster to shrink to one worker, restarts that, then retires it."""

import time

from distributed import Client

if __name__ == "__main__":
    client = Client()
    for _ in range(200):
        if len(client.scheduler_info()["workers"]) == 1:
            break
        time.sleep(0.05)
    client.restart()
    client.wait_for_workers(1)
    client.retire_workers()
