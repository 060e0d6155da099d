"""Tasks that write down when they start and end, and on which worker; results are held till a line is read.

They end after some seconds, and where `UNTIL` names a file, not before that is there.
"""

import os
import sys
import time

from distributed import Client, get_worker


def work(x, seconds, marks, until):
    name = get_worker().name
    for what in ("start", "end"):
        with open(marks, "a") as file:
            file.write("%s %s %s\n" % (what, x, name))
        if what == "start":
            time.sleep(seconds)
            while until and not os.path.exists(until):
                time.sleep(0.02)


if __name__ == "__main__":
    count, seconds, marks = int(os.environ["COUNT"]), float(os.environ["SECONDS"]), os.environ["MARKS"]
    client = Client()
    options = {"seconds": seconds, "marks": marks, "until": os.environ.get("UNTIL")}
    futures = client.map(work, range(count), pure=False, **options)
    client.gather(futures)
    if os.environ.get("HOLD"):
        print("holding", flush=True)
        sys.stdin.readline()
