"""The runner's own use of a Dask client: hears task events, holds the gate that stops tasks from beginning."""

import asyncio
import functools
import inspect
import socket
import time
import uuid

REACH_SECONDS = 5


class Watch:
    """One per run. `attach` it to a client, the flow's own where there is one: a second would cost time."""

    def __init__(self, run):
        self._run = run
        self.topic = "flow-clusters-" + run.spec["run"]
        self.client_name = "fcflow-" + run.spec["run"]  # who looks at the scheduler's clients knows ours by it
        self.client = None
        self._gate = None
        self._loop = None  # of an asynchronous client

    def attach(self, client):
        from distributed import Event

        self.client = client
        mark_keys(client, self._run.spec["run"])
        self._gate = Event(self.topic, client=client)
        self._gate.set()
        client.subscribe_topic(self.topic, self._hear)

    async def attach_async(self, client):
        """As `attach`, for a client that lives in the running event loop (Prefect 2)."""
        from distributed import Event

        self.client = client
        mark_keys(client, self._run.spec["run"])
        self._loop = asyncio.get_running_loop()
        self._gate = Event(self.topic, client=client)
        await self._gate.set()
        subscribed = client.subscribe_topic(self.topic, self._hear)
        if inspect.isawaitable(subscribed):
            await subscribed

    def close_gate(self):
        """From now on no task of this run begins, wherever it waits. Not from within the client's loop."""
        if self._gate is None or self.client.status != "running":
            return
        if self._loop is None:
            self._gate.clear()
        else:
            asyncio.run_coroutine_threadsafe(self._clear(), self._loop).result(5)

    async def _clear(self):
        await self._gate.clear()

    def _hear(self, event):
        fields = dict(event[1])
        trouble = {k: fields.pop(k) for k in ("type", "error", "traceback") if k in fields}
        if fields["state"] in ("failed", "crashed"):
            failure = dict(fields)
            if trouble:
                failure.update(type=trouble["type"], message=trouble["error"], traceback=trouble["traceback"])
                fields.setdefault("message", "%s: %s" % (trouble["type"], trouble["error"]))
            self._run.failures.append(failure)
        self._run.channel.task(**fields)


def mark_keys(client, run):
    """Puts the run into the keys of its tasks, behind their name: the scheduler's list then tells whose each one is."""
    from dask.utils import funcname, key_split

    submit = client.submit
    mark = "fcrun." + run

    @functools.wraps(submit)
    def marked(func, *args, key=None, **kwargs):
        if key is None:
            key = "%s-%s-%s" % (getattr(func, "name", None) or funcname(func), mark, uuid.uuid4().hex)
        elif isinstance(key, str):
            name = key_split(key)
            rest = key[len(name) + 1 :] if key.startswith(name + "-") else key
            key = "%s-%s-%s" % (name, mark, rest)
        return submit(func, *args, key=key, **kwargs)

    client.submit = marked


def reach(address):
    """Fails soon, and in words, when no scheduler listens there; a Dask client would try for half a minute."""
    from .report import Known

    scheme, _, place = address.partition("://")
    if scheme not in ("tcp", "tls"):
        return
    host, _, port = place.partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        raise Known("unreachable", "The scheduler at %s does not answer: %s." % (address, error), error)


def wait_for_workers(client, order, seconds=30):
    """Scripts may count workers as soon as they are connected: Dask's own `Client()` has them all by then."""
    wanted = order.get("n_workers") or 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if len(client.scheduler_info(**_all_workers(client))["workers"]) >= wanted:
            return
        time.sleep(0.005)


def _all_workers(client):
    """Recent versions list five workers only unless asked for all."""
    return {"n_workers": -1} if "n_workers" in inspect.signature(client.scheduler_info).parameters else {}
