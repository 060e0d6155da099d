"""Counts the tasks of plain Dask runs on a cluster of ours, exactly: it sits in the scheduler."""

import re
from collections import Counter
from heapq import nsmallest
from itertools import islice

EMIT_SECONDS = 0.2
LOOKED_AT = 1000  # of the tasks that one worker holds
_TAG = re.compile(r"fcrun-(\w+)-")
_ENDS = {"memory": "completed", "erred": "failed"}


def client_name(run, name=None):
    """The name by which a run's clients are known here; Dask makes it part of the client's id."""
    return "fcrun-%s-%s" % (run, name or "script")


def install(scheduler, loop, say):
    """`say(run=…, groups={name: {state: count}})` is called on `loop`, at most five times a second per run."""
    scheduler.add_plugin(_plugin_class()(scheduler, loop, say))


def _plugin_class():
    from distributed.diagnostics.plugin import SchedulerPlugin
    from distributed.utils import key_split

    class TaskCounts(SchedulerPlugin):
        name = "flow-clusters-task-counts"

        def __init__(self, scheduler, loop, say):
            self._scheduler = scheduler
            self._loop = loop
            self._say = say
            self._runs = {}  # run -> group -> state -> count
            self._tasks = {}  # key -> [run, group, state]
            self._changed = set()
            self._said = {}  # run -> what was said last
            self._freed = False
            self._waiting = False

        def update_graph(self, scheduler, client=None, tasks=(), **kwargs):
            tag = _TAG.search(client or "")
            if tag is None:
                return
            for key in tasks:  # a dict by key before 2023.5
                self._begin(tag.group(1), key)

        def transition(self, key, start, finish, *args, **kwargs):
            task = self._tasks.get(key)
            if task is None:
                if start == "processing" and self._runs:
                    self._freed = True  # a thread, for which one of ours may have waited
                    self._emit_soon()
                return
            if finish == "forgotten":
                if task[2] in ("submitted", "running"):  # nobody wants it any more
                    self._move(task, "cancelled")
                del self._tasks[key]  # its count stays; the same key again is another task
            elif finish in _ENDS:
                self._move(task, _ENDS[finish])
            elif finish == "processing":
                self._move(task, "running")
            elif finish in ("waiting", "queued", "no-worker"):
                self._move(task, "submitted")

        def remove_client(self, scheduler, client=None, **kwargs):
            self._emit()  # the script's end: its last counts before the cluster goes

        def _begin(self, run, key):
            if key in self._tasks:
                return
            group = key_split(key)
            state = getattr(self._scheduler.tasks.get(key), "state", "waiting")
            task = self._tasks[key] = [run, group, None]
            self._move(task, _ENDS.get(state, "running" if state == "processing" else "submitted"))

        def _move(self, task, state):
            run, group, old = task
            counts = self._runs.setdefault(run, {}).setdefault(group, {})
            if old is not None:
                counts[old] -= 1
            counts[state] = counts.get(state, 0) + 1
            task[2] = state
            self._changed.add(run)
            self._emit_soon()

        def _emit_soon(self):
            if not self._waiting:
                self._waiting = True
                self._loop.call_later(EMIT_SECONDS, self._emit)

        def _emit(self):
            self._waiting = False
            changed, self._changed = self._changed, set()
            if self._freed:
                self._freed = False
                changed.update(
                    run for run, groups in self._runs.items() if any(c.get("running") for c in groups.values())
                )
            turns = self._turns()
            for run in changed:
                shown = self._at_work(run, self._runs[run], turns)
                if shown != self._said.get(run):
                    self._said[run] = shown
                    self._say(run=run, groups=shown)

        def _turns(self):
            """A worker is handed more than it has threads for, and of that does what comes first by priority."""
            turns = Counter()
            for worker in self._scheduler.workers.values():
                held = islice(worker.processing, LOOKED_AT)
                for ts in nsmallest(worker.nthreads, held, key=lambda ts: ts.priority or ()):
                    run, group, _ = self._tasks.get(ts.key, (None, None, None))
                    turns[run, group] += 1
            return turns

        def _at_work(self, run, groups, turns):
            """What cannot be running is shown as submitted."""
            shown = {}
            for group, counts in groups.items():
                running = min(counts.get("running", 0), turns[run, group])
                waiting = counts.get("submitted", 0) + counts.get("running", 0) - running
                shown[group] = {k: n for k, n in dict(counts, running=running, submitted=waiting).items() if n}
            return shown

    return TaskCounts
