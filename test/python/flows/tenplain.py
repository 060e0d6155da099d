"""One of several that share a cluster: short tasks, with marks."""

import os
import time

from distributed import Client

MARKS, WHO = os.environ.get("MARKS"), os.environ.get("WHO")


def mark(text):
    with open(MARKS, "a") as file:
        file.write("%s %s\n" % (WHO, text))


def piece(x):
    mark("start %s" % x)
    time.sleep(0.25)
    mark("end %s" % x)
    if WHO == "fails" and x == 3:
        raise ValueError("bad piece")


if __name__ == "__main__":
    client = Client()
    client.gather(client.map(piece, range(int(os.environ["COUNT"])), pure=False))
