"""Runs a plain script on a scheduler without a host: for a Dask that is too old for a cluster of its own here.

`bare_runner.py <file> <order as JSON>`, by the interpreter in question. Writes what the runner says to stderr, a JSON
line each; stops it when the file that STOP names is there.
"""

# ruff: noqa: T201 - stderr is how it answers

import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "python"))

from flow_clusters.runner import main, plain
from flow_clusters.runner.connection import Connection
from flow_clusters.runner.scheduler import Scheduler
from flow_clusters.runner.travel import Travel


class Channel:
    def __init__(self):
        self.stopping = threading.Event()
        self._on_stop = None
        self._speaking = threading.Lock()  # two threads speak, and print writes the end of a line apart from its text

    def send(self, event, **fields):
        with self._speaking:
            print(json.dumps(dict(event=event, **fields)), file=sys.stderr, flush=True)

    def stage(self, name):
        self.send("stage", stage=name)

    def note(self, text):
        self.send("note", text=text)

    def when_stopped(self, call):
        self._on_stop = call
        if os.environ.get("STOP"):
            threading.Thread(target=self._stop_in_time, daemon=True).start()

    def _stop_in_time(self):
        while not os.path.exists(os.environ["STOP"]):
            time.sleep(0.02)
        self.stopping.set()
        self._on_stop()


def go(file, order):
    folder = os.path.dirname(file)
    run = main.Run({"run": "bare", "file": file, "workspace": folder})
    run.channel = Channel()
    run.connection = Connection(order)
    run.connection.reach()
    run.scheduler = Scheduler(run.connection.address, lambda: run.connection.security)
    prepared = plain.prepare(run)
    run._go_through = lambda: plain.run(run, prepared, order)
    with run.submissions.watched(), Travel(folder, run.channel.note).installed():
        os._exit(run.live())


if __name__ == "__main__":
    go(sys.argv[1], json.loads(sys.argv[2]))
