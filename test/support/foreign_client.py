"""Somebody else at work on a scheduler: `foreign_client.py ADDRESS NAME COUNT PATH`.

Submits tasks that end when the path is there, says so on stdout, and stays connected until its stdin closes.
"""

# ruff: noqa: T201 - stdout is how it answers

import os
import sys
import time

from distributed import Client


def hold(i, path):
    while not os.path.exists(path):
        time.sleep(0.02)


if __name__ == "__main__":
    address, name, count, path = sys.argv[1:]
    client = Client(address)
    futures = [client.submit(hold, i, path, key=f"{name}-{i}") for i in range(int(count))]
    print("ready", flush=True)
    sys.stdin.read()
    client.close()
