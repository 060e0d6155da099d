"""Tasks that do not end: a Python loop, a sleep, a child process."""

import subprocess
import time

from distributed import Client


def busy():
    while True:
        pass


def asleep():
    time.sleep(1000)


def with_child():
    subprocess.call(["sleep", "1000"])


if __name__ == "__main__":
    client = Client()
    futures = [client.submit(f) for f in (busy, asleep, with_child)]
    print("submitted", flush=True)
    client.gather(futures)
