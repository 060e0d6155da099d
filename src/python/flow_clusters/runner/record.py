"""Tells a Prefect API that a flow run, whose process was killed, is cancelled. In a process of its own, bounded."""

import os
import signal

from .. import belongings

SECONDS = 3


def run(order, fd_in, fd_out, directory, forked):
    """`order` has the flow run's id, the API's address and the environment of the run."""
    if forked:
        belongings.die_with_parent()
    belongings.watch_pipe(lambda n: os.read(fd_in, n), lambda message: None, belongings.end_own_group)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
    os.environ.update(order["env"])
    from . import prefect_settings
    from .prefect23 import record_cancelled

    prefect_settings.apply(order["api_url"])
    # It may have ended by itself in the moment in which it was killed: that stays.
    record_cancelled(order["prefect_run_id"], ended_too=False)
    return 0
