"""Ways of making clusters that a user may have in the workspace."""

import asyncio
import subprocess
import threading
import time

from distributed import LocalCluster
from distributed.core import Status
from distributed.deploy.cluster import Cluster

SMALL = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}


def make_cluster(n_workers=2, **kwargs):
    """As Prefect documents it: the arguments go on to a class.

    Parameters
    ----------
    n_workers : int
        How many.
    """
    print("making a cluster")
    return LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", **kwargs)


def make_plain(n_workers=2):
    return LocalCluster(**{**SMALL, "n_workers": n_workers})


async def make_async(n_workers=2):
    return await LocalCluster(**{**SMALL, "n_workers": n_workers}, asynchronous=True)


def make_with_image(**kwargs):
    """Prefect's documented pattern: the image that the flow run is in."""
    import prefect

    print("image", prefect.context.image)
    return LocalCluster(**SMALL, **kwargs)


def make_with_given_image(image, **kwargs):
    print("image", image)
    return LocalCluster(**SMALL, **kwargs)


def takes(delta, choice):
    print("delta", delta, "choice", choice)
    return LocalCluster(**SMALL)


def fails():
    raise ConnectionError("the batch system is on holiday")


def no_cluster():
    return 42


class JobCluster(LocalCluster):
    """Has something elsewhere, as clusters of batch systems and clouds do: only its own `close` ends it."""

    def __init__(self, stage="running", close_seconds=0, **kwargs):
        # In a session of its own, it survives whatever is done to this process and its group.
        self.job = subprocess.Popen(["sleep", "600"], start_new_session=True)
        self.close_seconds = close_seconds
        self.stage = stage
        super().__init__(**{**SMALL, **kwargs})

    async def _start(self):
        await super()._start()
        if self.stage == "starting":
            print("job queued", flush=True)
            while self.status == Status.running:
                await asyncio.sleep(0.05)
            raise RuntimeError("closed while it started")

    async def _close(self):
        await super()._close()
        await asyncio.sleep(self.close_seconds)
        self.job.kill()
        self.job.wait()


class PodCluster(Cluster):
    """As KubeCluster: what it makes is made while it says of itself that it is only created, and that takes its time."""

    def __init__(self):
        self.job = None
        super().__init__()
        self._loop_runner.start()
        self.sync(self._start)

    async def _start(self):
        self.job = subprocess.Popen(["sleep", "600"], start_new_session=True)
        print("pod pending", flush=True)
        await asyncio.sleep(600)

    def close(self, timeout=3600):
        return self.sync(self._close, timeout=timeout)

    async def _close(self, timeout=3600):
        await super()._close()
        self.job.kill()
        self.job.wait()


def hangs():
    """A start that takes for ever, after something has been made."""
    cluster = JobCluster()
    print("hanging", flush=True)
    time.sleep(600)
    return cluster


class BusyCluster(JobCluster):
    """Its `scale` waits for more workers than there will ever be."""

    def scale(self, n=0, **kwargs):
        super().scale(n, **kwargs)
        if n:
            print("hanging", flush=True)
            return self.wait_for_workers(n + 5)


async def make_busy(n_workers):
    return await BusyCluster(n_workers=n_workers, asynchronous=True)


def make_fixed():
    class Fixed(JobCluster):
        """As SSHCluster, whose hosts say how many workers there are."""

        _supports_scaling = False

    return Fixed()


def bad_close():
    class Stubborn(LocalCluster):
        def __exit__(self, *args):
            super().__exit__(*args)
            raise RuntimeError("the batch system does not answer")

    return Stubborn(**SMALL)


def leaves_thread(n_workers):
    """As libraries do that have a connection of their own, which they wait on for ever."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    return JobCluster(n_workers=n_workers)


class LeavingCluster(JobCluster):
    """As a command's own function in its place: it ends the whole process."""

    def __exit__(self, *args):
        raise SystemExit("the batch system wants a new login")


class Unspeakable:
    @property
    def __doc__(self):
        raise RuntimeError("no words")

    def __call__(self):
        return JobCluster()


unspeakable = Unspeakable()


def __getattr__(name):
    """As packages that import what is in them when it is asked for."""
    if name == "LazyCluster":
        raise ImportError("libbatch.so is too old")
    raise AttributeError(name)
