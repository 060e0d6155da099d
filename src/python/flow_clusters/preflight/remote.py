"""Looks around on the scheduler and on each worker. Sent there as text, so that nothing depends on equal versions.

Nothing of the user's is imported and nothing is changed; what may take time is kept off the event loop.
"""

import asyncio
import json
import os
import sys
import threading
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec


async def flow_clusters_preflight(question, dask_worker=None):
    """Returns JSON, which any two versions can exchange. `dask_worker` is the server that this runs in, of either kind.

    `question`: `{packages, modules, url, seconds}`. A look that takes longer than `seconds` has no answer.
    """
    answer = {"python": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable}
    looks = {"packages": in_thread(versions, question["packages"]), "missing": in_thread(missing, question["modules"])}
    if hasattr(dask_worker, "clients"):
        answer.update(of_scheduler(dask_worker))
    elif question["url"]:
        looks["api"] = in_thread(reach, question["url"], question["seconds"])
    await asyncio.wait(looks.values(), timeout=question["seconds"] + 0.2)
    for name, look in looks.items():
        if look.done():
            answer[name] = look.result()
        elif name == "api":
            answer[name] = "no answer within %s s" % question["seconds"]
    return json.dumps(answer)


def in_thread(call, *arguments):
    """A future of what `call` returns. A thread of its own, as one that hangs must not keep the process from ending."""
    loop = asyncio.get_event_loop()
    future = loop.create_future()

    def finish(result):
        if not future.done():
            future.set_result(result)

    def work():
        try:
            result = call(*arguments)
        except Exception:
            result = None
        loop.call_soon_threadsafe(finish, result)

    threading.Thread(target=work, daemon=True, name="flow-clusters-preflight").start()
    return future


def versions(names):
    """Of those that are installed, from their metadata."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def missing(names):
    return [name for name in names if not has(name)]


def has(name):
    """Whether the module can be found. Of its parents only namespace packages are looked into: others have code."""
    parts = name.split(".")
    path = None
    for end in range(1, len(parts) + 1):
        part = ".".join(parts[:end])
        loaded = sys.modules.get(part)
        if loaded is not None:
            path = getattr(loaded, "__path__", None)
            if path is None or getattr(loaded, "__file__", None):
                return True
            continue
        spec = find(part, path)
        if spec is None:
            return False
        if spec.origin is not None:
            return True
        path = spec.submodule_search_locations
    return False


def find(name, path):
    """The spec of a module in its parent's `path`, or None; its `origin` is None for a namespace without code."""
    try:
        return find_spec(name) if path is None else PathFinder.find_spec(name, path)
    except KeyError:  # a namespace in another one, which is not imported
        spec = ModuleSpec(name, None, is_package=True)
        folders = [os.path.join(one, name.rpartition(".")[2]) for one in path]
        spec.submodule_search_locations = [folder for folder in folders if os.path.isdir(folder)]
        return spec
    except (ImportError, ValueError, AttributeError):
        return None


def reach(url, seconds):
    """None when something answers there by HTTP, whatever it says; else why not."""
    import ssl
    import urllib.error
    import urllib.request

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is sent: whose certificate it is does not matter
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        urllib.request.urlopen(url, timeout=seconds, context=context).close()
    except urllib.error.HTTPError as error:
        return "it answers %d" % error.code if error.code >= 500 else None
    except urllib.error.URLError as error:
        return words(error.reason)
    except Exception as error:  # something listens there, but speaks no HTTP
        return words(error)
    return None


def words(error):
    text = str(getattr(error, "strerror", None) or error)
    return "no answer" if "timed out" in text else text[:1].lower() + text[1:]


def of_scheduler(scheduler):
    """Who uses it, and how much. Of a scheduler that keeps its books in another way: nothing."""
    try:
        clients = {key: len(c.wants_what) for key, c in scheduler.clients.items() if key != "fire-and-forget"}
        held = len(getattr(scheduler, "queued", ())) + len(getattr(scheduler, "unrunnable", ()))
        busy = {address: len(worker.processing) for address, worker in scheduler.workers.items()}
        return {"clients": clients, "held": held, "busy": busy}
    except Exception:
        return {}
