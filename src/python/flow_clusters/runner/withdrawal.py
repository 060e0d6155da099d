"""Takes back what one client has handed to a scheduler and has not begun; what others want there stays."""

import asyncio
import threading
import time

from .scheduler import NoAnswer

LOOP_SECONDS = 5
SETTLE_SECONDS = 2
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
WAITING = ("waiting", "queued", "no-worker", "processing")


class Withdrawal:
    """Make it when nothing is sent any more; then `take_back`, then `wait`."""

    def __init__(self, client, scheduler):
        self._client = client
        self._scheduler = scheduler
        self._begun = set()  # wanted keys that execute: they are waited for as they are
        self._left = {}  # worker -> keys that it may be executing, even if nobody wants them any more
        self._handed_out = {}  # worker -> all keys that it was seen to have
        self._look()

    def take_back(self):
        """Lets the scheduler forget what has not begun. Returns the keys of it."""
        pending = self._pending()
        self._look()
        on_workers = set().union(*self._handed_out.values())
        self._release([key for key in pending if key not in on_workers])
        taken = [key for key in pending if key in on_workers]
        self._begun = self._executing(taken)
        self._release([key for key in taken if key not in self._begun])
        withdrawn = [key for key in pending if key not in self._begun]
        self._settle(withdrawn)
        now = self._processing()
        for worker, keys in self._handed_out.items():
            gone = keys.difference(now.get(worker, ())) | keys & self._begun
            if gone:
                self._left[worker] = gone
        return withdrawn

    def wait(self):
        """Blocks till everything that had begun is done, wanted or not."""
        pause = FIRST_PAUSE
        while self._goes_on():
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _goes_on(self):
        if self._begun.intersection(self._pending()):
            return True
        for worker, keys in list(self._left.items()):
            message = {"op": "call_stack", "keys": list(keys)}
            try:
                self._left[worker] = set(self._scheduler.ask("proxy", worker=worker, msg=message))
            except NoAnswer:
                return True
            except Exception:  # the worker has gone, or the scheduler
                self._left[worker] = ()
            if self._left[worker]:
                return True
            del self._left[worker]
        return False

    def _pending(self):
        """Keys that the client wants and has not got, as the scheduler names them; none once it is closed."""
        if self._client.status != "running":
            return []
        return [key for key, state in list(self._client.futures.items()) if state.status == "pending"]

    def _look(self):
        for worker, keys in self._processing().items():
            self._handed_out.setdefault(worker, set()).update(keys)

    def _processing(self):
        """Worker -> keys that it has been handed, whoever wants them."""
        return self._ask("processing") or {}

    def _executing(self, keys):
        """Those of `keys`, all of them on workers, that have begun. The scheduler asks the workers in question only."""
        stacks = self._ask("call_stack", keys=keys) if keys else {}
        return {key for frames in (stacks or {}).values() for key in frames}

    def _ask(self, op, **fields):
        """None when the scheduler does not answer, or does not know one of the keys any more."""
        try:
            return self._scheduler.ask(op, **fields)
        except Exception:
            return None

    def _release(self, keys):
        """As if every future of these keys were gone. The message follows the graphs on their own stream."""
        if not keys:
            return

        def release():
            client = self._client
            client._send_to_scheduler({"op": "client-releases-keys", "keys": keys, "client": client.id})
            for key in keys:
                state = client.futures.get(key)
                if state is not None:
                    state.cancel()

        on_loop(self._client, release)

    def _settle(self, keys):
        """Waits till the scheduler has heard it. Keys that somebody else wants as well go on there, and rightly."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while keys and time.monotonic() < deadline:
            states = self._ask("get_task_status", keys=keys) or {}
            keys = [key for key, state in states.items() if state in WAITING]
            if keys:
                time.sleep(0.01)


def on_loop(client, call):
    """Calls in the loop of a client, whichever thread has that, and waits for it, within limits."""
    done = threading.Event()

    async def run():
        try:
            call()
        finally:
            done.set()

    coroutine = run()
    try:
        asyncio.run_coroutine_threadsafe(coroutine, client.loop.asyncio_loop)
    except (RuntimeError, AttributeError):  # the loop has ended, and the client's wishes with it
        coroutine.close()
    else:
        done.wait(LOOP_SECONDS)
