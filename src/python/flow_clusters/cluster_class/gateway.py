"""Clusters of a Dask Gateway: their class is no cluster of Dask's, and what it takes only the gateway knows."""

import asyncio
import sys
from urllib.parse import urlsplit

from . import targets
from .targets import Refused

PLACE = ("address", "proxy_address", "public_address", "auth")
OVER = ("STOPPING", "STOPPED", "FAILED")
WHERE = "in an executor of dask_gateway.GatewayCluster, or under gateway in Dask's configuration"


def options(target, kwargs):
    """What the gateway lets users choose, None if `target` is not its class or the gateway can't be asked now."""
    dask_gateway = sys.modules.get("dask_gateway")
    cluster = getattr(dask_gateway, "GatewayCluster", None)
    if not (isinstance(target, type) and cluster is not None and issubclass(target, cluster)):
        return None
    try:
        given = asyncio.run(_options(dask_gateway.Gateway, _place(kwargs)))
    except Exception:  # the call of the class itself will tell why
        return None
    return [_Option(field, target) for field in vars(given)["_fields"].values()]


async def _options(kind, place):
    """In a loop: a synchronous `Gateway` complains to the terminal when it is collected after it has been closed."""
    async with kind(asynchronous=True, **place) as gateway:
        return await gateway.cluster_options()


def _place(kwargs):
    return {key: kwargs[key] for key in PLACE if key in kwargs}


def known(address, calls):
    """Certificates and dashboard of a cluster that is there, from its gateway; the scheduler is not talked to.

    `address`: `gateway://host:port/name`. `calls`: what gateways may be reached by, before how Dask is configured.
    Only the one of that proxy is asked: others need not hear of a login that is not for them.
    """
    return asyncio.run(_known(targets.find("dask_gateway.Gateway"), address, [*calls, {}]))


async def _known(kind, address, calls):
    place, _, name = address.partition("://")[2].partition("/")
    wanted = urlsplit("//" + place)
    unusable = None
    for call in calls:
        try:
            gateway = kind(asynchronous=True, **targets.value(_place(call)))
        except ValueError:  # none is configured
            continue
        except Exception as error:  # another one may be meant
            unusable = error
            continue
        async with gateway:
            own = urlsplit(gateway.proxy_address)
            if (own.hostname, own.port) == (wanted.hostname, wanted.port):
                return await _told(gateway, name)
    text = "No gateway is known here whose clusters are at gateway://%s." % place
    if unusable is not None:
        text += " One could not be used: %s" % unusable
    raise Refused("value", text, hint="Name its address and proxy_address %s." % WHERE)


async def _told(gateway, name):
    try:
        report = await gateway.get_cluster(name)
    except Exception as error:
        text = "The gateway at %s tells nothing of %s: %s" % (gateway.address, name, targets.said(error))
        hint = "Check address and auth %s." % WHERE
        raise Refused("value", text, hint=hint, **targets.trace(error)) from error
    if report.status.name != "RUNNING":
        text = "By its gateway, the cluster %s does not run: it is %s." % (name, report.status.name.lower())
        starts = report.status.name not in OVER
        raise Refused("value", text, hint="Attach when it runs." if starts else "It does not come back.")
    return {"dashboard": report.dashboard_link, "security": pem(report.security)}


def pem(security):
    """Its authority is the certificate itself."""
    return {"ca": security.tls_cert, "cert": security.tls_cert, "key": security.tls_key}


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
