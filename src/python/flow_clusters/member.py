"""A scheduler or some workers in a container: stock Dask, in one process that has imported it once.

Its order is one JSON text, `{"role": "scheduler" | "worker" | "keeper", …}` (`src/backends/memberProtocol.ts`);
certificates lie in `folder`. Lines for the extension are JSON on stdout, behind a mark; all else is the user's.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import threading
import time

from . import keeper, relay, sessions

MARK = "\x1eflow-clusters "
SCHEDULER_PORT, DASHBOARD_PORT = 8786, 8787
CLOSE_SECONDS = 3
NAME_SECONDS, NAME_AGAIN_SECONDS = 60, 0.2
ANSWER_SECONDS, ANSWER_AGAIN_SECONDS = 0.5, 0.05
# Outlives the container, and ends with its pod.
ENDED = "/tmp/flow-clusters-ended"
PACKAGES = ("dask", "distributed", "cloudpickle", "prefect")


def main(text, folder):
    order = json.loads(text)
    if order["role"] == "keeper":
        return keeper.keep(order, folder)
    if order.get("once") and _has_ended(order["role"]):
        return 0
    if order.get("sessions"):
        sessions.fork()  # before all that it does not need is imported
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
        code = asyncio.run(run(order, folder))
        if order.get("once"):
            _mark_ended()
        return code
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        _say(event="failed", reason="start", message="%s: %s" % (type(error).__name__, error))
        raise


def _has_ended(role):
    """Where a container is started again whatever it ended with: one that has ended in order waits for its pod to go.

    A scheduler does so however it ended, as another would know nothing of its work.
    """
    if not os.path.exists(ENDED):
        if role == "scheduler":
            _mark_ended()
        return False
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.sigwait([signal.SIGTERM])
    return True


def _mark_ended():
    with open(ENDED, "w"):
        pass


def _say(**message):
    sys.stdout.write(MARK + json.dumps(message) + "\n")
    sys.stdout.flush()


def _security(folder):
    from distributed import Security

    cert = os.path.join(folder, "node.pem")
    both = {"tls_%s_%s" % (role, part): cert for role in ("scheduler", "worker", "client") for part in ("cert", "key")}
    return Security(tls_ca_file=os.path.join(folder, "ca.pem"), require_encryption=True, **both)


def _end_with_holder(order, servers, hub=None):
    """Closes the servers when whoever runs this container stops it and, if stdin is held, when its holder has gone."""
    loop = asyncio.get_running_loop()

    def end():
        end.task = asyncio.ensure_future(_close(servers, hub))

    def read():
        with os.fdopen(0, "rb", closefd=False) as held:
            held.read()
        loop.call_soon_threadsafe(end)

    loop.add_signal_handler(signal.SIGTERM, end)  # the first process of a container ignores it otherwise
    if order.get("held"):
        threading.Thread(target=read, daemon=True, name="flow-clusters-holder").start()


async def _scheduler(order, folder):
    import distributed
    from distributed import Scheduler

    options = dict(order.get("options") or {})
    scheduler = Scheduler(
        host="0.0.0.0",
        port=SCHEDULER_PORT,
        protocol="tls://",
        security=_security(folder),
        dashboard_address="%s:%d" % (order.get("dashboard_host", ""), DASHBOARD_PORT),
        **options,
    )
    await scheduler
    hub = relay.Hub()
    await hub.listen(folder)
    _end_with_holder(order, [scheduler], hub)
    if "hold_seconds" in order:
        _scheduler.hold = asyncio.ensure_future(_close_unheld(scheduler, hub, order["hold_seconds"]))
    dashboard = "dashboard" in getattr(scheduler, "services", {}) and "bokeh" in sys.modules
    _say(event="listening", dashboard=dashboard, distributed=distributed.__version__, packages=_packages())
    await scheduler.finished()
    await hub.over()
    return 0


async def _close_unheld(scheduler, hub, seconds):
    await hub.released(seconds)
    print("The window that started this cluster has not been there for %d s: it ends" % seconds, flush=True)
    await _close([scheduler], hub)


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


async def _close(servers, hub=None):
    try:
        if hub:
            await hub.over()
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
    scheduler = await _located(order["scheduler"])
    if "hub" in order:
        await _answered(order["hub"])
    nannies = [
        Nanny(
            scheduler,
            name=name,
            security=security,
            protocol="tls://",
            local_directory=order["directory"],
            **(order.get("options") or {}),
        )
        for name in order["names"]
    ]
    _end_with_holder(order, nannies)
    if "hub" in order:
        _workers.relay = asyncio.ensure_future(relay.follow(order["hub"], folder))
    await asyncio.gather(*(_start(nanny) for nanny in nannies))
    await asyncio.gather(*(nanny.finished() for nanny in nannies))
    return 0


async def _located(address):
    """The address with the number of its host. Name servers may not know yet what was just made; Dask asks once."""
    scheme, _, place = address.rpartition("://")
    name, _, port = place.rpartition(":")
    loop = asyncio.get_running_loop()
    last = time.monotonic() + NAME_SECONDS
    while True:
        try:
            found = await loop.getaddrinfo(name, int(port), type=socket.SOCK_STREAM)
            break
        except OSError:
            if time.monotonic() > last:
                raise
        await asyncio.sleep(NAME_AGAIN_SECONDS)
    # Of both kinds, the one that Dask prefers.
    family, host = min((family, sockaddr[0]) for family, _, _, _, sockaddr in found)
    return "%s://%s:%s" % (scheme, host if family == socket.AF_INET else "[%s]" % host, port)


async def _answered(place):
    """Returns when connections to a service of the scheduler come through, or nobody can wait for that any longer.

    A node that hears of a service refuses connections at first, and for a moment loses them: one that is begun then
    gets no answer ever, and Dask, which tries many times a second, would go on with it for half a minute and give up.
    """
    host, _, port = place.rpartition(":")
    last = time.monotonic() + NAME_SECONDS
    while time.monotonic() < last:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), ANSWER_SECONDS)
            writer.close()
            return
        except (asyncio.TimeoutError, OSError):
            await asyncio.sleep(ANSWER_AGAIN_SECONDS)


async def _start(nanny):
    await nanny
