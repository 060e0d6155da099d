"""The run's line to the extension: events out, `go` and `stop` in."""

import threading
import time

from ..belongings import watch_pipe
from ..lines import LineWriter

BATCH_SECONDS = 0.05


class Channel:
    """Safe to use from any thread. `on_stop` is called once, in a thread of its own, whenever it is set."""

    def __init__(self, connection, on_end):
        self._connection = connection
        self._writer = LineWriter(connection.fileno())
        self._tasks = []
        self._filled = threading.Event()
        self._flushing = threading.Lock()
        self._go = threading.Event()
        self._order = None
        self.stopping = threading.Event()
        self._stop_lock = threading.Lock()
        self._on_stop = None
        watch_pipe(connection.recv, self._hear, on_end)
        threading.Thread(target=self._pump, daemon=True, name="flow-clusters-events").start()

    def send(self, event, **fields):
        self.flush()
        return self._writer.send(dict(event=event, **fields))

    def stage(self, name):
        self.send("stage", stage=name)

    def note(self, text):
        self.send("note", text=text)

    def task(self, **fields):
        """Adds one task event to the batch; the first of a batch goes out at once."""
        fields.setdefault("time", time.time())
        with self._flushing:
            self._tasks.append(fields)
        self._filled.set()

    def flush(self):
        with self._flushing:
            tasks, self._tasks = self._tasks, []
            if tasks:
                self._writer.send({"event": "tasks", "tasks": tasks})

    def _pump(self):
        while True:
            self._filled.wait()
            self._filled.clear()
            self.flush()
            time.sleep(BATCH_SECONDS)

    def wait_for_go(self):
        """Blocks till the cluster is there. None when the run was stopped before."""
        while not self._go.wait(0.5):
            if self.stopping.is_set():
                return None
        return self._order

    def _hear(self, message):
        if message.get("op") == "go":
            self._order = message
            self._go.set()
        elif message.get("op") == "stop":
            self.stop()

    def stop(self):
        """Gentle cancel, asked for by the user or because the editor has gone."""
        with self._stop_lock:
            if self.stopping.is_set():
                return
            self.stopping.set()
            call = self._on_stop
        self._start(call)

    def when_stopped(self, call):
        """What a stop does from now on."""
        with self._stop_lock:
            self._on_stop = call
            late = self.stopping.is_set()
        if late:
            self._start(call)

    def _start(self, call):
        if call:
            threading.Thread(target=call, daemon=True, name="flow-clusters-stop").start()
