"""Clusters of a Dask Gateway: their class is no cluster of Dask's, and what it takes only the gateway knows."""

import sys

PLACE = ("address", "proxy_address", "public_address", "auth")
OVER = ("STOPPING", "STOPPED", "FAILED")


def options(target, kwargs):
    """What the gateway lets users choose, None if `target` is not its class or the gateway can't be asked now."""
    dask_gateway = sys.modules.get("dask_gateway")
    cluster = getattr(dask_gateway, "GatewayCluster", None)
    if not (isinstance(target, type) and cluster is not None and issubclass(target, cluster)):
        return None
    try:
        with dask_gateway.Gateway(**{key: kwargs[key] for key in PLACE if key in kwargs}) as gateway:
            fields = vars(gateway.cluster_options())["_fields"].values()
    except Exception:  # the call of the class itself will tell why
        return None
    return [_Option(field, target) for field in fields]


class _Option:
    """As `_Parameter` of `signature.py`."""

    required = False

    def __init__(self, field, owner):
        self.name = field.field
        self._field, self._owner = field, owner

    def enumeration(self):
        return None

    def described(self):
        field = self._field
        told = {"name": self.name, "required": False, "of": self._owner.__name__}
        told.update(default=repr(field.value), value=field.value, annotation=type(field).__name__.lower())
        choices = getattr(field, "options", None)
        if choices:
            told["choices"] = list(choices)
        bounds = (("from", getattr(field, "min", None)), ("to", getattr(field, "max", None)))
        limits = " ".join("%s %g" % bound for bound in bounds if bound[1] is not None)
        told["doc"] = "An option of this gateway: %s%s." % (field.label, limits and ", " + limits)
        return told


def stop(cluster):
    """Has the gateway stop a cluster, by its own words: the class's `close` keeps failures to itself.

    Returns what is to be waited for, if anything.
    """
    gateway = getattr(cluster, "gateway", None)
    wanted = getattr(cluster, "shutdown_on_close", False) and getattr(cluster, "name", None)
    if not (wanted and hasattr(gateway, "stop_cluster") and gateway.loop.asyncio_loop.is_running()):
        return None
    return gateway.stop_cluster(cluster.name)


def report(cluster):
    """The gateway's word on a cluster that the class has lost sight of: what is to be waited for, or a report."""
    watch = getattr(cluster, "_watch_worker_status_task", None)
    return cluster.gateway.get_cluster(cluster.name) if watch is not None and watch.done() else None


def is_submitting(cluster):
    """Whether it has been asked for by a call that is under way: nobody could stop it yet, nor its class."""
    return hasattr(cluster, "gateway") and getattr(cluster, "name", "") is None
