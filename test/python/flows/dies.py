"""Takes its worker with it: `HOW` is `kill`, `exit`, `memory` (each the first time only) or `always`."""

import os
import signal
import sys
import time

from distributed import Client


def hog():
    kept = []
    while True:
        kept.append(bytearray(b"x") * (16 * 1024 * 1024))
        time.sleep(0.02)


def deadly(how, mark):
    time.sleep(0.3)  # till its nanny has seen it start
    if how != "always":
        if os.path.exists(mark):
            return "done"
        with open(mark, "w"):
            pass
    if how == "memory":
        hog()
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    client = Client()
    how = os.environ["HOW"]
    print(client.submit(deadly, how, os.environ["MARKS"]).result(), flush=True)
    sys.exit(0)
