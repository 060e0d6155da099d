"""Event loops of the host.

`SelectLoop` has one thread, so that the process may fork at any time. `ThreadLoop` is for places without fork,
where pipes cannot be selected on either (Windows): a thread waits for each source and hands what it got to
the main thread.
"""

import heapq
import itertools
import os
import queue
import selectors
import signal
import threading
import time


class _Timers:
    def __init__(self):
        self._heap = []
        self._order = itertools.count()

    def add(self, seconds, call):
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._order), call))

    def wait(self):
        """Seconds until the next one is due, None without any."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None

    def fire(self):
        while self._heap and self._heap[0][0] <= time.monotonic():
            heapq.heappop(self._heap)[2]()


class _Loop:
    """What both loops share; `step` is theirs: it handles what is there and fires the timers that are due."""

    def __init__(self):
        self._timers = _Timers()
        self._stopped = False

    def call_later(self, seconds, call):
        self._timers.add(seconds, call)

    def stop(self):
        self._stopped = True

    def run(self):
        while not self._stopped:
            self.step(self._timers.wait())


class SelectLoop(_Loop):
    """One thread, `selectors` and SIGCHLD."""

    def __init__(self):
        super().__init__()
        self._selector = selectors.DefaultSelector()
        self._processes = {}
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        self._selector.register(self._wake_r, selectors.EVENT_READ, None)

    def watch(self, fd, on_bytes):
        """Calls `on_bytes` with what arrives; an empty value is the end, after which it watches no longer."""
        self._selector.register(fd, selectors.EVENT_READ, on_bytes)

    def unwatch(self, fd):
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def watch_process(self, process, on_exit):
        self._processes[process] = on_exit

    def step(self, timeout):
        """Handles what is there, waiting at most `timeout` seconds for it (None: without limit)."""
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._drain_wakeups()
            else:
                self._read(key.fd, key.data)
        self._reap()
        self._timers.fire()

    def _read(self, fd, on_bytes):
        try:
            data = os.read(fd, 65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.unwatch(fd)
        on_bytes(data)

    def _drain_wakeups(self):
        try:
            while os.read(self._wake_r, 4096):
                pass
        except BlockingIOError:
            pass

    def _reap(self):
        for process, on_exit in list(self._processes.items()):
            if process.exited():
                del self._processes[process]
                on_exit()
        self._reap_orphans()

    def _reap_orphans(self):
        """Grandchildren whose parent was killed become children of the host, where it is a subreaper."""
        if not hasattr(os, "waitid"):
            return
        known = {process.pid for process in self._processes}
        try:
            while True:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid in known:
                    return
                os.waitpid(found.si_pid, 0)
        except ChildProcessError:
            pass

    def forget_in_child(self):
        """In a forked child: gives up everything that belongs to the host."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        os.close(self._wake_r)
        os.close(self._wake_w)


class ThreadLoop(_Loop):
    """A queue in the main thread, fed by one thread a source."""

    def __init__(self):
        super().__init__()
        self._queue = queue.Queue()
        self._readers = {}

    def watch(self, fd, on_bytes):
        thread = threading.Thread(target=self._pump, args=(fd, on_bytes), daemon=True)
        self._readers[fd] = thread
        thread.start()

    def unwatch(self, fd):
        self._readers.pop(fd, None)

    def _pump(self, fd, on_bytes):
        data = b"x"
        while data:
            try:
                data = os.read(fd, 65536)
            except OSError:
                data = b""
            self._queue.put((on_bytes, (data,)))

    def watch_process(self, process, on_exit):
        def wait():
            process.wait()
            reader = self._readers.get(process.read_fd)
            if reader:
                reader.join(1)  # its last lines come before its end
            self._queue.put((on_exit, ()))

        threading.Thread(target=wait, daemon=True).start()

    def step(self, timeout):
        try:
            call, args = self._queue.get(timeout=timeout) if timeout != 0 else self._queue.get_nowait()
            call(*args)
        except queue.Empty:
            pass
        self._timers.fire()
