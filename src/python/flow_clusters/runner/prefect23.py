"""What Prefect 2 and 3 have in common: finding the flow, running it, naming how it ended."""

import asyncio
import contextlib
import inspect
import os
import signal

from . import generators, load, prefect_settings, report
from .interrupt import Interrupt
from .watch import Watch

STATES = {"COMPLETED": "completed", "FAILED": "failed", "CRASHED": "crashed", "CANCELLED": "cancelled"}


def prepare(run):
    """Loads what can be loaded before there is a cluster. Returns a `_Prepared`."""
    try:
        import prefect_dask  # noqa: F401
    except ImportError as error:
        raise load.missing("prefect-dask", error)
    prefect_settings.apply(run.prefect_api_url)
    entry = run.spec["entry"]
    if entry["how"] == "script":
        code = load.compiled(run.spec["file"])
        return Prepared(None, (), {}, code)
    module, called = load.import_file(run.spec["file"], _catching())
    flow, args, kwargs = _choose(run, module, called)
    return Prepared(flow, args, kwargs, None)


class Prepared:
    def __init__(self, flow, args, kwargs, code):
        self.flow, self.args, self.kwargs, self.code = flow, args, kwargs, code


@contextlib.contextmanager
def _catching():
    import prefect

    original = prefect.Flow.__call__

    def called(self, *args, **kwargs):
        raise load.FlowCalled(self, args, kwargs)

    prefect.Flow.__call__ = called
    try:
        yield
    finally:
        prefect.Flow.__call__ = original


def _choose(run, module, called):
    """The flow that the lens named; with no parameters given, those of an unguarded call of it."""
    import prefect

    path = run.spec["entry"]["path"]
    if called is not None and called.flow.fn.__qualname__ == path:
        flow = called.flow
    else:
        flow = load.attribute(module, path, called)
    if not isinstance(flow, prefect.Flow):
        raise report.Known("flow-not-found", "%r in %s is no Prefect flow." % (path, run.spec["file"]))
    given = run.spec.get("parameters") or {}
    if called is None or called.flow is not flow:
        return flow, (), dict(given)
    run.channel.note(
        "The file calls its flow while it is imported, without a `__main__` guard; that call is what runs."
    )
    if given:
        return flow, (), dict(given)
    return (
        flow,
        called.args_,
        {k: v for k, v in called.kwargs.items() if k not in ("return_state", "wait_for")},
    )


def run_flow(run, prepared, order, session_class):
    """Runs the prepared flow (or script) on the cluster that `order` names. Returns the fields of `end`."""
    if order.get("prefect_api_url") != run.prefect_api_url:
        prefect_settings.apply(order.get("prefect_api_url"))
    session = session_class(run)
    try:
        if prepared.code is not None:
            return session.to_the_end(lambda: session.script(prepared.code))
        return session.direct(prepared.flow, prepared.args, prepared.kwargs)
    finally:
        if run.scheduler:
            session.watch.close_gate()


class Session:
    """One flow run, and its subflows, on one cluster. A subclass for each version of Prefect."""

    stopped = load.STOPPED

    def __init__(self, run):
        self.run = run
        self.watch = Watch(run)
        self.address = run.connection and run.connection.address
        self.flow_run_id = None
        self.interrupt = Interrupt(signal.SIGTERM)
        self._task_runs = {}  # by the key that the scheduler knows them by

    def task_runner(self, flow):
        """A task runner that submits to the cluster, for this flow."""
        raise NotImplementedError

    def goes_along(self, task_runner):
        """Whether the tasks of a subflow with this task runner go to the cluster too."""
        raise NotImplementedError

    def announce_stop(self):
        """Before the engine is interrupted: makes it take that for a cancel, if it can."""
        raise NotImplementedError

    def direct(self, flow, args, kwargs):
        self._check_parameters(flow, args, kwargs)
        return self.to_the_end(lambda: self.call(flow, args, kwargs))

    def to_the_end(self, call):
        """`call` returns the final state; what it raises after a stop is the stop's own doing."""
        try:
            state = call()
        except BaseException:
            if not self.run.channel.stopping.is_set():
                raise
            return self.cancelled()
        return self.ended(state)

    def call(self, flow, args, kwargs):
        """Calls the flow with our task runner; returns its final state, or raises what the engine raises."""
        with self._begun(flow) as flow:
            if generators.is_generator(flow):
                return generators.exhausted(flow(*args, **kwargs))
            state = flow(*args, **dict(kwargs, return_state=True))
            if inspect.isawaitable(state):
                state = asyncio.run(_result_of(state))
            return state

    @contextlib.contextmanager
    def _begun(self, flow):
        """While this is entered, the flow and its subflows submit to the cluster, and a stop is heard."""
        # Prefect 2 signals itself again, after its handler is off.
        signal.signal(signal.SIGTERM, lambda *_: None)
        self.run.channel.when_stopped(self._stop)
        with self._announcing(flow), self._taking_along():
            self.run.channel.stage("running")
            yield flow.with_options(task_runner=self.task_runner(flow))

    def script(self, code):
        """Runs the file as `__main__`; its first call of the flow goes to the cluster, and the script goes on."""
        import prefect

        wanted = self.run.spec["entry"].get("qualname")
        original = prefect.Flow.__call__
        final = []

        def called(flow, *args, **kwargs):
            if final or not _matches(flow, wanted) or prefect.context.FlowRunContext.get():
                return original(flow, *args, **kwargs)
            final.append(None)
            prefect.Flow.__call__ = original
            return_state = kwargs.pop("return_state", False)
            given = self.run.spec.get("parameters") or {}
            args, kwargs = () if given else args, given or kwargs
            if generators.is_generator(flow):
                return generators.relayed(flow.isasync, self._begun(flow), args, kwargs, final)
            if flow.isasync:
                return self._call_async(flow, args, kwargs, return_state, final)
            final[0] = self.call(flow, args, kwargs)
            return final[0] if return_state else final[0].result()

        prefect.Flow.__call__ = called
        try:
            load.run_main(self.run.spec["file"], code)
        finally:
            prefect.Flow.__call__ = original
        if not final:
            raise report.Known(
                "flow-not-found",
                "%s ended without calling the flow %r." % (self.run.spec["file"], wanted),
            )
        return final[0]

    async def _call_async(self, flow, args, kwargs, return_state, final):
        with self._begun(flow) as flow:
            final[0] = await flow(*args, **dict(kwargs, return_state=True))
        if return_state:
            return final[0]
        result = final[0].result()
        return await result if inspect.isawaitable(result) else result

    @contextlib.contextmanager
    def _taking_along(self):
        """While this is entered, the tasks of subflows that ask for Dask, or for nothing, go to the cluster as well."""
        import prefect

        original, noted = prefect.Flow.__call__, set()

        def called(flow, *args, **kwargs):
            if prefect.context.FlowRunContext.get():
                if self.goes_along(flow.task_runner):
                    flow = flow.with_options(task_runner=self.task_runner(flow))
                elif flow.name not in noted:
                    noted.add(flow.name)
                    text = "The subflow %s keeps its own %s: its tasks run beside the flow, not on the cluster."
                    self.run.channel.note(text % (flow.name, type(flow.task_runner).__name__))
            return original(flow, *args, **kwargs)

        prefect.Flow.__call__ = called
        try:
            yield
        finally:
            prefect.Flow.__call__ = original

    # -- start -----------------------------------------------------------------------------------------------

    def _check_parameters(self, flow, args, kwargs):
        """Prefect's own check, before anything runs."""
        from prefect.utilities.callables import get_call_parameters

        try:
            parameters = get_call_parameters(flow.fn, args, kwargs)
            if flow.should_validate_parameters:
                flow.validate_parameters(parameters)
        except Exception as error:
            if type(error).__module__.split(".")[0] not in (
                "prefect",
                "pydantic",
                "pydantic_core",
                "builtins",
            ):
                raise
            raise report.Known("parameter", "The parameters do not fit the flow: %s" % error, error)

    @contextlib.contextmanager
    def _announcing(self, flow):
        """Tells the extension of the flow run as soon as Prefect has made it."""
        from prefect.context import FlowRunContext

        original = FlowRunContext.__enter__
        session = self

        def enter(context):
            found = getattr(context, "flow_run", None)
            if found is not None and session.flow_run_id is None:
                session.told_flow(flow.name, found.id, found.name)
            return original(context)

        FlowRunContext.__enter__ = enter
        try:
            yield
        finally:
            FlowRunContext.__enter__ = original

    def told_flow(self, name, run_id, run_name):
        self.flow_run_id = run_id
        url = os.environ.get("PREFECT_API_URL")
        self.run.host.send({"event": "flow", "prefect_run_id": str(run_id), "api_url": url})
        self.run.channel.send("flow", name=name, prefect_run_id=str(run_id), prefect_run_name=run_name)

    def client_options(self, flow):
        """Keyword arguments for the client of a flow's task runner: the user's own, for the chosen scheduler."""
        own = self.run.connection.options(getattr(flow.task_runner, "client_kwargs", None))
        return dict({"name": self.watch.client_name}, **own)

    def submitted(self, task_run_id, name, label, future):
        about = {"id": task_run_id, "name": name, "label": label}
        self._task_runs[future.key] = about
        self.run.channel.task(state="submitted", **about)

    # -- stop ------------------------------------------------------------------------------------------------

    def _stop(self):
        self.run.channel.stage("draining")
        self.watch.close_gate()
        self.run.submissions.close()
        self.announce_stop()
        self.interrupt.send()  # the engine's own handler ends the flow

    def drain(self):
        """Takes back the tasks that have not begun, which the gate keeps from it; waits for those that have."""
        for key in self.run.submissions.take_back():
            about = self._task_runs.get(key)
            if about:
                self.run.channel.task(state="cancelled", message="Stopped before it started", **about)
        self.run.submissions.wait()

    # -- end -------------------------------------------------------------------------------------------------

    def ended(self, state):
        self.run.channel.stage("finishing")
        if self.run.channel.stopping.is_set() and (self.run.submissions.cut_short or _kind(state) != "COMPLETED"):
            return self.cancelled()
        end = {"state": STATES.get(_kind(state), "failed")}
        if state.message:
            end["message"] = state.message
        value = state.result(raise_on_failure=False)
        if inspect.isawaitable(value):
            value = asyncio.run(_result_of(value))
        if isinstance(value, BaseException) and end["state"] != "completed":
            end = report.failure(value, self.run, show=False, state=end["state"])
        elif end["state"] == "completed":
            end["result"] = report.shown(value)
        elif self.run.failures:
            end = report.failure(RuntimeError(state.message), self.run, show=False, state=end["state"])
        return end

    def cancelled(self):
        """Where the engine did not record Cancelled itself, the API is told."""
        self.interrupt.hold()
        self.drain()
        if self.flow_run_id is not None:
            try:
                # It fails of the tasks that we did not let begin: that was the cancel.
                record_cancelled(self.flow_run_id, ended_too=True)
            except Exception as error:
                self.run.channel.note("Prefect could not be told that the run was cancelled: %s" % error)
        return {"state": "cancelled", "message": self.stopped}


class AsWritten:
    """Before a `Session`: flows keep the task runners of their source, and a stop is what Ctrl-C is in a terminal."""

    stopped = load.INTERRUPTED

    @contextlib.contextmanager
    def _begun(self, flow):
        signal.signal(signal.SIGTERM, lambda *_: None)
        self.run.channel.when_stopped(self._stop)
        with self._announcing(flow):
            self.run.channel.stage("running")
            yield flow

    def _stop(self):
        self.run.channel.stage("draining")
        self.announce_stop()
        self.interrupt.send()

    def drain(self):
        """Nothing of it is ours to take back: the task runner closes its client and its cluster."""


def record_cancelled(flow_run_id, ended_too):
    """`ended_too`: also where the API knows of another end already."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run_id).state
        keeps = state is not None and (state.name == "Cancelled" or (state.is_final() and not ended_too))
        if not keeps:
            client.set_flow_run_state(flow_run_id, Cancelled(message="Stopped from the editor"), force=True)


def _kind(state):
    return str(getattr(state.type, "value", state.type))


async def _result_of(awaitable):
    return await awaitable


def _matches(flow, wanted):
    """Whether this is the flow above which the user clicked, named as the source shows it."""
    if not wanted or getattr(load.bound(wanted), "fn", None) is flow.fn:
        return True
    qualname = flow.fn.__qualname__.replace(".<locals>", "")
    return qualname == wanted.replace(".<locals>", "")
