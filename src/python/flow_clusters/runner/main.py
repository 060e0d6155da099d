"""Entry of a run: two sockets to the extension, the user's file loaded while the cluster starts, then the run."""

import atexit
import os
import signal
import sys
import threading

from .. import belongings, learned, terminal
from ..lines import LineWriter
from . import load, report
from .channel import Channel
from .connection import Connection
from .scheduler import Scheduler
from .submissions import Submissions
from .travel import Travel

GOODBYE_SECONDS = 3
EXIT_CODES = {"completed": 0, "failed": 1, "crashed": 1, "cancelled": 130}


def run(order, fd_in, fd_out, directory, forked):
    """Runs one flow; `order["spec"]` is a `RunSpec`. Returns the exit code."""
    spec = order["spec"]
    _settle(spec, directory, forked)
    terminal.attach(terminal.connect(spec["channel"], "io"))
    events = terminal.connect(spec["channel"], "events")
    run_ = Run(spec)
    run_.host = LineWriter(fd_out)
    run_.prefect_api_url = order.get("prefect_api_url")
    run_.channel = Channel(events, run_.editor_gone)
    belongings.watch_pipe(lambda n: os.read(fd_in, n), lambda message: None, belongings.end_own_group)
    baseline = learned.Baseline()
    code = run_.live()
    run_.host.send({"event": "learned", "modules": baseline.gained()})
    _say_goodbye(code)
    return code


def _settle(spec, directory, forked):
    if forked:
        belongings.die_with_parent()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from multiprocessing import process

        os.makedirs(directory, exist_ok=True)
        process.current_process()._config["tempdir"] = directory
    belongings.reseed()
    os.environ.update(spec.get("env") or {})
    if spec.get("env", {}).get("PYTHONPATH"):
        extra = spec["env"]["PYTHONPATH"].split(os.pathsep)
        sys.path.extend(p for p in extra if p and p not in sys.path)
    os.chdir(spec["cwd"])


class Run:
    """What the parts of a run share: the spec, the channel, what went wrong first."""

    def __init__(self, spec):
        self.spec = spec
        self.channel = None
        self.host = None
        self.prefect_api_url = None  # as the host knows it when the run is asked for
        self.failures = []  # of task runs, in the order in which they happened
        self.connection = None  # to the scheduler, and
        self.scheduler = None  # what it answers, once the run may go
        self.submissions = Submissions(self)
        self._ended = threading.Lock()

    def task_event(self, fields):
        """Tells the extension what a worker has said of a task run."""
        trouble = {key: fields.pop(key) for key in ("type", "error", "traceback") if key in fields}
        if fields["state"] == "cancelled" and self.channel.stopping.is_set():
            self.submissions.cut_short = True
        if fields["state"] in ("failed", "crashed"):
            self.failed_task(fields, trouble)
        self.channel.task(**fields)

    def failed_task(self, fields, trouble):
        """Remembers the failure of a task run, of its event and its exception, and puts that into the event."""
        failure = dict(fields)
        if trouble:
            failure.update(type=trouble["type"], message=trouble["error"], traceback=trouble["traceback"])
            fields.setdefault("message", "%s: %s" % (trouble["type"], trouble["error"]))
        self.failures.append(failure)

    def editor_gone(self):
        if self.spec.get("temporary"):
            belongings.end_own_group()
        self.channel.stop()

    def live(self):
        try:
            end = self._go_through()
        except report.Known as known:
            end = known.end()
        except BaseException as error:
            end = report.failure(error, self)
        if self.channel.stopping.is_set() and end["state"] != "completed":
            end = {"state": "cancelled", "message": end.get("message") or "Stopped."}
        return self._report(end)

    def finish(self, end):
        """Ends the run from another thread, when the user's code does not come back by itself."""
        os._exit(self._report(end))

    def _report(self, end):
        """Tells the extension how it ended, once."""
        sys.stdout.flush()
        sys.stderr.flush()
        if self._ended.acquire(blocking=False):
            self.channel.send("end", **end)
        return EXIT_CODES[end["state"]]

    def _go_through(self):
        self.channel.stage("loading")
        api = load.api_module(self.spec)
        prepared = api.prepare(self)
        self.channel.stage("waiting")
        order = self.channel.wait_for_go()
        if order is None:
            return {"state": "cancelled", "message": "Stopped before it started."}
        self.channel.stage("starting")
        if order.get("as_written"):
            return api.run_as_written(self, prepared, order)
        if "local_dask" in order:
            return api.run_alone(self, prepared, order["local_dask"])
        self.connection = Connection(order)
        self.connection.reach()
        self.scheduler = Scheduler(self.connection.address, lambda: self.connection.security)
        note = (lambda text: None) if self.spec.get("temporary") else self.channel.note
        with self.submissions.watched(), Travel(self.spec["workspace"], note).installed():
            return api.run(self, prepared, order)


def _say_goodbye(code):
    """As an interpreter ends: threads joined, exit handlers called. But never longer than a few seconds."""
    guard = threading.Timer(GOODBYE_SECONDS, os._exit, (code,))
    guard.daemon = True
    guard.start()
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        pass
    sys.stdout.flush()
    sys.stderr.flush()
