"""Why workers of a cluster of ours die: nannies and scheduler live in this process and know.

A worker that was asked to go (scaled down, retired, restarted by a client, closed with its cluster) is no death.
"""

import signal
import time

REMEMBERED = 50
QUIET_SECONDS = 5
SHOWN_TASKS = 3


class WorkerDeaths:
    """`say(what=…, message=…[, worker=address, name=…])` is called on the cluster's event loop; `what` is

    `died` (its nanny starts another), `restarted` (it did), `lost` (nobody comes back), `gave-up` (a task that
    has taken too many workers with it fails now).
    """

    def __init__(self, say):
        self._say = say
        self._scheduler = None
        self._names = {}  # address → name
        self._addresses = {}  # name → address: a nanny learns it later than the scheduler
        self._dead = set()  # names of those whose nanny starts another
        self._processing = {}  # address → keys that it had when it left
        self._given_up = {}  # task prefix → when that was last said

    def install(self, scheduler):
        self._scheduler = scheduler
        scheduler.add_plugin(_plugin_class()(self))

    def nanny_class(self):
        """Dask's own nanny, which also tells how its worker's process ended."""
        return _nanny_class(self)

    # -- told by nannies -----------------------------------------------------------------------------------

    def died(self, nanny, how):
        self._dead.add(nanny.name)
        message = "worker %s %s%s" % (nanny.name, how, self._while(self._address(nanny)))
        self._tell("died", nanny, message)

    def not_started(self, nanny, why):
        if nanny.name in self._dead:
            self._dead.discard(nanny.name)
            self._tell("lost", nanny, "worker %s could not be restarted: %s" % (nanny.name, why))

    def _tell(self, what, nanny, message):
        self._say(what=what, worker=self._address(nanny), name=str(nanny.name), message=message)

    def _address(self, nanny):
        return nanny.worker_address or self._addresses.get(nanny.name)

    def _while(self, address):
        """What it was doing: the scheduler may or may not have noticed its end before its nanny has."""
        from distributed.utils import key_split

        state = self._scheduler.workers.get(address) if self._scheduler else None
        keys = [task.key for task in state.processing] if state else self._processing.get(address, ())
        names = sorted({key_split(key) for key in keys})
        if not names:
            return ""
        more = ", …" if len(names) > SHOWN_TASKS else ""
        return " while working on %s%s" % (", ".join(names[:SHOWN_TASKS]), more)

    # -- told by the scheduler -----------------------------------------------------------------------------

    def came(self, address):
        name = self._scheduler.workers[address].name
        self._remember(self._names, address, name)
        self._remember(self._addresses, name, address)
        if name in self._dead:
            self._dead.discard(name)
            self._say(what="restarted", worker=address, name=str(name), message="worker %s was restarted" % name)

    def left(self, address, stimulus_id):
        if stimulus_id.startswith("check-worker-ttl"):
            name = self._names.get(address, address)
            minutes = (self._scheduler.worker_ttl or 0) / 60
            message = "worker %s was not heard of for %g minutes and was removed" % (name, round(minutes, 1))
            self._say(what="lost", worker=address, name=str(name), message=message)

    def left_with(self, address, keys):
        self._remember(self._processing, address, list(keys))

    def task_erred(self, key):
        from distributed.utils import key_split

        task = self._scheduler.tasks.get(key)
        if task is None or task.suspicious <= self._scheduler.allowed_failures:
            return
        prefix, now = key_split(key), time.monotonic()
        if now - self._given_up.get(prefix, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self._remember(self._given_up, prefix, now)
        message = "task %s was given up: %d workers have died while working on it" % (prefix, task.suspicious)
        self._say(what="gave-up", message=message)

    @staticmethod
    def _remember(table, key, value):
        table[key] = value
        while len(table) > REMEMBERED:
            del table[next(iter(table))]


def _nanny_class(deaths):
    from distributed import Nanny as DaskNanny
    from distributed.core import Status

    class Nanny(DaskNanny):  # its name is in Dask's log lines
        _flow_clusters_asked = False  # it is ending its worker because somebody wants it to
        _flow_clusters_terminated = -1  # the process that the memory manager has ended last

        async def kill(self, *args, **kwargs):
            self._flow_clusters_asked = True
            try:
                return await super().kill(*args, **kwargs)
            finally:
                self._flow_clusters_asked = False

        def _on_worker_exit_sync(self, exitcode):
            alive = self.status in (Status.init, Status.starting, Status.running)
            if alive and not self._flow_clusters_asked:
                deaths.died(self, self._flow_clusters_how(exitcode))
            super()._on_worker_exit_sync(exitcode)

        def _flow_clusters_how(self, exitcode):
            manager = getattr(self, "memory_manager", None)
            terminated = getattr(manager, "_last_terminated_pid", -1)
            if terminated != self._flow_clusters_terminated:
                self._flow_clusters_terminated = terminated
                return _over_memory(manager)
            return exit_text(exitcode)

        async def instantiate(self):
            try:
                return await super().instantiate()
            except Exception as error:
                deaths.not_started(self, str(error) or type(error).__name__)
                raise

    return Nanny


def _over_memory(manager):
    from dask.utils import format_bytes

    limit = format_bytes(manager.memory_limit).replace(".00", "")
    return "exceeded %.0f %% of its memory limit (%s)" % (manager.memory_terminate_fraction * 100, limit)


def exit_text(exitcode):
    """How a process ended, by its exit code as `multiprocessing` gives it (negative: a signal; 255: not known)."""
    if exitcode == 255:
        return "was ended by an unknown signal"
    if exitcode >= 0:
        return "ended by itself (exit code %d)" % exitcode
    number = -exitcode
    if number == getattr(signal, "SIGKILL", 9):
        return "was killed (signal %d)" % number
    try:
        name = signal.Signals(number).name
    except ValueError:
        return "was ended by signal %d" % number
    names = {"SIGSEGV": "segmentation fault", "SIGABRT": "aborted", "SIGBUS": "bus error", "SIGTERM": "terminated"}
    how = "crashed" if name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE") else "was ended"
    return "%s (signal %d, %s)" % (how, number, names.get(name, name))


def _plugin_class():
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Deaths(SchedulerPlugin):
        name = "flow-clusters-worker-deaths"

        def __init__(self, deaths):
            self._deaths = deaths

        def add_worker(self, scheduler, worker):
            self._deaths.came(worker)

        def remove_worker(self, scheduler, worker, stimulus_id="", **kwargs):  # no stimulus before 2023.7
            self._deaths.left(worker, stimulus_id)

        def log_event(self, topic, msg):
            if topic == "all" and isinstance(msg, dict) and msg.get("action") == "remove-worker":
                self._deaths.left_with(msg.get("worker"), msg.get("processing-tasks") or ())

        def transition(self, key, start, finish, *args, **kwargs):
            if finish == "erred" and start == "processing":
                self._deaths.task_erred(key)

    return Deaths
