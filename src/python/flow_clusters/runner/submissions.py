"""All that this process hands to Dask schedulers goes through one place, so that a stop can be exact."""

import contextlib
import threading
import weakref

from .scheduler import Scheduler
from .withdrawal import Withdrawal

CLOSE_SECONDS = 15


class Stopped(BaseException):
    """Raised into the flow when it submits work after a stop."""


class Submissions:
    """One per run: which clients there are, and that nothing is sent after a stop."""

    def __init__(self, run):
        self._run = run
        self._sending = threading.Lock()
        self._clients = weakref.WeakSet()
        self._withdrawals = []
        self._closed = threading.Event()
        self.stopped = Stopped  # what is raised into a flow that submits after a stop
        self.cut_short = False  # whether anything does not happen because of a stop
        self.on_graph = None  # called with (client, graph, futures) when a graph has been sent

    @contextlib.contextmanager
    def watched(self):
        """While this is entered, every client of this process is heard."""
        from distributed import Client

        submissions, send, submit = self, Client._send_to_scheduler, Client._graph_to_futures

        def send_to_scheduler(client, message):
            if str(message.get("op")).startswith("update-graph"):
                submissions._send(client, lambda: send(client, message))
            else:
                send(client, message)

        def graph_to_futures(client, *args, **kwargs):
            submissions.check()
            futures = submit(client, *args, **kwargs)
            if submissions.on_graph:
                graph = args[0] if args else kwargs.get("expr", kwargs.get("dsk"))  # its name changed in 2025
                submissions.on_graph(client, graph, futures)
            return futures

        Client._send_to_scheduler, Client._graph_to_futures = send_to_scheduler, graph_to_futures
        try:
            yield self
        finally:
            Client._send_to_scheduler, Client._graph_to_futures = send, submit

    def _send(self, client, send):
        """Either it is on its way before a stop, which then takes it back, or it never is."""
        with self._sending:
            stopped = self._run.channel.stopping.is_set()
            if not stopped:
                self._clients.add(client)
                send()
        if stopped:
            self._refuse()

    def check(self):
        """Raises into a flow that goes on after a stop."""
        if self._run.channel.stopping.is_set():
            self._refuse()

    def _refuse(self):
        self.cut_short = True
        # What the flow lets go of on its way out has to be known by then: tasks of it may be active.
        self._closed.wait(CLOSE_SECONDS)
        raise self.stopped()

    def close(self):
        """Call once a stop is under way: from its return on nothing is sent. Remembers what is on workers now."""
        with self._sending:
            clients = list(self._clients)
        self._withdrawals = [Withdrawal(client, self._scheduler_of(client)) for client in clients]
        self._closed.set()

    def _scheduler_of(self, client):
        """A script may have made another cluster, for itself."""
        own = self._run.scheduler
        address = getattr(client.scheduler, "address", own.address)
        return own if address == own.address else Scheduler(address, lambda: client.security)

    def take_back(self):
        """What has not begun never will. Returns the keys of it."""
        self._closed.wait(CLOSE_SECONDS)
        keys = [key for one in self._withdrawals for key in one.take_back()]
        self.cut_short = self.cut_short or bool(keys)
        return keys

    def wait(self):
        """Blocks till what had begun is done."""
        for one in self._withdrawals:
            one.wait()
