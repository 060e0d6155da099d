"""What a run hears of its task runs from the workers, and the gate that keeps them from beginning."""

import functools
import inspect
import time
import uuid


class Watch:
    """One per run. `attach` it to each client of the flow's own: a further one would cost time.

    The events go by the client's own topic: schedulers forget those of clients that have left.
    """

    def __init__(self, run):
        self._run = run
        self.gate = "flow-clusters-" + run.spec["run"]
        self.client_name = "fcflow-" + run.spec["run"]  # who looks at the scheduler's clients knows ours by it

    def attach(self, client):
        """Returns the topic for `worker_side.make`."""
        self._open(client)
        client.subscribe_topic(client.id, self._hear)
        return client.id

    async def attach_async(self, client):
        """As `attach`, for a client that lives in the running event loop (Prefect 2)."""
        self._open(client)
        subscribed = client.subscribe_topic(client.id, self._hear)
        if inspect.isawaitable(subscribed):
            await subscribed
        return client.id

    def detach(self, client):
        """Call before the client closes: its scheduler would complain that it cannot tell it so on this topic."""
        client.unsubscribe_topic(client.id)

    def _open(self, client):
        mark_keys(client, self._run.spec["run"])
        self._run.scheduler.ask("event_set", name=self.gate)
        if self._run.channel.stopping.is_set():
            self.close_gate()

    def close_gate(self):
        """From now on no task of this run begins, wherever it waits. Nothing of the gate is left on the scheduler."""
        try:
            self._run.scheduler.ask("event_clear", name=self.gate)
        except Exception as error:
            if self._run.channel.stopping.is_set():
                self._run.channel.note("The scheduler could not be told that no task may start any more: %s" % error)

    def _hear(self, event):
        fields = dict(event[1])
        if "id" not in fields or "state" not in fields:
            return  # what the scheduler itself says of this client
        self._run.task_event(fields)


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
