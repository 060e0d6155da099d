"""Prefect 1 on a given scheduler."""

import contextlib

import prefect

from . import load, local_dask, report, watch
from .prefect1_executor import executor_class


def prepare(run_):
    entry = run_.spec["entry"]
    if entry["how"] == "script":
        return None, load.compiled(run_.spec["file"])
    module, called = load.import_file(run_.spec["file"], _catching())
    return _choose(run_, module, called), None


@contextlib.contextmanager
def _catching():
    original = prefect.Flow.run

    def called(self, *args, **kwargs):
        raise load.FlowCalled(self, args, kwargs)

    prefect.Flow.run = called
    try:
        yield
    finally:
        prefect.Flow.run = original


def _choose(run_, module, called):
    """The flow and its parameters; without any given, those of an unguarded `flow.run(...)`."""
    flow = load.attribute(module, run_.spec["entry"]["path"], called)
    if not isinstance(flow, prefect.Flow):
        raise report.Known("flow-not-found", "%r is no Prefect 1 flow." % run_.spec["entry"]["path"])
    given = run_.spec.get("parameters") or {}
    if called is not None and called.flow is flow:
        run_.channel.note(
            "The file runs its flow while it is imported, without a `__main__` guard; that run is what happens."
        )
        given = given or called.kwargs.get("parameters") or {}
    return flow, given


def run(run_, prepared, order):
    seen = watch.Watch(run_)

    def executor(given):
        return executor_class(run_, seen)(
            address=run_.connection.address,
            watch_worker_status=False,
            # Prefect waits for active tasks on its way out, and finds them only through a default client.
            client_kwargs=dict(
                run_.connection.options(getattr(given, "client_kwargs", None)),
                set_as_default=True,
                name=seen.client_name,
            ),
        )

    try:
        return _run(_Session(run_, executor), prepared)
    finally:
        seen.close_gate()


def run_alone(run_, prepared, options):
    """Without a cluster: by Prefect's `LocalDaskExecutor`, with these keyword arguments."""
    with local_dask.told(run_, options) as executor:
        return _run(_Session(run_, lambda given: executor), prepared)


def run_as_written(run_, prepared, order):
    """With the executor that the flow's source gives it."""
    run_.channel.when_stopped(lambda: load.interrupt(run_))  # until the flow is there
    return _run(_AsWritten(run_, lambda given: given), prepared)


def _run(session, prepared):
    chosen, code = prepared
    if code is not None:
        return session.script(code)
    flow, parameters = chosen
    missing = [p.name for p in flow.parameters() if p.required and p.name not in parameters]
    unknown = sorted(set(parameters) - {p.name for p in flow.parameters()})
    if missing or unknown:
        what = "is missing" if missing else "is not known to the flow"
        raise report.Known("parameter", "Parameter %s %s." % (", ".join(missing or unknown), what))
    return session.ended(session.call(flow, {"parameters": parameters}))


class _Session:
    stopped = load.STOPPED

    def __init__(self, run_, executor):
        """`executor(given)` makes the one that runs the flow, in place of the given one."""
        self._run = run_
        self._executor = executor

    def call(self, flow, kwargs):
        """`flow.run` with our executor. Returns Prefect's final state, None when it was stopped."""
        executor = self._executor(kwargs.pop("executor", None) or flow.executor)
        self._run.submissions.stopped = KeyboardInterrupt
        self._run.channel.when_stopped(lambda: self._stop(executor))
        self._run.channel.send("flow", name=flow.name)
        self._run.channel.stage("running")
        kwargs.setdefault("run_on_schedule", False)
        try:
            return flow.run(executor=executor, **kwargs)
        except KeyboardInterrupt:
            if not self._run.channel.stopping.is_set():
                raise
            return None

    def script(self, code):
        """Runs the file as `__main__`; its first run of the flow goes to the cluster, and the script goes on."""
        wanted = self._run.spec["entry"].get("qualname")
        original = prefect.Flow.run
        final = []

        def called(flow, parameters=None, **kwargs):
            if final or not _matches(flow, wanted):
                return original(flow, parameters=parameters, **kwargs)
            prefect.Flow.run = original
            given = self._run.spec.get("parameters") or parameters
            final.append(self.call(flow, dict(kwargs, parameters=given)))
            return final[0]

        prefect.Flow.run = called
        try:
            load.run_main(self._run.spec["file"], code)
        finally:
            prefect.Flow.run = original
        if not final:
            text = "%s ended without running the flow %r." % (self._run.spec["file"], wanted)
            raise report.Known("flow-not-found", text)
        return self.ended(final[0])

    def _stop(self, executor):
        """No task begins any more; then the executor's own way out, which waits for the active ones."""
        self._run.channel.stage("draining")
        executor.close_gate()
        self._run.submissions.close()
        executor.interrupt()

    def ended(self, state):
        self._run.channel.stage("finishing")
        stopped = self._run.channel.stopping.is_set()
        if state is None or (stopped and (self._run.submissions.cut_short or not state.is_successful())):
            return {"state": "cancelled", "message": self.stopped}
        if state.is_successful():
            return {"state": "completed", "message": state.message}
        error = next(_errors(state), None) or RuntimeError(state.message)
        return report.failure(error, self._run, show=False)


class _AsWritten(_Session):
    """What Ctrl-C is in a terminal is a stop here: the executor closes the cluster that it has made."""

    stopped = load.INTERRUPTED

    def _stop(self, executor):
        load.interrupt(self._run)


def _errors(state):
    """Exceptions of the task runs of a flow's final state."""
    for one in state.result.values() if isinstance(state.result, dict) else ():
        for task_state in [*(getattr(one, "map_states", None) or []), one]:
            if task_state is not None and isinstance(task_state.result, BaseException):
                yield task_state.result


def _matches(flow, wanted):
    """Whether this is the flow above which the user clicked: by its variable, or by its name."""
    if not wanted or load.bound(wanted) is flow:
        return True
    last = wanted.split(".")[-1]
    return flow.name in (wanted, last) or last == "flow"
