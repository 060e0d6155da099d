"""Task runs of Prefect 3 beside the flow: called like functions, or by a subflow's own task runner."""

from . import worker_side


def listen(run):
    """From now on they are told like those on workers: the engine is listened to in one place, and not changed."""
    from prefect import task_engine

    on_worker = worker_side.make(None, None)

    def tell(engine, state):
        task_run = engine.task_run
        if task_run is None:
            return
        fields = {
            "id": str(task_run.id),
            "name": engine.task.name,
            "label": task_run.name or engine.task.name,
            "state": on_worker.mapped(state),
        }
        if state.message:
            fields["message"] = state.message[:2000]
        if fields["state"] in ("failed", "crashed"):
            error = getattr(state.data, "result", state.data)
            trouble = on_worker.trouble(error) if isinstance(error, BaseException) else {}
            run.failed_task(fields, trouble)
        run.channel.task(**fields)
        if state.name == "Retrying":  # it runs once more; a wait before that is AwaitingRetry
            run.channel.task(**dict(fields, state="running"))

    for name in ("SyncTaskRunEngine", "AsyncTaskRunEngine"):
        engine_class = getattr(task_engine, name, None)
        if engine_class is not None:
            _listen(engine_class, tell)


def _listen(engine_class, tell):
    original = engine_class.set_state
    if engine_class.__name__.startswith("Async"):

        async def set_state(engine, state, *args, **kwargs):
            result = await original(engine, state, *args, **kwargs)
            tell(engine, state)
            return result
    else:

        def set_state(engine, state, *args, **kwargs):
            result = original(engine, state, *args, **kwargs)
            tell(engine, state)
            return result

    engine_class.set_state = set_state
