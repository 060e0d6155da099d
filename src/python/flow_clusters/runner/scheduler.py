"""Questions to the scheduler of a run, beside the user's own clients: they may be closed, or their loop busy."""

import asyncio
import concurrent.futures
import threading

ANSWER_SECONDS = 5


class NoAnswer(OSError):
    """It may be busy, or paused; a scheduler that has gone is another `OSError`."""


class Scheduler:
    """Calls come from any thread, are bounded, and one after the other. It registers no client."""

    def __init__(self, address, security):
        """`security()` gives the `distributed.Security` for it."""
        self.address = address
        self._security = security
        self._loop = None
        self._rpc = None
        self._lock = threading.Lock()

    def ask(self, op, seconds=ANSWER_SECONDS, **fields):
        """The scheduler's answer. Raises `OSError` when none comes, or whatever the scheduler itself raised."""
        with self._lock:
            if self._loop is None:
                self._start()
            asked = asyncio.run_coroutine_threadsafe(self._ask(op, fields), self._loop)
            try:
                return asked.result(seconds)
            except (concurrent.futures.TimeoutError, asyncio.TimeoutError):
                asked.cancel()
                raise NoAnswer("the scheduler did not answer %s within %s s" % (op, seconds))

    def _start(self):
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True, name="flow-clusters-scheduler").start()

    def _serve(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _ask(self, op, fields):
        from distributed.core import rpc

        if self._rpc is None:
            self._rpc = rpc(self.address, connection_args=self._security().get_connection_args("client"))
        return await getattr(self._rpc, op)(**fields)
