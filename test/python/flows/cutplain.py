"""Tasks of a second whose results are large; says how many came, whether they are right, and how many were begun."""

import os
import time

from distributed import Client, as_completed

TASKS = 16
LENGTH = 2_000_000


def large(x):
    with open(os.environ["MARKS"], "a") as file:
        file.write("start %s\n" % x)
    time.sleep(1)
    return bytes([x]) * LENGTH


def begun():
    with open(os.environ["MARKS"]) as file:
        return len(file.readlines())


if __name__ == "__main__":
    client = Client()
    results = [result for _, result in as_completed(client.map(large, range(TASKS), pure=False), with_results=True)]
    right = sorted(results) == [bytes([x]) * LENGTH for x in range(TASKS)]
    print("results", len(results), right, "begun", sum(client.run(begun).values()))
