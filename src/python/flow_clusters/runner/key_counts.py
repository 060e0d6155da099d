"""Counts the tasks of a plain script on a scheduler that is not ours, where nobody of us sits: it is asked for states.

It is only read. How often it is asked goes by how many keys are not finished: each is asked for in its turn, at a
fixed rate. What the script's own clients hear is taken as it comes, and costs the scheduler nothing.
"""

import asyncio
import collections
import contextlib
import inspect
import threading
import time

from . import graph_keys
from .key_table import KeyTable

LOOK_SECONDS = 0.25
KEYS_PER_SECOND = 2000
LONGEST_PAUSE = 5
MOST_AT_ONCE = 5000
MOST_KEYS = 100_000  # of graphs beyond, only what futures are held of is counted
SETTLE_SECONDS = 3
THREADS_SECONDS = 10
_ENDS = {"memory": "completed", "erred": "failed"}


class KeyCounts:
    """`say(groups={name: {state: count}})` is called when they have changed, at most four times a second."""

    def __init__(self, scheduler, say):
        self._scheduler = scheduler
        self._say = say
        self._new = collections.deque()  # graphs whose keys are still to be found out
        self._table = KeyTable(graph_keys.group_of)
        self._lock = threading.RLock()  # of the table
        self._finding = threading.Lock()
        self._telling = threading.Lock()
        self._wake = threading.Event()
        self._threads, self._threads_heard = 0, 0.0
        threading.Thread(target=self._watch, daemon=True, name="flow-clusters-counts").start()

    # -- what the clients of the script do and hear ----------------------------------------------------------------

    @contextlib.contextmanager
    def hearing(self):
        """While this is entered, it is told by every client of this process."""
        from distributed import Client

        counts = self
        names = ("_handle_key_in_memory", "_handle_task_erred", "_release_key", "_close")
        in_memory, erred, release, close = originals = [getattr(Client, name) for name in names]

        def handle_key_in_memory(client, key=None, *args, **kwargs):
            counts._hear("ended", key, "completed")
            return in_memory(client, key, *args, **kwargs)

        def handle_task_erred(client, key=None, *args, **kwargs):
            counts._hear("ended", key, "failed")
            return erred(client, key, *args, **kwargs)

        def release_key(client, key):
            counts._hear("released", key)
            return release(client, key)

        async def close_client(client, *args, **kwargs):
            if client.status in ("running", "closing"):  # what it wants is forgotten with it
                await asyncio.get_running_loop().run_in_executor(None, counts.settle)
            return await close(client, *args, **kwargs)

        replaced = (handle_key_in_memory, handle_task_erred, release_key, close_client)
        for name, function in zip(names, replaced):
            setattr(Client, name, function)
        try:
            yield self
        finally:
            for name, function in zip(names, originals):
                setattr(Client, name, function)

    def _hear(self, what, *args):
        with self._lock:
            getattr(self._table, what)(*args)
        self._wake.set()

    def submitted(self, client, graph, futures):
        """A graph has been sent. Its other keys are found out later: that may take a while."""
        with self._lock:
            entry = self._table.add([graph_keys.scheduler_key(key) for key in futures])
            self._new.append((entry, graph, list(futures)))
        self._wake.set()

    # -- what the scheduler is asked -------------------------------------------------------------------------------

    def _watch(self):
        asked = 0.0
        while True:
            self._wake.wait(LOOK_SECONDS if self._busy() else None)
            self._wake.clear()
            self._find_keys()
            pause = min(max(self._table.open_count / KEYS_PER_SECOND, LOOK_SECONDS), LONGEST_PAUSE)
            if time.monotonic() - asked >= pause:
                self._look(int(KEYS_PER_SECOND * pause))
                self._make_sure()
                asked = time.monotonic()
            self._tell()
            time.sleep(LOOK_SECONDS)

    def _busy(self):
        with self._lock:
            return self._new or self._table.open_count or self._table.unsure or self._table.changed

    def _find_keys(self):
        with self._finding:
            while self._new:
                entry, graph, wanted = self._new.popleft()
                keys = graph_keys.keys_of(graph, wanted) if len(self._table) < MOST_KEYS else ()
                with self._lock:
                    self._table.add_keys(entry, keys)

    def _look(self, most):
        """Takes over the states of open keys, at most so many."""
        with self._lock:
            chosen = self._table.next_keys(most)
        for keys in _chunks(chosen):
            states = self._ask("get_task_status", keys=keys)
            if states is None:
                return
            with self._lock:
                self._table.take(states)

    def _make_sure(self, deadline=None):
        """Of what the scheduler does not know any more, and may not have computed, it has a record for a while."""
        with self._lock:
            unsure = list(self._table.unsure)
        for keys in _chunks(unsure):
            if deadline and time.monotonic() > deadline:
                return
            story = self._ask("get_story", **{_story_parameter(): keys})
            if story is None:
                return
            with self._lock:
                self._table.decide(keys, {step[0]: _ENDS[step[2]] for step in story if step[2] in _ENDS})

    def _ask(self, op, **fields):
        try:
            return self._scheduler.ask(op, **fields)
        except Exception:
            return None  # it is busy, or it has gone: then the run ends for that

    def settle(self, over=False):
        """Makes the counts exact, within limits. `over`: what is still open now never will be done."""
        deadline = time.monotonic() + SETTLE_SECONDS
        self._find_keys()
        self._look(MOST_KEYS)
        if over:
            with self._lock:
                self._table.give_up()
        self._make_sure(deadline)
        self._tell()

    # -- telling ---------------------------------------------------------------------------------------------------

    def _tell(self):
        with self._telling:
            with self._lock:
                changed, self._table.changed = self._table.changed, False
            if changed:
                threads = self._all_threads()
                with self._lock:
                    groups = self._table.shown(threads)
                self._say(groups=groups)

    def _all_threads(self):
        if time.monotonic() - self._threads_heard > THREADS_SECONDS:
            self._threads = sum((self._ask("ncores") or {}).values()) or self._threads or 1
            self._threads_heard = time.monotonic()
        return self._threads


def _chunks(items, size=MOST_AT_ONCE):
    return [items[i : i + size] for i in range(0, len(items), size)]


def _story_parameter():
    """`keys` at first, `keys_or_stimuli` since 2022.6."""
    from distributed import Scheduler

    return list(inspect.signature(Scheduler.get_story).parameters)[1]
