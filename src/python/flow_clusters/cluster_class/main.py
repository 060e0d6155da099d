"""One cluster of a class that the user names, or of a function that makes one, in a process of its own.

It is made as Prefect makes it in a flow: `with cluster_class(**cluster_kwargs) as cluster`, and by Prefect 2, where
that is installed, `async with cluster_class(asynchronous=True, **cluster_kwargs)`. What it has made elsewhere (jobs,
pods, machines) only it can end: so this process is never killed before its `close()` has had a chance.
"""

import asyncio
import contextlib
import gc
import inspect
import os
import queue
import signal
import sys
import threading
import time
import weakref

import dask

from .. import belongings, warm_workers
from ..cluster import inherit
from ..lines import LineWriter
from ..runner.interrupt import Interrupt
from . import gateway, targets
from .signature import Signature
from .targets import Refused

CLOSE_SECONDS = 60  # tasks of a cloud may take half of that to stop
GOODBYE_SECONDS = 3  # to a scheduler that has closed already
CONSTRUCTOR_SECONDS = 2
CANCEL_SECONDS = 1
STARTING_SECONDS = 12  # with these, for what is being made at that moment to be there
LEAVE_SECONDS = STARTING_SECONDS + 3  # from when its end is asked for until it begins to close
PATIENCE_SECONDS = LEAVE_SECONDS + CLOSE_SECONDS + 2  # until others kill this process
LOOK_SECONDS = 1
SCHEMES = ("tcp", "tls", "ws", "wss", "gateway")
HALF_WAY = ("starting", "closing")
VERBS = ("scale", "adapt", "close")


def run(order, fd_in, fd_out, directory, forked):
    """Runs the cluster till it is closed, and ends this process. `order` is a `cluster.start` request with `class`."""
    cluster = _ClassCluster(order, LineWriter(fd_out))
    if forked:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    belongings.watch_pipe(lambda n: os.read(fd_in, n), cluster.hear, cluster.abandoned)
    cluster.live()


class _Interrupted(BaseException):
    """What the class does is given up: it took too long, or nobody wants the cluster any more."""


class _ClassCluster:
    def __init__(self, order, writer):
        self._order = order
        self._class = order["class"]
        self._name = self._class["path"]
        self._started_at = order.get("asked_at") or time.time()
        self._writer = writer
        self._orders = queue.Queue()
        self._interrupt = Interrupt(signal.SIGINT)  # as ^C in the user's own script
        self._loop = self._given_up = None  # of an asynchronous cluster
        self._late = self._alone = False
        self._adaptive = None
        self._kept = ()  # clusters that nobody else may hold any more when their start has ended
        self._leaving = threading.Lock()
        self._left_at = None
        self._closing = False
        self._finishing = threading.Lock()
        self._reason = None  # fields of `cluster.ended`, once it is known why
        self._left = {}  # what closing has to say

    def _say(self, event, **fields):
        self._writer.send(dict(event=event, cluster=self._order["cluster"], **fields))

    # -- heard, in another thread --------------------------------------------------------------------------

    def hear(self, message):
        if message.get("op") == "cluster.close":
            self._leave()
        else:
            self._orders.put(message)

    def abandoned(self):
        """The host has gone, and so has whoever would read what is printed."""
        self._alone = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        self._leave()

    def _too_late(self):
        self._late = True
        self._leave()

    def _leave(self):
        """Begins the end, once. Closing has a limit of its own, from when it begins."""
        if not self._leaving.acquire(blocking=False):
            return
        self._left_at = time.monotonic()
        self._clock(LEAVE_SECONDS, self._give_up_unless_closing)
        self._orders.put(None)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._given_up.set)
        else:
            # In the middle of a constructor nobody could close what it has begun to make: a moment later one can.
            deadline = time.monotonic() + CONSTRUCTOR_SECONDS
            while any(_is_begun(one) for one in _clusters()) and time.monotonic() < deadline:
                time.sleep(0.01)
            self._interrupt.send()

    def _give_up_unless_closing(self):
        if not self._closing:
            text = "%s was busy for %d s after its end was asked for, and was not closed."
            self._give_up(text % (self._name, LEAVE_SECONDS))

    def _give_up(self, left):
        self._finish(dict(self._reason or self._end("closed"), left=left), kill=True)

    def _finish(self, end, kill=False):
        """Says how it has ended, and ends this process, in which a library may have left threads that never end."""
        if not kill:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
        self._finishing.acquire()  # for good: who comes second waits here until the first has ended the process
        self._say("cluster.ended", **end)
        if kill or self._alone:
            belongings.end_own_group()
        os._exit(0 if end["reason"] == "closed" else 1)

    @staticmethod
    def _clock(seconds, call, *args):
        timer = threading.Timer(seconds, call, args)
        timer.daemon = True
        timer.start()
        return timer

    # -- the story, in the main thread ---------------------------------------------------------------------

    def live(self):
        """Never returns."""
        clock = self._clock(self._class["start_timeout"], self._too_late)
        try:
            call, asynchronous = self._prepare()
            if asynchronous:
                asyncio.run(self._in_loop(call, clock))
            else:
                _drive(self._tell(call, clock))
        except KeyboardInterrupt:  # before the class was called, or in the moment in which its call failed
            self._interrupt.hold()
            _drive(self._close(None, True))
            end = dict(self._end(), **self._left)
        except BaseException as error:
            end = dict(reason="failed", **targets.failure(error))
        self._finish(end)

    def _end(self, reason="failed"):
        """Fields of `cluster.ended`, for whoever knows no better reason."""
        if self._late:
            message = "%s did not start within %g s." % (self._name, self._class["start_timeout"])
            return {"reason": "failed", "kind": "timeout", "message": message}
        return {"reason": reason}

    def _prepare(self):
        """Everything that can be known before the class is called. Returns the call, and whether that is in a loop."""
        inherit(self._order)
        sys.path.insert(len(self._order.get("path") or ()), os.getcwd())
        if os.name == "posix":
            warm_workers.spawn_tracker()
        warm_workers.hide_main()
        if self._class.get("image"):
            _tell_prefect(self._class["image"])
        self._say("cluster.stage", stage="importing %s" % self._name.rpartition(":" if ":" in self._name else ".")[0])
        target = targets.find(self._name)
        kwargs = targets.value(self._class["kwargs"])
        signature = Signature(target, kwargs)
        self._name = signature.name
        for note in signature.check(kwargs):
            print("flow-clusters: %s" % note, file=sys.stderr)
        kwargs = signature.converted(kwargs)
        asynchronous = inspect.iscoroutinefunction(target)
        if _prefect_major() == 2:
            if signature.accepts("asynchronous") or signature.open:
                asynchronous = True
                kwargs["asynchronous"] = True
            else:
                text = "flow-clusters: %s takes no asynchronous=True, which Prefect 2 would give it in a flow."
                print(text % self._name, file=sys.stderr)
        self._say("cluster.stage", stage="starting %s" % self._name)
        return (lambda: target(**kwargs)), asynchronous

    async def _in_loop(self, call, clock):
        self._given_up = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._leaving.locked():
            self._given_up.set()
        await self._tell(call, clock)

    async def _tell(self, call, clock):
        """Never returns."""
        leave, given_up = None, False
        try:
            cluster, leave = await self._enter(call)
            news = await self._size(cluster)
            self._interrupt.hold()
            self._announce(cluster, news)
            clock.cancel()
            end = self._end("closed") if self._leaving.locked() else await self._serve(cluster)
        except (KeyboardInterrupt, _Interrupted):
            given_up = True
            self._interrupt.hold()
            self._kept = _clusters()  # Dask ends the coroutine that starts them, which may be all that holds them
            await self._wait_for_starting()
            end = self._end("closed")
        except BaseException as error:  # whatever it is, there may be something to close
            self._interrupt.hold()
            self._kept = _clusters()
            end = dict(reason="failed", **targets.failure(error))
        clock.cancel()
        self._leaving.acquire(blocking=False)  # whatever has ended it, nobody else does
        self._reason = end
        if end["reason"] == "died":  # Dask says goodbye to the scheduler first, and waits for it
            dask.config.set({"distributed.comm.timeouts.connect": "%ds" % GOODBYE_SECONDS})
        await self._close(leave, given_up)
        self._finish(dict(end, **self._left))

    async def _enter(self, call):
        """Returns the cluster, and what ends it."""
        if self._loop is None:
            return _entered(call(), "__enter__", "__exit__", self._name)
        return await self._unless_given_up(self._enter_in_loop(call), cancel=False)

    async def _unless_given_up(self, work, cancel=True):
        """What something of the class gives, which may never end: in a loop nobody waits on when it is given up.

        `cancel`: it is not to go on beside closing, as a start does, whose cluster can be closed when it is there.
        """
        if self._loop is None:  # that is interrupted
            return await work
        work = asyncio.ensure_future(work)
        given_up = asyncio.ensure_future(self._given_up.wait())
        await asyncio.wait({work, given_up}, return_when=asyncio.FIRST_COMPLETED)
        given_up.cancel()
        if work.done():
            return work.result()
        if cancel:
            work.cancel()
            await asyncio.wait({work}, timeout=CANCEL_SECONDS)
        raise _Interrupted

    async def _enter_in_loop(self, call):
        made = call()
        if inspect.iscoroutine(made):
            made = await made
        if not getattr(made, "asynchronous", hasattr(made, "__aenter__")):
            return _entered(made, "__enter__", "__exit__", self._name)
        entering, leave = _entered(made, "__aenter__", "__aexit__", self._name)
        return await entering, leave

    async def _settled(self, value):
        """What a method of the cluster gives; waited for if it is a coroutine, as synchronous ones may have too."""
        if not inspect.isawaitable(value):
            return value
        return await value if self._loop is not None else asyncio.run(_await(value))

    async def _size(self, cluster):
        """As many workers as the executor says, by its own `scale` and `adapt`. Returns what is then to be said."""
        number, limits = self._class.get("n_workers"), self._order.get("adapt")
        news = None
        if number is not None:
            news = await self._unless_given_up(self._scale(cluster, number))
        if limits is not None:
            news = await self._unless_given_up(self._adapt(cluster, limits))
        return news

    async def _scale(self, cluster, number):
        self._check_scaling(cluster, "scale", "n_workers")
        stop = getattr(self._adaptive, "stop", None)
        if stop is not None:
            await self._settled(stop())
        self._adaptive = None
        await self._settled(cluster.scale(number))
        return {"n_workers": number}

    async def _adapt(self, cluster, limits):
        self._check_scaling(cluster, "adapt", "adapt_kwargs")
        given = {key: value for key, value in limits.items() if value is not None}
        self._adaptive = await self._settled(cluster.adapt(**given))
        bounds = {"minimum": given.get("minimum", 0), "maximum": given.get("maximum")}
        return {"n_workers": len(_workers(cluster)), "adaptive": bounds}

    def _check_scaling(self, cluster, verb, key):
        if callable(getattr(cluster, verb, None)) and getattr(cluster, "_supports_scaling", True):
            return
        text = "%s can't be scaled: how many workers it has, its own arguments say." % self._name
        raise Refused("no-scaling", text, hint="Leave %s out." % key)

    def _announce(self, cluster, news):
        address = _address(cluster, self._name)
        fields = {"security": _security(cluster)} if address.startswith(("tls:", "wss:", "gateway:")) else {}
        self._say(
            "cluster.started",
            address=address,
            dashboard=_dashboard(cluster),
            n_workers=len(_workers(cluster)),
            pid=os.getpid(),
            pgid=os.getpgrp() if hasattr(os, "getpgrp") else None,
            seconds=round(time.time() - self._started_at, 4),
            **fields,
        )
        if news is not None:
            self._say("cluster.scaling", **news)
        self._say("cluster.stage", stage="running")

    async def _serve(self, cluster):
        """Hears what is asked for, until the end; returns what that is."""
        while True:
            try:
                if self._loop is None:
                    order = self._orders.get(timeout=LOOK_SECONDS)
                else:
                    order = await self._loop.run_in_executor(None, self._orders.get, True, LOOK_SECONDS)
            except queue.Empty:
                if await self._is_over(cluster):
                    return {"reason": "died", "message": "The scheduler of %s has closed." % self._name}
                continue
            if order is None:
                return {"reason": "closed"}
            await self._change(cluster, order)

    async def _is_over(self, cluster):
        if any(_status(one) in ("closed", "failed") for one in (cluster, getattr(cluster, "scheduler", None))):
            return True
        try:
            report = await self._settled(gateway.report(cluster))
        except Exception:  # it may be away for a moment
            return False
        return report is not None and report.status.name in gateway.OVER

    async def _change(self, cluster, order):
        op, id = order["op"], order.get("id")
        try:
            with self._interrupt.released():
                news = await self._unless_given_up(self._changed(cluster, order))
            self._say("cluster.scaling", id=id, **news)
        except Exception as error:
            self._say("error", op=op, id=id, message=str(error) or type(error).__name__)

    async def _changed(self, cluster, order):
        if order["op"] == "cluster.scale":
            return await self._scale(cluster, order["n_workers"])
        if order["op"] == "cluster.adapt":
            return await self._adapt(cluster, {key: order.get(key) for key in ("minimum", "maximum")})
        raise ValueError("%s does not do that" % self._name)

    # -- the end -------------------------------------------------------------------------------------------

    async def _wait_for_starting(self):
        """What is being made right now can only be ended when it is there, or by itself when its start fails."""
        deadline = (self._left_at or time.monotonic()) + STARTING_SECONDS
        while any(_is_starting(one) for one in _clusters()):
            if time.monotonic() > deadline:
                return
            await self._pause(0.05)

    async def _pause(self, seconds):
        if self._loop is None:
            time.sleep(seconds)
        else:
            await asyncio.sleep(seconds)

    async def _close(self, leave, given_up):
        """Leaves the cluster as `with` does, and closes whatever else of the kind this process has made."""
        self._closing = True
        self._clock(CLOSE_SECONDS, self._give_up, "%s was not closed within %d s." % (self._name, CLOSE_SECONDS))
        for cluster in _clusters():
            try:
                await self._settled(gateway.stop(cluster))
            except BaseException as error:
                self._note_left(error)
        if given_up:
            await self._close_strays()
        try:
            if leave is not None:
                await self._settled(leave(None, None, None))
        except BaseException as error:  # it may end itself, which must not keep the rest from being closed
            self._note_left(error)
        for cluster in _clusters():
            try:
                if _status(cluster) in HALF_WAY:
                    # Else its own `close` takes it for not begun and leaves all, or waits for the end of another.
                    _mark_failed(cluster)
                if _status(cluster) != "closed":
                    await self._settled(cluster.close())
            except BaseException as error:
                self._note_left(error)
            await self._do_last(cluster)

    async def _do_last(self, cluster):
        """Does what a class has set aside for the end of its interpreter: those of clouds delete roles then.

        By then Dask has stopped the loop that they want to do it in, and this process ends without.
        """
        for last in _finalizers(cluster):
            _, call, args, kwargs = last.detach()
            if getattr(call, "__self__", None) is cluster and call.__name__ == "sync":
                call, *args = args
            try:
                await self._settled(call(*args, **kwargs))
            except BaseException as error:
                self._note_left(error)

    async def _close_strays(self):
        """Workers that a start has made and not told its cluster of yet, whose own way of closing fails beside them."""
        for cluster in _clusters():
            strays = _strays(cluster)
            try:
                if strays:
                    await self._settled(cluster.sync(_close_all, strays))
            except BaseException as error:
                self._note_left(error)

    def _note_left(self, error):
        text = "%s could not be closed: %s" % (self._name, targets.said(error))
        self._left = {"left": text, "traceback": targets.trace(error)["traceback"]}


def _drive(story):
    """Runs a coroutine that never waits in a loop: synchronous clusters need a thread in which none runs."""
    story.send(None)
    raise RuntimeError("waited without a loop")


async def _await(value):
    return await value


def _entered(made, enter, leave, name):
    if not hasattr(type(made), enter):
        text = "%s gives %s, which is no cluster." % (name, type(made).__name__)
        raise Refused("not-a-cluster", text, hint="A cluster is what `with` can be used on, as Prefect does.")
    cluster = getattr(made, enter)()
    return cluster, getattr(made, leave)


def _prefect_major():
    version = getattr(sys.modules.get("prefect"), "__version__", "")
    return int(version.split(".")[0]) if version[:1].isdigit() else None


def _tell_prefect(image):
    """`prefect.context.image` of Prefect 1, as its agents set it for a flow run."""
    os.environ["PREFECT__CONTEXT__IMAGE"] = image
    context = getattr(sys.modules.get("prefect"), "context", None)
    if hasattr(context, "update"):
        context.update(image=image)


def _address(cluster, name):
    address = getattr(cluster, "scheduler_address", None)
    scheme = address.partition("://")[0] if isinstance(address, str) else None
    if scheme == "inproc":
        text = "The scheduler of %s can be reached in its own process only (inproc://)." % name
        raise Refused("address", text, hint='Add "protocol": "tcp" to cluster_kwargs.')
    if scheme not in SCHEMES:
        known = ", ".join(one + "://" for one in SCHEMES)
        text = "The scheduler of %s is at %s, where it can't be reached from here." % (name, address)
        raise Refused("address", text, hint="What can be reached: %s." % known)
    return address


def _security(cluster):
    """Certificates that clients need, as PEM texts."""
    from distributed.security import Security

    security = getattr(cluster, "security", None) or Security()
    if hasattr(security, "tls_cert"):  # a gateway's
        return gateway.pem(security)
    config = security.get_tls_config_for_role("client")
    files = {"ca": config.get("ca_file"), "cert": config.get("cert"), "key": config.get("key")}
    return {name: _pem(value) for name, value in files.items() if value}


def _pem(value):
    if "-----BEGIN" in value:
        return value
    with open(value) as file:
        return file.read()


def _dashboard(cluster):
    try:
        link = getattr(cluster, "dashboard_link", None)
    except Exception:  # a cluster without one may not know how to say so
        return None
    return link if isinstance(link, str) and link.startswith("http") else None


def _workers(cluster):
    info = getattr(cluster, "scheduler_info", None)
    return info.get("workers", ()) if hasattr(info, "get") else ()


def _clusters():
    """All clusters that this process has made: Dask's own, and what is one without its base class."""
    from distributed.deploy.cluster import Cluster

    kinds = {}

    def is_cluster(kind):
        if id(kind) not in kinds:
            kinds[id(kind)] = issubclass(kind, Cluster) or all(_has(kind, verb) for verb in VERBS)
        return kinds[id(kind)]

    return [one for one in gc.get_objects() if is_cluster(type(one))]


def _has(kind, name):
    return any(name in vars(base) for base in kind.__mro__)


def _status(one):
    status = getattr(one, "status", None)
    return status if isinstance(status, str) else getattr(status, "name", None)


def _is_begun(cluster):
    """Whether its constructor has only begun, or is about to end by itself."""
    return _status(cluster) in (None, "created", "closing") or gateway.is_submitting(cluster)


def _is_starting(cluster):
    """Itself, or workers of it, which Dask does not close before they are there."""
    workers = list(getattr(cluster, "_created", ()))
    under_way = _status(cluster) in HALF_WAY and not _is_stopped(cluster)
    return under_way or any(_status(one) in ("init", "starting") for one in workers)


def _is_stopped(cluster):
    """Whether Dask has ended the coroutine that starts or closes it: it does where the wait for that is interrupted."""
    loop = getattr(getattr(cluster, "loop", None), "asyncio_loop", None)
    if loop is None or getattr(cluster, "asynchronous", True):
        return False
    coroutines = (getattr(task, "get_coro", lambda: None)() for task in asyncio.all_tasks(loop))
    return not any(getattr(one, "__name__", None) in ("_start", "_close") for one in coroutines)


def _finalizers(cluster):
    """The youngest first, as at the end of an interpreter."""
    known = list(getattr(weakref.finalize, "_registry", ()))
    return [one for one in reversed(known) if (one.peek() or (None,))[0] is cluster]


def _strays(cluster):
    known = set(getattr(cluster, "workers", {}).values())
    over = ("closing", "closed", "failed")
    return [one for one in getattr(cluster, "_created", ()) if one not in known and _status(one) not in over]


async def _close_all(servers):
    await asyncio.gather(*(one.close() for one in servers), return_exceptions=True)


def _mark_failed(cluster):
    from distributed.core import Status

    cluster.status = Status.failed
