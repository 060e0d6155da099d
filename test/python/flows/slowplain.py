import os
import time

from distributed import Client


def mark(text):
    with open(os.environ["MARKS"], "a") as file:
        file.write(text + "\n")


def slow(x):
    mark("start %s" % x)
    time.sleep(1)
    mark("end %s" % x)
    return x


if __name__ == "__main__":
    client = Client()
    client.gather(client.map(slow, range(8), pure=False))
    print("not reached when stopped")
