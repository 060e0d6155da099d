"""One cluster: stock `LocalCluster` in a process of its own."""

import asyncio
import errno
import os
import sys
import time
import traceback

from . import belongings, learned, task_counts
from .lines import LineWriter
from .scaling import Scaling, sized
from .worker_deaths import WorkerDeaths

GENTLE_CLOSE_SECONDS = 3
START_SECONDS = 60


def run(order, fd_in, fd_out, directory, forked):
    """Runs the cluster till it is closed. `order` is the `cluster.start` request; returns the exit code."""
    started_at = order.get("asked_at") or time.time()
    writer = LineWriter(fd_out)
    inherit(order)
    os.makedirs(directory, exist_ok=True)
    method = "spawn"
    from . import warm_workers

    if os.name == "posix" and not forked:
        warm_workers.spawn_tracker()
    if forked:
        method = warm_workers.prepare(directory)
        belongings.die_with_parent()
    import dask

    dask.config.set({"distributed.worker.multiprocessing-method": method, "temporary-directory": directory})
    warm_workers.hide_main()
    cluster = _Cluster(order, writer, directory, started_at)
    return asyncio.run(cluster.live(fd_in))


def inherit(order):
    """Folder, environment, import path and terminal, as a cluster started by the user's own script has them."""
    os.environ.update(order.get("env") or {})
    if order.get("cwd"):
        os.chdir(order["cwd"])
    sys.path[:0] = order.get("path") or []
    output = order.get("output")
    if output:
        from . import terminal

        terminal.attach(terminal.connect(output, "output"), with_stdin=False)
    belongings.reseed()


class _Cluster:
    def __init__(self, order, writer, directory, started_at):
        self._id = order["cluster"]
        self._options = dict(order.get("options") or {})
        self._limits = order.get("adapt")  # None: a fixed number of workers
        self._at_least = None
        self._scaling = None
        self._writer = writer
        self._directory = directory
        self._started_at = started_at
        self._cluster = None
        self._baseline = learned.Baseline()
        self._closing = self._ready = None  # made inside the loop: Python 3.8 and 3.9 bind them there

    def _say(self, event, **fields):
        self._writer.send(dict(event=event, cluster=self._id, **fields))

    async def live(self, fd_in):
        self._closing, self._ready = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        belongings.watch_pipe(lambda n: os.read(fd_in, n), self._hear, belongings.end_own_group)
        try:
            await asyncio.wait_for(asyncio.shield(self._start()), START_SECONDS)
        except BaseException as error:
            # Older Dask waits for ever for a worker whose very first task killed it; the one after it works.
            if not (isinstance(error, asyncio.TimeoutError) and self._cluster and self._cluster.scheduler.workers):
                self._say("cluster.ended", reason="failed", **_explain(error, self._options))
                return 1
        self._ready.set()
        await self._until_over()
        try:
            await asyncio.wait_for(_close(self._cluster), GENTLE_CLOSE_SECONDS)
        except Exception:
            pass  # the host kills what is left
        return 0

    async def _start(self):
        from distributed import LocalCluster

        self._say("cluster.stage", stage="scheduler")
        deaths = WorkerDeaths(self._say_worker)
        options = _defaults(self._options, self._directory)
        if self._limits is not None:
            options, self._at_least = sized(options, self._limits)
        if options.get("processes", True):
            options.setdefault("worker_class", deaths.nanny_class())
        self._cluster = LocalCluster(asynchronous=True, **options)
        self._scaling = Scaling(self._cluster, self._say_scaling)
        started = asyncio.ensure_future(_wait(self._cluster))
        while not started.done() and not _listening(self._cluster):
            await asyncio.sleep(0.001)
        if _listening(self._cluster):
            task_counts.install(self._cluster.scheduler, self._loop, self._say_counts)
            deaths.install(self._cluster.scheduler)
            self._announce()
        await started
        self._say("cluster.stage", stage="running")
        if self._limits is not None:
            await self._scaling.adapt(first=True, **self._limits)
        self._writer.send({"event": "learned", "modules": self._baseline.gained()})

    def _say_counts(self, **counts):
        self._say("cluster.tasks", **counts)

    def _say_scaling(self, **news):
        self._say("cluster.scaling", **news)

    def _say_worker(self, **news):
        self._say("cluster.worker", **news)

    def _announce(self):
        scheduler = self._cluster.scheduler
        services = (getattr(scheduler, "http_server", None) and scheduler.services) or {}
        dashboard = None
        if "dashboard" in services and "bokeh" in sys.modules:
            dashboard = "http://127.0.0.1:%d/status" % services["dashboard"].port
        self._say(
            "cluster.started",
            address=scheduler.address,
            dashboard=dashboard,
            n_workers=len(self._cluster.worker_spec) if self._at_least is None else self._at_least,
            pid=os.getpid(),
            pgid=os.getpgrp() if hasattr(os, "getpgrp") else None,
            seconds=round(time.time() - self._started_at, 4),
        )

    async def _until_over(self):
        finished = asyncio.ensure_future(self._cluster.scheduler.finished())
        closing = asyncio.ensure_future(self._closing.wait())
        await asyncio.wait([finished, closing], return_when=asyncio.FIRST_COMPLETED)
        if closing.done():
            self._say("cluster.ended", reason="closed")
        else:
            self._say("cluster.ended", reason="died", message="The scheduler has closed.")

    def _hear(self, message):
        if message.get("op") == "cluster.close":
            self._loop.call_soon_threadsafe(self._closing.set)
        else:
            asyncio.run_coroutine_threadsafe(self._change(**message), self._loop)

    async def _change(self, op, cluster, id=None, **arguments):
        """`cluster.scale` and the like: how many workers it has."""
        await self._ready.wait()
        try:
            change = {
                "cluster.scale": self._scaling.scale,
                "cluster.adapt": self._scaling.adapt,
                "cluster.drop": self._scaling.drop,
                "cluster.resume": self._scaling.resume,
            }[op]
            await change(id=id, **arguments)
        except Exception as error:
            about = {"id": id} if id else {}
            self._say("error", op=op, message=str(error) or type(error).__name__, **about)


async def _wait(cluster):
    return await cluster


async def _close(cluster):
    await cluster.close()


def _listening(cluster):
    scheduler = getattr(cluster, "scheduler", None)
    try:
        return bool(scheduler is not None and scheduler.listeners and scheduler.address)
    except (AttributeError, ValueError):
        return False


def _defaults(options, directory):
    """Dask's own defaults but for the network: loopback only, and an address that a run can reach."""
    chosen = {"host": "127.0.0.1", "protocol": "tcp://", "dashboard_address": "127.0.0.1:0"}
    chosen.update(options)
    if chosen.get("scheduler_port") is None:
        chosen.pop("scheduler_port", None)
    chosen.setdefault("local_directory", directory)
    return chosen


def _explain(error, options):
    """Fields of `cluster.ended` for what kept a cluster from starting."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    text = "".join(traceback.format_exception(type(chain[0]), chain[0], chain[0].__traceback__))
    for one in chain:
        if isinstance(one, OSError) and one.errno == errno.EADDRINUSE:
            port = options.get("scheduler_port")
            message = "Port %s is already in use on this machine." % port
            return {"kind": "port-in-use", "message": message, "traceback": text}
    if isinstance(chain[0], asyncio.TimeoutError):
        return {"kind": "other", "message": "The cluster did not start within %d s." % START_SECONDS}
    wrong = next((one for one in chain if isinstance(one, (TypeError, ValueError))), None)
    told = wrong or chain[-1]
    message = "%s: %s" % (type(told).__name__, told)
    return {"kind": "option" if wrong else "other", "message": message, "traceback": text}
