"""Which keys a graph has, whatever the version of Dask calls a graph."""

from collections.abc import Mapping


def scheduler_key(key):
    """The key as the scheduler knows it: up to 2023.8 all of them are texts."""
    try:
        from dask.utils import stringify
    except ImportError:
        return key
    return stringify(key)


def keys_of(graph, wanted):
    """Keys of all tasks that computing the `wanted` ones means, as the scheduler knows them.

    Since 2025 an expression becomes a graph only on the scheduler; here that is done once more, for the names alone.
    """
    from dask.optimization import cull

    try:
        tasks = dict(graph) if isinstance(graph, Mapping) else graph.__dask_graph__()
        tasks, _ = cull(tasks, list(wanted))
    except Exception:
        tasks = wanted  # better some than none
    return [scheduler_key(key) for key in tasks]


def group_of(key):
    """The name by which Dask groups a task with others."""
    from distributed.utils import key_split

    return key_split(key)
