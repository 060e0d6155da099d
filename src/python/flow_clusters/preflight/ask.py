"""Asks a scheduler and its workers, over the scheduler's own calls.

Not a `distributed.Client`: one that is newer than the scheduler cannot even connect, and it would be listed there.
"""

import asyncio
import json
import math
import os
import pickle

CONNECT_SECONDS = 2
GROUPS = 16
MOST_CALLS = 64
ANSWER_SECONDS = 1
FORBIDDEN = "explicitly disallowed"


class Sent:
    """What becomes, where it is unpickled, the function of that name in the text of a module."""

    def __init__(self, text, name):
        self._text, self._name = text, name

    def __reduce__(self):
        space = {"__name__": "flow_clusters_preflight"}
        return eval, ("exec(text, space) or space[name]", {"text": self._text, "name": self._name, "space": space})


class NotAScheduler(Exception):
    pass


class Cluster:
    """One look. `limit` is the time in seconds that all of it may take."""

    def __init__(self, address, security, limit):
        self._address = address
        if address.startswith("gateway:"):
            import dask_gateway.comm  # noqa: F401 - tells Dask of the scheme
        self._security = security
        self._until = asyncio.get_running_loop().time() + limit
        self._rpc = None

    def _left(self):
        return max(0.05, self._until - asyncio.get_running_loop().time())

    async def connect(self):
        """Returns the scheduler's own account of itself and its workers."""
        from distributed.core import rpc

        arguments = _connection_args(self._security)
        limit = min(CONNECT_SECONDS, self._left())
        self._rpc = rpc(self._address, timeout=limit, connection_args=arguments)
        identity = await asyncio.wait_for(self._rpc.identity(), limit)
        if not isinstance(identity, dict) or identity.get("type") in (None, "Worker", "Nanny"):
            raise NotAScheduler("what listens there is not a Dask scheduler")
        return identity

    async def ask(self, question, workers):
        """`(scheduler, workers by address)`; each is what `remote` has said, or `{"error": …, "text": …}`."""
        with open(os.path.join(os.path.dirname(__file__), "remote.py"), encoding="utf-8") as file:
            function = pickle.dumps(Sent(file.read(), "flow_clusters_preflight"), 4)
        call = {"function": function, "args": pickle.dumps((question,), 4)}
        scheduler, answers = await asyncio.gather(self._ask_scheduler(call), self._ask_workers(call, workers))
        silenced = [address for address, answer in answers.items() if answer.get("error") == "forbidden"]
        if silenced:
            answers.update(await self._versions_of(silenced))
        return scheduler, answers

    async def local_host(self):
        """This machine's address on the way to the scheduler: workers are likely to reach it by that."""
        comm = await self._rpc.live_comm()
        self._rpc.comms[comm] = True
        return comm.local_address.partition("://")[2].rpartition(":")[0].strip("[]") or None

    async def _ask_scheduler(self, call):
        try:
            reply = await asyncio.wait_for(self._rpc.run_function(**call), self._left())
            return _read(reply)
        except Exception as error:
            problem = _problem(error)
        try:
            reply = await asyncio.wait_for(self._rpc.versions(), self._left())
            return {**_packages(reply), **problem}
        except Exception:
            return problem

    async def _ask_workers(self, call, workers):
        """A worker that hangs keeps back the answers of all that were asked with it: so several calls at once.

        Those of whom none came are then asked one by one.
        """
        size = max(1, math.ceil(len(workers) / GROUPS))
        groups = [workers[i : i + size] for i in range(0, len(workers), size)]
        message = dict(call, op="run", wait=True)
        answers = await self._broadcast(message, groups, self._left() / (1 if size == 1 else 2))
        silent = [[address] for address, answer in answers.items() if answer.get("error") == "silent"]
        if size > 1 and silent:
            answers.update(await self._broadcast(message, silent, self._left()))
        return answers

    async def _broadcast(self, message, groups, seconds, read=None):
        answers = {}
        now = asyncio.get_running_loop().time
        until = now() + seconds
        calls = asyncio.Semaphore(MOST_CALLS)

        async def one(group):
            try:
                async with calls:
                    call = self._rpc.broadcast(msg=message, workers=group, on_error="return_pickle")
                    replies = await asyncio.wait_for(call, max(0, until - now()))
            except Exception as error:
                replies = dict.fromkeys(group, error)
            for address in group:
                answers[address] = (read or _read)(replies.get(address, KeyError("it has left")))

        await asyncio.gather(*map(one, groups))
        return answers

    async def _versions_of(self, workers):
        """Of workers that let nobody run anything: Dask's own list, without anything that it would have to import."""
        found = await self._broadcast({"op": "versions"}, [workers], self._left(), _packages)
        return {address: dict(answer, error="forbidden") for address, answer in found.items()}


def _connection_args(security):
    """`security` has PEM texts; the key may be part of the certificate. Without any: as Dask is configured."""
    from distributed import Security

    if not security:
        return Security().get_connection_args("client")
    cert = security.get("cert")
    return Security(
        tls_ca_file=security["ca"],
        tls_client_cert=cert,
        tls_client_key=security.get("key") or cert,
        require_encryption=True,
    ).get_connection_args("client")


def _read(reply):
    """What `remote` has said there, or why it has not."""
    if isinstance(reply, bytes):
        try:
            reply = pickle.loads(reply)
        except Exception as error:
            reply = error
    if isinstance(reply, BaseException):
        return _problem(reply)
    if isinstance(reply, dict) and reply.get("status") == "OK":
        try:
            return json.loads(reply["result"])
        except (TypeError, ValueError) as error:
            return _problem(error)
    text = reply.get("exception_text") or reply.get("text") if isinstance(reply, dict) else None
    return {"error": "other", "text": str(text or "it does not know the call")[:300]}


def _packages(reply):
    """The answer of `versions` in the words of `remote`."""
    if not isinstance(reply, dict) or not isinstance(reply.get("packages"), dict):
        return {}
    packages = {name: version for name, version in reply["packages"].items() if isinstance(version, str)}
    python = packages.pop("python", "").split(".")[:3]
    return {"packages": packages, **({"python": ".".join(python)} if len(python) == 3 else {})}


def _problem(error):
    if isinstance(error, (asyncio.TimeoutError, OSError, KeyError)):
        return {"error": "silent", "text": str(error)[:300]}
    text = "%s: %s" % (type(error).__name__, error)
    return {"error": "forbidden" if FORBIDDEN in text else "other", "text": text[:300]}
