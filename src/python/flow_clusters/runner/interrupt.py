"""The signal by which an engine is told to end its flow: it must not hit the flow at a wrong moment.

Pydantic, for one, turns whatever is raised while it works into an error of its own, and the flow fails of that.
"""

import contextlib
import os
import signal
import threading


class Interrupt:
    def __init__(self, number):
        self._number = number
        self._lock = threading.Lock()
        self._held = 0
        self._put_off = False
        self._sent = threading.Event()

    def send(self):
        """Signals this process, at once or when that is no longer held off."""
        with self._lock:
            self._put_off = self._held > 0
            if not self._put_off:
                self._sent.set()
                _signal_this_process(self._number)

    def await_it(self, seconds):
        """Blocks the main thread till the signal hits it; where none can come any more, not at all."""
        if not self._held:
            self._sent.wait(seconds)

    @contextlib.contextmanager
    def held(self):
        """While the main thread is in here none is sent; one that was put off comes at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.hold()
        try:
            yield
        except BaseException:
            self._put_off = False  # on its way out already
            raise
        finally:
            self.let()

    def hold(self):
        """From now on none is sent. One that is underway is heard here at the latest, and is of no use any more."""
        try:
            with self._lock:
                self._held += 1
        except BaseException:
            self._held += 1

    @contextlib.contextmanager
    def released(self):
        """The other way round: while the main thread is in here they are sent, one that was put off at once."""
        self.let()
        try:
            yield
        finally:
            self.hold()

    def let(self):
        with self._lock:
            self._held -= 1
            put_off, self._put_off = self._put_off and not self._held, False
        if put_off:
            self.send()


def _signal_this_process(number):
    if os.name == "posix":
        os.kill(os.getpid(), number)  # wakes the main thread, whatever it waits for
    else:
        signal.raise_signal(number)  # os.kill ends the process there
