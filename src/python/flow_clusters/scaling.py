"""How many workers a cluster of ours has: a fixed number, or as many as the work asks for within limits."""

import asyncio
import time

RESUME_SECONDS = 10


def sized(options, limits):
    """Options of `LocalCluster` for an adaptive start, and how many workers it keeps at least.

    `n_workers` is the start size as with Dask itself; without it few are started. Threads and memory of a worker,
    where nothing is said of them, are the share of the machine that Dask gives a worker by default: what it derives
    from a start size would be too much for each of those that come later.
    """
    import dask
    from distributed.deploy.utils import nprocesses_nthreads

    bounds = {key: limits.get(key) for key in ("minimum", "maximum")}
    for key, value in bounds.items():
        if value is None:
            bounds[key] = dask.config.get("distributed.adaptive.%s" % key)
    chosen = dict(options)
    if chosen.get("n_workers") is None:
        chosen["n_workers"] = int(min(max(bounds["minimum"], 1), bounds["maximum"]))
    if chosen.get("threads_per_worker") is None and chosen.get("processes", True):
        chosen["threads_per_worker"] = nprocesses_nthreads()[1]
    chosen.setdefault("memory_limit", "auto")
    return chosen, min(chosen["n_workers"], bounds["minimum"])


class Scaling:
    """`say(n_workers=…[, adaptive=limits][, step=…][, id=request])` is called on the cluster's event loop.

    `step` is what has just changed: `from`, `to` and `why`: `asked`, `tasks`, `memory`, `idle`, `minimum`, `maximum`,
    `retired`. Changes wait for each other: those that somebody asks for, and those that the work asks for.
    """

    def __init__(self, cluster, say):
        self._cluster = cluster
        self._say = say
        self._adaptive = None
        self._turn = asyncio.Lock()

    # -- asked for -----------------------------------------------------------------------------------------

    async def scale(self, n_workers, id=None):
        """A fixed number from now on."""
        async with self._turn:
            self._stop_adapting()
            before = self._asked()
            kept = await self._shrink(n_workers)
            self._cluster.scale(n_workers + len(kept))
            self._tell({"from": before, "to": self._asked(), "why": "asked"}, None if kept else id)
        if kept:
            names = ", ".join(map(str, kept))
            raise ValueError("worker %s holds what cannot be moved to another worker, and stays" % names)

    async def adapt(self, minimum=None, maximum=None, id=None, first=False):
        """As many as the work asks for. What is None is as Dask's configuration says: nothing, and no limit."""
        async with self._turn:
            self._stop_adapting()
            try:
                kind = _adaptive_class(self)
                self._adaptive = self._cluster.adapt(Adaptive=kind, minimum=minimum, maximum=maximum)
            except Exception:
                self._tell(None)  # refused, and what was before has been stopped
                raise
            now = self._asked()
            self._tell(None if first else {"from": now, "to": now, "why": "asked"}, id)

    async def drop(self, name, id=None):
        """A worker has retired: it is not started again. Adaptive scaling may start another for it."""
        async with self._turn:
            before = self._asked()
            await self._cluster.scale_down([one for one in self._cluster.worker_spec if str(one) == name])
            self._tell({"from": before, "to": self._asked(), "why": "retired", "worker": name}, id)

    async def resume(self, worker, id=None):
        """Lets a worker that was to retire take tasks again, as the scheduler itself does when a retirement fails."""
        from distributed.core import Status

        scheduler = self._cluster.scheduler
        if worker not in scheduler.workers:
            raise ValueError("it has left the cluster")
        for status in ("paused", "running"):  # in 2022.5 only one that was paused goes on with what it has
            stimulus = "flow-clusters-resume-%s" % time.time()
            message = {"op": "worker-status-change", "status": status, "stimulus_id": stimulus}
            scheduler.stream_comms[worker].send(message)
        deadline = time.monotonic() + RESUME_SECONDS
        while worker in scheduler.workers and scheduler.workers[worker].status != Status.running:
            if time.monotonic() > deadline:
                raise ValueError("it does not answer")
            await asyncio.sleep(0.02)
        self._tell(None, id)

    # -- asked for by the work -----------------------------------------------------------------------------

    async def adapt_now(self, adaptive, adapt):
        """A look of Dask's at what the work asks for; none while something else changes."""
        if not self._turn.locked() and adaptive is self._adaptive:
            async with self._turn:
                await adapt()

    def adapted(self, before, after, why):
        self._tell(dict({"from": before, "to": after}, **why))

    # ------------------------------------------------------------------------------------------------------

    def _asked(self):
        return len(self._cluster.worker_spec)

    def _stop_adapting(self):
        if self._adaptive is not None:
            self._adaptive.stop()
            self._adaptive = None

    async def _shrink(self, n_workers):
        """Dask's `scale` ends workers with all that they hold. Retired first, as adaptive scaling does it, they hand

        their results on. Returns the names of those that could not; without any worker left there is nowhere to.
        """
        cluster, scheduler = self._cluster, self._cluster.scheduler_comm
        here = {worker.name for worker in cluster.scheduler.workers.values()}
        coming = len(set(cluster.worker_spec) - here)
        too_many = self._asked() - coming - n_workers
        if n_workers < 1 or too_many < 1:
            return []
        names = await scheduler.workers_to_close(n=too_many, attribute="name")
        retired = await scheduler.retire_workers(names=names, close_workers=True, remove=True)
        gone = [worker["name"] for worker in retired.values()]
        await cluster.scale_down(gone)
        return [name for name in names if name not in gone]

    def _tell(self, step, id=None):
        fields = {"n_workers": step["to"] if step else self._asked()}
        if self._adaptive is not None:
            maximum = self._adaptive.maximum
            limits = {"minimum": self._adaptive.minimum, "maximum": None if maximum == float("inf") else maximum}
            fields["adaptive"] = limits
        if step is not None:
            fields["step"] = step
        if id is not None:
            fields["id"] = id
        self._say(**fields)


def _adaptive_class(scaling):
    from distributed.deploy.adaptive import Adaptive as DaskAdaptive

    class Adaptive(DaskAdaptive):
        """Dask's own, which also tells what it does, and why."""

        _flow_clusters_target = 0  # before the limits

        async def adapt(self):
            await scaling.adapt_now(self, super().adapt)

        async def target(self):
            self._flow_clusters_target = await super().target()
            return self._flow_clusters_target

        async def scale_up(self, n):
            before = len(self.plan)
            if self._flow_clusters_target < n:
                why = {"why": "minimum"}
            else:
                why = _demand(self.cluster.scheduler, self._flow_clusters_target)
            scaling.adapted(before, n, why)
            await super().scale_up(n)

        async def scale_down(self, workers):
            before = len(self.plan)
            why = "maximum" if self._flow_clusters_target > self.maximum else "idle"
            await super().scale_down(workers)
            scaling.adapted(before, len(self.plan), {"why": why})

    return Adaptive


def _demand(scheduler, target):
    """What makes Dask ask for so many workers (`Scheduler.adaptive_target`)."""
    workers = scheduler.workers.values()
    limit, used = sum(w.memory_limit for w in workers), sum(w.nbytes for w in workers)
    if used > 0.6 * limit > 0 and target == 2 * len(workers):
        return {"why": "memory"}
    waiting = len(getattr(scheduler, "queued", ())) + len(scheduler.unrunnable)
    waiting += sum(max(0, len(w.processing) - w.nthreads) for w in workers)
    return {"why": "tasks", "waiting": waiting}
