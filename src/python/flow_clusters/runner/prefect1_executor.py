"""Prefect 1's own `DaskExecutor`, heard and stopped by us."""

import contextlib
import signal

from prefect.executors import DaskExecutor

from . import worker_side
from .interrupt import Interrupt


def executor_class(run, watch):
    """The class for one run. A flow with retries starts its executor anew for each round."""

    class Executor(DaskExecutor):
        @contextlib.contextmanager
        def start(self):
            self._task_runs = {}  # by the key that the scheduler knows them by
            with super().start():
                self._handler = worker_side.make(watch.attach(self.client), watch.gate).handler
                yield

        def submit(self, fn, *args, **kwargs):
            about = _about(kwargs) if "task_runner_state_handlers" in kwargs else None
            if about:
                given = kwargs["task_runner_state_handlers"] or ()
                kwargs["task_runner_state_handlers"] = [*given, self._handler]
            with interrupt.held():
                future = super().submit(fn, *args, **kwargs)
            if about and not kwargs.get("is_mapped_parent") and not _finished(kwargs):
                self._task_runs[future.key] = about
                if about["id"] not in announced:
                    announced.add(about["id"])
                    run.channel.task(state="submitted", **about)
            return future

        def _post_start_yield(self):
            interrupt.hold()
            if run.channel.stopping.is_set():
                self._drain()
            super()._post_start_yield()
            watch.detach(self.client)
            interrupt.let()

        def _drain(self):
            for key in run.submissions.take_back():
                about = self._task_runs.get(key)
                if about:
                    run.channel.task(state="cancelled", message="Stopped before it started", **about)
            run.submissions.wait()

        def close_gate(self):
            """No task begins any more: by Prefect's own event, which is there while the executor is started."""
            event = self._should_run_event
            if event is not None:
                run.scheduler.ask("event_clear", name=event.name)

        def interrupt(self):
            interrupt.send()

        def __reduce__(self):  # workers, if they get it at all, need a plain one
            return DaskExecutor, (self.address,)

    announced = set()
    interrupt = Interrupt(signal.SIGINT)
    return Executor


def _about(kwargs):
    """Which task run a submission is for; the state handler on the worker names it alike."""
    context, name = kwargs.get("context") or {}, kwargs["task"].name
    index = context.get("map_index")
    suffix = "" if index is None else "[%d]" % index
    return {"id": "%s%s" % (context.get("task_id") or name, suffix), "name": name, "label": name + suffix}


def _finished(kwargs):
    """In the rounds after the first, finished tasks are handed over again, to be passed by."""
    state = kwargs.get("state")
    return state is not None and state.is_finished()
