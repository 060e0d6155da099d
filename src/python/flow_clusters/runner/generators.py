"""Flows of Prefect 3 that yield: they return no final state, and run only as far as somebody asks for values."""

import asyncio
import inspect

SHOWN_VALUES = 100


def is_generator(flow):
    return bool(getattr(flow, "isgenerator", False))


def exhausted(values):
    """Runs it to its end, as `for value in flow(): pass`. Returns its final state, with the first values."""
    kept = []
    if inspect.isasyncgen(values):
        asyncio.run(_exhaust(values, kept))
    else:
        for value in values:
            _keep(kept, value)
    return _completed(kept)


async def _exhaust(values, kept):
    async for value in values:
        _keep(kept, value)


def relayed(is_async, begun, args, kwargs, final):
    """What a script gets that calls such a flow itself; `final` gets the state when the script needs no more values.

    `begun` is the context in which the flow is called; it is entered when the first value is asked for.
    """
    kept = []

    def relay():
        with begun as flow:
            for value in flow(*args, **kwargs):
                _keep(kept, value)
                yield value

    async def relay_async():
        with begun as flow:
            async for value in flow(*args, **kwargs):
                _keep(kept, value)
                yield value

    final[0] = _completed(kept)
    return relay_async() if is_async else relay()


def _keep(kept, value):
    if len(kept) < SHOWN_VALUES:
        kept.append(value)


def _completed(values):
    from prefect.states import Completed

    return Completed(data=values)
