"""Takes back what one client has handed to a scheduler and has not begun; what others want there stays."""

import asyncio
import threading
import time

from .scheduler import NoAnswer

LOOP_SECONDS = 5
ECHO_SECONDS = 10
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.2
ECHO = "flow-clusters-echo"


class Withdrawal:
    """Make it when nothing is sent any more; then `take_back`, then `wait`."""

    def __init__(self, client, scheduler):
        self._client = client
        self._scheduler = scheduler
        self._handed_out = {}  # worker -> all keys that it was seen to have, whoever wants them
        self._begun = set()  # keys that execute: they are wanted till they are done
        self._left = {}  # worker -> keys that it may be executing, wanted or not
        self._look()

    def take_back(self):
        """Lets the scheduler forget what has not begun. Returns the keys of it."""
        pending = set(self._pending())
        self._look()
        on_workers = set().union(*self._handed_out.values())
        self._release(pending - on_workers)
        self._begun = self._executing(self._only(pending))
        self._release(pending & on_workers - self._begun)
        self._hear_echo()
        now = self._processing()
        # What has vanished were tasks in between, of which nobody has a future.
        self._left = {w: keys - set(now.get(w, ())) | keys & pending for w, keys in self._handed_out.items()}
        return list(pending - self._begun)

    def wait(self):
        """Blocks till everything that had begun is done."""
        pause, quiet = FIRST_PAUSE, 0
        while quiet < 2:  # what is on its way to a worker may begin before the news that it is not wanted arrives
            if self._goes_on():
                quiet, pause = 0, min(pause * 1.3, LONGEST_PAUSE)
            else:
                quiet, pause = quiet + 1, FIRST_PAUSE
            time.sleep(pause)

    def _goes_on(self):
        try:
            executing = self._ask_workers(self._left)
        except NoAnswer:
            return True
        except Exception:  # the scheduler has gone
            executing = set()
        return bool(executing) or bool(self._begun.intersection(self._pending()))

    def _pending(self):
        """Keys that the client wants and has not got, as the scheduler names them; none once it is closed."""
        if self._client.status != "running":
            return []
        return [key for key, state in list(self._client.futures.items()) if state.status == "pending"]

    def _look(self):
        for worker, keys in self._processing().items():
            self._handed_out.setdefault(worker, set()).update(keys)

    def _only(self, keys):
        return {worker: had & keys for worker, had in self._handed_out.items()}

    def _processing(self):
        """Worker -> keys that it has been handed and has not done."""
        try:
            return self._scheduler.ask("processing")
        except Exception:
            return {}

    def _executing(self, by_worker):
        try:
            return self._ask_workers(by_worker)
        except Exception:
            return set()

    def _ask_workers(self, by_worker):
        """Which of these keys have a thread that works on them."""
        by_worker = {worker: keys for worker, keys in by_worker.items() if keys}
        if not by_worker:
            return set()
        message = {"op": "call_stack", "keys": list(set().union(*by_worker.values()))}
        stacks = self._scheduler.ask("broadcast", msg=message, workers=list(by_worker), on_error="ignore")
        return {key for frames in stacks.values() for key in frames}

    def _release(self, keys):
        """As if every future of these keys were gone. The message follows the graphs on their own stream."""
        if not keys:
            return

        def release():
            client = self._client
            client._send_to_scheduler({"op": "client-releases-keys", "keys": list(keys), "client": client.id})
            for key in keys:
                state = client.futures.get(key)
                if state is not None:
                    state.cancel()

        on_loop(self._client, release)

    def _hear_echo(self):
        """Waits till the scheduler has heard all that it was sent: asks it, on that stream, for a key that is none."""
        echo = _Echo()

        def call():
            self._client.futures[ECHO] = echo
            self._client._send_to_scheduler({"op": "report-key", "key": ECHO})

        if self._client.status == "running" and on_loop(self._client, call):
            echo.heard.wait(ECHO_SECONDS)
            self._client.futures.pop(ECHO, None)


class _Echo:
    """Stands among the states of a client's futures."""

    status = "echo"

    def __init__(self):
        self.heard = threading.Event()

    def cancel(self, *args, **kwargs):
        self.heard.set()


def on_loop(client, call):
    """Calls in the loop of a client, whichever thread has that, and waits for it. False when it does not come to it."""
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
        return False
    return done.wait(LOOP_SECONDS)
