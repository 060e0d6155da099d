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
            about = announced.submitted(kwargs, self._handler)
            with interrupt.held():
                future = super().submit(fn, *args, **kwargs)
            if about:
                self._task_runs[future.key] = about
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

    announced = Announced(run)
    interrupt = Interrupt(signal.SIGINT)
    return Executor


class Announced:
    """Tells of each task run of Prefect 1 when it is submitted, once, and has it told of from then on."""

    def __init__(self, run):
        self._run = run
        self._ids = set()

    def submitted(self, kwargs, handler):
        """`kwargs` of the executor's `submit`. Returns which task run that is for; None if it is for none."""
        if "task_runner_state_handlers" not in kwargs:
            return None
        kwargs["task_runner_state_handlers"] = [*(kwargs["task_runner_state_handlers"] or ()), handler]
        # In the rounds after the first, finished tasks are handed over again, to be passed by.
        state = kwargs.get("state")
        if kwargs.get("is_mapped_parent") or (state is not None and state.is_finished()):
            return None
        about = _about(kwargs)
        if about["id"] not in self._ids:
            self._ids.add(about["id"])
            self._run.channel.task(state="submitted", **about)
        return about


def _about(kwargs):
    """The state handler on the worker names it alike."""
    context, name = kwargs.get("context") or {}, kwargs["task"].name
    index = context.get("map_index")
    suffix = "" if index is None else "[%d]" % index
    return {"id": "%s%s" % (context.get("task_id") or name, suffix), "name": name, "label": name + suffix}
