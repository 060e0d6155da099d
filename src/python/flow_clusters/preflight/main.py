"""Entry of a preflight: reads the flow, asks the cluster, and tells the host what was found, once."""

import asyncio
import logging
import os
import sys
import time
from importlib import metadata

from .. import belongings
from ..lines import LineWriter
from . import ask, remote, source

PACKAGES = ("dask", "distributed", "cloudpickle", "msgpack", "prefect")
DEFAULT_SECONDS = 3


def run(order, fd_in, fd_out, directory, forked):
    """`order` is the `preflight` request, with the URL of an API server of ours; returns the exit code."""
    if forked:
        belongings.die_with_parent()
    belongings.watch_pipe(lambda n: os.read(fd_in, n), lambda message: None, belongings.end_own_group)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what does not answer is told in words
    began = time.time()
    os.environ.update(order.get("env") or {})
    facts = asyncio.run(_look(order))
    facts["seconds"] = round(time.time() - began, 4)
    LineWriter(fd_out).send({"event": "preflight", "id": order["id"], "facts": facts})
    return 0


async def _look(order):
    flow = order.get("flow")
    needs = _needs(flow) if flow else None
    modules = [module["name"] for module in needs["modules"]] if needs else []
    ours = {"python": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable}
    ours["packages"] = _versions([*PACKAGES, *modules])
    facts = {"ours": ours, "workers": [], "needs": needs}
    cluster = ask.Cluster(order["address"], order.get("security"), order.get("seconds") or DEFAULT_SECONDS)
    try:
        identity = await cluster.connect()
        ours["host"] = await cluster.local_host()
    except Exception as error:
        facts["problem"] = _reason(error)
        return facts
    known = identity.get("workers") or {}
    async with _Api(order, flow) as api:
        facts["api"] = api.told
        packages = list(ours["packages"])
        wanted = [module["name"] for module in needs["modules"] if module["use"] != "main"] if needs else []
        question = {"packages": packages, "modules": wanted, "url": api.probe, "seconds": ask.ANSWER_SECONDS}
        here = api.try_here()
        facts["scheduler"], answers = await cluster.ask(question, list(known))
        if here and here.done():
            api.told["here"] = here.result()
    busy = facts["scheduler"].pop("busy", {})
    for address, worker in known.items():
        facts["workers"].append({**_worker(address, worker, busy), **answers.get(address, {})})
    _name_distributions(facts)
    return facts


def _needs(flow):
    sys.path.insert(0, os.path.dirname(os.path.abspath(flow["file"])))
    major = _prefect_major()
    # Prefect 3 sends its flow along with each task, and with that what runs the flow's tasks.
    implied = [] if flow["api"] == "dask" else ["prefect", "prefect_dask"] if major > 2 else ["prefect"]
    return source.needs(flow["file"], flow["workspace"], flow["api"], ships_flow=major != 2, implied=implied)


def _prefect_major():
    version = _versions(["prefect"]).get("prefect", "")
    return int(version.split(".")[0]) if version[:1].isdigit() else 0


def _versions(names):
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except (metadata.PackageNotFoundError, ValueError):
            pass
    return found


def _reason(error):
    if isinstance(error, asyncio.TimeoutError):
        return "it does not answer"
    return str(error) or type(error).__name__


def _worker(address, worker, busy):
    """What the scheduler knows of it, the last heartbeat being up to a second old."""
    metrics = worker.get("metrics") or {}
    counts = metrics.get("task_counts") or metrics
    executing = (counts.get("executing") or 0) + (counts.get("ready") or 0)
    return {
        "address": address,
        "name": str(worker.get("name", address)),
        "host": worker.get("host") or "",
        "status": worker.get("status") or "unknown",
        "threads": worker.get("nthreads") or 0,
        "busy": busy.get(address, executing),
        "memory": metrics.get("memory") or 0,
        "memory_limit": worker.get("memory_limit") or 0,
        "resources": worker.get("resources") or {},
    }


class _Api:
    """The Prefect API that the run will report to, and a URL by which workers can try whether they reach it.

    A server of ours that has yet to start will listen on loopback: a stand-in listens there meanwhile.
    """

    def __init__(self, order, flow):
        self._wanted = bool(flow) and flow["api"] == "prefect"
        self._ours = order.get("prefect_api_url")
        self._server = None
        self.told = None
        self.probe = None

    async def __aenter__(self):
        if not self._wanted:
            return self
        url = _profile_url()
        self.told = {"url": url or self._ours, "ours": not url}
        if self.told["url"]:
            self.probe = self.told["url"].rstrip("/") + "/health"
        else:
            self._server = await asyncio.start_server(_stand_in, "127.0.0.1", 0)
            self.probe = "http://127.0.0.1:%d/api/health" % self._server.sockets[0].getsockname()[1]
        return self

    def try_here(self):
        """Whether this machine reaches what the user's settings name; a server of ours is there, or soon will be."""
        own = self.told and not self.told["ours"]
        return remote.in_thread(remote.reach, self.probe, ask.ANSWER_SECONDS) if own else None

    async def __aexit__(self, *exc_info):
        if self._server:
            self._server.close()


async def _stand_in(reader, writer):
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    writer.close()


def _profile_url():
    """The API that the user's own settings name; None where they name none, or there is no Prefect 2 or 3."""
    try:
        from ..prefect_server import profile

        return profile()[0]
    except Exception:
        return None


def _name_distributions(facts):
    """What to install for modules that are missing somewhere: `{module: distribution==version}` as it is here."""
    missing = {name for one in [facts["scheduler"], *facts["workers"]] for name in one.get("missing") or ()}
    if not missing:
        return
    owners = metadata.packages_distributions() if hasattr(metadata, "packages_distributions") else {}
    found = {}
    for name in missing:
        distribution = (owners.get(name.partition(".")[0]) or [name])[0]
        version = _versions([distribution]).get(distribution)
        found[name] = "%s==%s" % (distribution, version) if version else distribution
    facts["distributions"] = found
