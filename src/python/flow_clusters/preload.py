"""What the host imports ahead of time, so that nothing is imported between the click and the first task."""

import importlib
import sys

DASK = (
    "distributed",
    "distributed.nanny",
    "distributed.worker",
    "distributed.scheduler",
    "distributed.deploy.local",
    "distributed.protocol.pickle",
    "distributed.http.scheduler.json",
    "distributed.http.proxy",
    "distributed.http.health",
    "distributed.http.prometheus",
    "distributed.http.statics",
    "distributed.http.worker",
    "distributed.http.worker.prometheus",
    "tornado.platform.asyncio",
    "multiprocessing.forkserver",
    "multiprocessing.resource_tracker",
    "multiprocessing.popen_forkserver",
    "multiprocessing.queues",
    "multiprocessing.synchronize",
)
BOKEH = ("bokeh.core.properties", "distributed.dashboard.scheduler", "distributed.dashboard.worker")
PREFECT1 = ("prefect", "prefect.executors", "prefect.engine.flow_runner", "prefect.engine.task_runner")
PREFECT23 = (
    "prefect",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.client.orchestration",
    "prefect.events.worker",
    "prefect.logging.handlers",
    "prefect_dask",
    "anyio._backends._asyncio",
    "rich._emoji_codes",
)
OURS = (
    "terminal",
    "cluster",
    "task_counts",
    "worker_deaths",
    "warm_workers",
    "check",
    "runner.main",
    "runner.load",
    "runner.worker_side",
    "runner.plain",
    "preflight.main",
    "runner.travel",
    "runner.key_counts",
)


def wanted(packages):
    """Names of modules to import for what is installed, in the order in which they are needed."""
    names = ["flow_clusters." + name for name in OURS]
    names += DASK
    if "bokeh" in packages:
        names += BOKEH
    if "prefect" in packages:
        major = packages["prefect"].split(".")[0]
        ours = {"0": "prefect1", "1": "prefect1", "2": "prefect2"}.get(major, "prefect3")
        names += PREFECT1 if ours == "prefect1" else PREFECT23
        names.append("flow_clusters.runner." + ours)
    return names


def load(name):
    """Imports one module. Versions differ in what they have, so a missing one is no error."""
    try:
        importlib.import_module(name)
    except ImportError:
        pass
    except Exception as error:
        print("flow-clusters: importing %s failed: %r" % (name, error), file=sys.stderr)
