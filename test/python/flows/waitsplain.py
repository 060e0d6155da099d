"""Tasks that end when a file is there, whose path and number the environment tells."""

import os
import time

from distributed import Client


def job(i, path):
    while not os.path.exists(path):
        time.sleep(0.02)


if __name__ == "__main__":
    client = Client()
    client.gather(client.map(job, range(int(os.environ["JOBS"])), path=os.environ["UNTIL"], pure=False))
