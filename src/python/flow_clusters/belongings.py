"""What a child of ours must do so that it never outlives the host, and never shares the host's random numbers."""

import os
import random
import signal
import sys
import threading


def die_with_parent():
    """Linux: SIGKILL when the parent's thread ends. Elsewhere the watch of the pipe has to do."""
    _prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def adopt_orphans():
    """Linux: descendants whose parent ends become children of this process, which then can see them gone."""
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _prctl(option, value):
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def reseed():
    """Children forked from one warm process would all draw the same numbers."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def watch_pipe(read, on_message, on_end):
    """A daemon thread that reads JSON lines by `read(bytes)`; calls `on_end()` when the other side has gone."""
    from .lines import LineReader

    reader = LineReader(on_message, lambda text: None)

    def pump():
        while True:
            try:
                data = read(65536)
            except OSError:
                data = b""
            if not data:
                on_end()
                return
            reader.feed(data)

    thread = threading.Thread(target=pump, daemon=True, name="flow-clusters-control")
    thread.start()
    return thread


def end_own_group():
    """The host has gone: nothing of this process's group may stay."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(137)
