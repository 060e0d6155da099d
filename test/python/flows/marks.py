"""Tasks that write down when they start and end, and on which worker; results are held till a line is read."""

import os
import sys
import time

from distributed import Client, get_worker


def work(x, seconds, marks):
    name = get_worker().name
    for what in ("start", "end"):
        with open(marks, "a") as file:
            file.write("%s %s %s\n" % (what, x, name))
        if what == "start":
            time.sleep(seconds)


if __name__ == "__main__":
    count, seconds, marks = int(os.environ["COUNT"]), float(os.environ["SECONDS"]), os.environ["MARKS"]
    client = Client()
    futures = client.map(work, range(count), seconds=seconds, marks=marks, pure=False)
    client.gather(futures)
    if os.environ.get("HOLD"):
        print("holding", flush=True)
        sys.stdin.readline()
