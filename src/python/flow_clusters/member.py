"""A scheduler or some workers in a container: stock Dask, in one process that has imported it once.

Its order is one JSON text, `{"role": "scheduler" | "worker", …}` (`src/backends/docker/members.ts`); certificates lie
in `folder`. Lines for the extension are JSON on stdout, behind a mark; all else is the user's.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import threading

from . import relay

MARK = "\x1eflow-clusters "
SCHEDULER_PORT, DASHBOARD_PORT = 8786, 8787
CLOSE_SECONDS = 3
PACKAGES = ("dask", "distributed", "cloudpickle", "prefect")


def main(text, folder):
    order = json.loads(text)
    gc.disable()  # nothing that is imported goes again: looking for it takes a tenth of the start
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        _say(event="failed", reason="import", package=error.name or "distributed", message=str(error))
        return 1
    gc.freeze()  # and what workers are forked from stays shared
    gc.enable()
    run = {"scheduler": _scheduler, "worker": _workers}[order["role"]]
    if order["role"] == "worker":
        _fork_workers(order)
    try:
        return asyncio.run(run(order, folder))
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        _say(event="failed", reason="start", message="%s: %s" % (type(error).__name__, error))
        raise


def _say(**message):
    sys.stdout.write(MARK + json.dumps(message) + "\n")
    sys.stdout.flush()


def _security(folder):
    from distributed import Security

    cert = os.path.join(folder, "node.pem")
    both = {"tls_%s_%s" % (role, part): cert for role in ("scheduler", "worker", "client") for part in ("cert", "key")}
    return Security(tls_ca_file=os.path.join(folder, "ca.pem"), require_encryption=True, **both)


def _hear(order, servers, on_order=None):
    """Calls `on_order(message)` for each line of JSON on stdin.

    Closes the servers when the engine stops this container and, if stdin is held, when its holder has gone.
    """
    loop = asyncio.get_running_loop()

    def end():
        end.task = asyncio.ensure_future(_close(servers))

    def read():
        with os.fdopen(0, "rb", closefd=False) as lines:
            for line in lines:
                if on_order:
                    asyncio.run_coroutine_threadsafe(on_order(json.loads(line)), loop)
        if order.get("held"):
            loop.call_soon_threadsafe(end)

    loop.add_signal_handler(signal.SIGTERM, end)  # the first process of a container ignores it otherwise
    threading.Thread(target=read, daemon=True, name="flow-clusters-control").start()


async def _scheduler(order, folder):
    import distributed
    from distributed import Scheduler

    options = dict(order.get("options") or {})
    scheduler = Scheduler(
        host="0.0.0.0",
        port=SCHEDULER_PORT,
        protocol="tls://",
        security=_security(folder),
        dashboard_address=":%d" % DASHBOARD_PORT,
        **options,
    )
    await scheduler
    hub = relay.Hub()
    await hub.listen(folder)

    async def hear(message):
        await hub.offer(message["relay"])

    _hear(order, [scheduler], hear)
    dashboard = "dashboard" in getattr(scheduler, "services", {}) and "bokeh" in sys.modules
    _say(event="listening", dashboard=dashboard, distributed=distributed.__version__, packages=_packages())
    await scheduler.finished()
    return 0


def _packages():
    """Versions of what runs share with workers, None for what the image has not; read, never imported."""
    from importlib import metadata

    found = {"Python": "%d.%d" % sys.version_info[:2]}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


async def _close(servers):
    try:
        await asyncio.wait_for(asyncio.gather(*(server.close() for server in servers)), CLOSE_SECONDS)
    finally:
        os._exit(0)


def _fork_workers(order):
    """Before any thread is there. Workers are forked from what has been imported, not started anew."""
    import dask

    from . import warm_workers

    directory = order["directory"]
    os.makedirs(directory, exist_ok=True)
    warm_workers.hide_main()
    method = warm_workers.prepare(directory)
    dask.config.set({"distributed.worker.multiprocessing-method": method, "temporary-directory": directory})


async def _workers(order, folder):
    from distributed import Nanny

    security = _security(folder)
    nannies = [
        Nanny(
            order["scheduler"],
            name=name,
            security=security,
            protocol="tls://",
            local_directory=order["directory"],
            **(order.get("options") or {}),
        )
        for name in order["names"]
    ]
    _hear(order, nannies)
    await asyncio.gather(*(_start(nanny) for nanny in nannies))
    await asyncio.gather(*(nanny.finished() for nanny in nannies))
    return 0


async def _start(nanny):
    await nanny
