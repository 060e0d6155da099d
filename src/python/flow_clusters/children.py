"""The host's side of a cluster and of a run: starts its process, hears it, reports its end once."""

import time

from .lines import LineReader, LineWriter
from .processes import kill_group, kill_rest

GROUP_GONE_SECONDS = 5
CLOSE_SECONDS = 4


class _Child:
    patience = 0  # seconds that it has to end by itself once the host has gone

    def __init__(self, host, table, key, module, order):
        if key in table:
            raise ValueError("there is one named %r already" % key)
        self._host = host
        self._table = table
        self.key = key
        self._folder = module.__name__.split(".")[1] + "-" + key
        self.process = host.start(module.run, dict(order, folder=self._folder), self.patience)
        self.pgid = self.process.pgid
        self._reader = LineReader(self._hear, lambda text: None)
        table[key] = self
        host.loop.watch(self.process.read_fd, self._read)
        host.loop.watch_process(self.process, self._exited)

    def _read(self, data):
        self._reader.feed(data)

    def _hear(self, message):
        event = message.pop("event")
        if event == "learned":  # between the processes of ours
            self._host.learn(message["modules"])
        else:
            self._host.say(event, **message)

    def tell(self, message):
        LineWriter(self.process.write_fd).send(message)

    def kill(self):
        self.process.kill()

    def _exited(self):
        """The leader has ended; its group number is still its own, so whoever is left in it can be ended."""
        self._host.loop.unwatch(self.process.read_fd)
        if self._host.mode == "fork":
            self._read(self.process.rest())
        if self.pgid is not None:
            kill_group(self.pgid)
        self.process.reap()
        self._deadline = time.monotonic() + GROUP_GONE_SECONDS
        self._until_group_gone()

    def _until_group_gone(self):
        if self.pgid is not None and kill_rest(self.pgid) and time.monotonic() < self._deadline:
            self._host.loop.call_later(0.005, self._until_group_gone)
            return
        del self._table[self.key]
        self._host.gone(self.process, self._folder)
        self._report()

    def _report(self):
        raise NotImplementedError


class ClusterChild(_Child):
    def __init__(self, host, request, module=None):
        from . import cluster

        self._end = None
        self._asked_to_close = False
        order = dict(request, asked_at=time.time())
        super().__init__(host, host.clusters, request["cluster"], module or cluster, order)

    def _hear(self, message):
        if message["event"] == "cluster.ended":
            self._end = message  # told when all of its processes are gone
        else:
            super()._hear(message)

    def leave(self):
        """The host leaves."""
        self.kill()

    def end(self, force):
        self._asked_to_close = True
        if force:
            self.kill()
        else:
            self.tell({"op": "cluster.close"})
            self._host.loop.call_later(CLOSE_SECONDS, self._kill_if_here)

    def _kill_if_here(self):
        if self._table.get(self.key) is self:
            self.kill()

    def _report(self):
        end = self._end or {"reason": "died", "message": _how(self.process.returncode)}
        if self._asked_to_close:
            end = {"reason": "closed"}
        self._host.say(**dict(end, event="cluster.ended", cluster=self.key))


class ClassChild(ClusterChild):
    """A cluster of the user's class. Only its own `close` can end what it has made elsewhere: it always gets time."""

    def __init__(self, host, request):
        from .cluster_class import main

        self.patience = main.PATIENCE_SECONDS
        super().__init__(host, request, main)

    def leave(self):
        self.end(True)

    def end(self, force):
        if not self._asked_to_close:
            self._asked_to_close = True
            self.tell({"op": "cluster.close"})
            self._host.loop.call_later(self.patience, self._kill_if_here)

    def _report(self):
        left = {key: self._end[key] for key in ("left", "traceback") if key in self._end} if self._end else {}
        if self._asked_to_close and self._end is None:
            left = {"left": _how(self.process.returncode)}
        if self._asked_to_close:
            self._host.say("cluster.ended", cluster=self.key, reason="closed", **left)
        else:
            super()._report()


class RunChild(_Child):
    def __init__(self, host, spec):
        from .runner import main

        self.temporary = bool(spec.get("temporary"))
        self._env = spec.get("env") or {}
        self._flow_run = None
        self._cancelled = False
        super().__init__(host, host.runs, spec["run"], main, {"spec": spec, "prefect_api_url": host.prefect.url})
        host.say("run.started", run=spec["run"], pid=self.process.pid, pgid=self.pgid)

    def _hear(self, message):
        if message["event"] == "flow":
            self._flow_run = message
        else:
            super()._hear(message)

    def cancel(self):
        """Kills it, and has its flow run recorded as cancelled."""
        self._cancelled = True
        self.kill()

    def _report(self):
        if self._cancelled and self._flow_run:
            Recorder(self._host, dict(self._flow_run, env=self._env))
        code = self.process.returncode
        died = code is not None and code < 0
        self._host.say("run.exited", run=self.key, code=None if died else code, signal=-code if died else None)


class Recorder(_Child):
    """Records a killed flow run as cancelled. Nobody waits for it, and it says nothing."""

    def __init__(self, host, order):
        from .runner import record

        super().__init__(host, host.recorders, order["prefect_run_id"], record, order)

    def _report(self):
        pass


class _Look(_Child):
    """A process that is answered by one event; without that, why not."""

    GRACE_SECONDS = 2
    op = what = None

    def __init__(self, host, table, module, order, seconds):
        self._answered = False
        super().__init__(host, table, order["id"], module, order)
        host.loop.call_later(seconds + self.GRACE_SECONDS, self._kill_if_here)

    def _hear(self, message):
        self._answered = True
        super()._hear(message)

    def _kill_if_here(self):
        if self._table.get(self.key) is self:
            self.kill()

    def _report(self):
        if not self._answered:
            text = "The look at the %s ended without an answer (exit code %s)." % (self.what, self.process.returncode)
            self._host.say("error", op=self.op, id=self.key, message=text)


class PreflightChild(_Look):
    op, what = "preflight", "cluster"

    def __init__(self, host, request):
        from .preflight import main

        order = dict(request, prefect_api_url=host.prefect.url)
        super().__init__(host, host.preflights, main, order, request.get("seconds", main.DEFAULT_SECONDS))


class DescriptionChild(_Look):
    op, what = "class.describe", "cluster class"

    def __init__(self, host, request):
        from .cluster_class import describe

        super().__init__(host, host.descriptions, describe, request, describe.SECONDS)


class GatewayChild(DescriptionChild):
    op, what = "gateway.cluster", "gateway"


def _how(code):
    if code is not None and code < 0:
        import signal

        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "signal %d" % -code
        return "The cluster's process was ended by %s." % name
    return "The cluster's process ended with exit code %s." % code
