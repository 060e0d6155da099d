"""Another client of a cluster, busy with tasks of its own: run by the cluster's interpreter.

`busy_client.py <address> <marks>`. Says how many of its tasks are done, a number a line; ends when its stdin does,
then says `done` if each of its tasks ran once.
"""

# ruff: noqa: T201 - stdout is how it answers

import sys
import threading
import time

from distributed import Client


def work(number, marks):
    with open(marks, "a") as file:
        file.write("other %d\n" % number)
    time.sleep(0.1)
    return number


def main(address, marks):
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    done = 0
    waiting = []
    with Client(address) as client:
        while not over.is_set() or waiting:
            while len(waiting) < 3 and not over.is_set():
                waiting.append(client.submit(work, done + len(waiting), marks, pure=False, priority=1))
            assert waiting.pop(0).result() == done
            done += 1
            print(done, flush=True)
    with open(marks) as file:
        numbers = sorted(int(line.split()[1]) for line in file)
    print("done" if numbers == list(range(done)) else "bad")


if __name__ == "__main__":
    main(*sys.argv[1:])
