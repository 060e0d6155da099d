"""The cluster host: hears requests, starts a process for each cluster and each run, and ends them all."""

import gc
import json
import os
import shutil
import sys
import threading
import time

from . import belongings, learned, preload, prefect_warm, terminal
from .check import check
from .children import ClassChild, ClusterChild, DescriptionChild, GatewayChild, PreflightChild, RunChild
from .guardian import Guardian
from .lines import LineReader, LineWriter
from .loops import SelectLoop, ThreadLoop
from .prefect_host import PrefectHost
from .processes import Forked, Spawned, remove_tree

GENTLE_RUN_SECONDS = 3
LEARN_AFTER_SECONDS = 0.3
SCALING = ("cluster.scale", "cluster.adapt", "cluster.drop", "cluster.resume")
LOOKS = ("preflight", "class.describe", "gateway.cluster")
STARTS = ("cluster.start", "run.start", "cluster.close", "run.kill", *LOOKS, "look.stop", *SCALING)


def default_mode():
    """macOS has fork, but its system libraries may crash in a forked child."""
    return "fork" if hasattr(os, "fork") and sys.platform != "darwin" else "spawn"


class Host:
    def __init__(self, config, out_fd, packages):
        self.began = time.time()
        self.directory = os.path.abspath(config["directory"])
        self.workspace = config["workspace"]
        self.mode = config.get("mode") or default_mode()
        self.packages = packages
        self._memory = learned.Memory(config.get("cache"), packages)
        self.clusters = {}
        self.runs = {}
        self.recorders = {}
        self.preflights = {}
        self.descriptions = {}
        self._writer = LineWriter(out_fd)
        self._leaving = False
        self._loaded = self.mode == "spawn"
        self._waiting = []  # requests to start something, till everything is imported
        self._guardian = None
        self._spare = None
        self.prefect = PrefectHost(self)

    def say(self, event, **fields):
        self._writer.send(dict(event=event, **fields))

    # -- life ----------------------------------------------------------------------------------------------

    def run(self):
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._guard()
        self.say(
            "hello",
            pid=os.getpid(),
            executable=sys.executable,
            python=".".join(map(str, sys.version_info[:3])),
            packages=self.packages,
            mode=self.mode,
        )
        self._settle()
        belongings.adopt_orphans()
        self.loop = SelectLoop() if self.mode == "fork" else ThreadLoop()
        if self.mode == "fork":
            self.loop.watch_process(self._guardian, self._guard_again)
        reader = LineReader(self._hear, lambda text: self.say("error", op="", message="Not a request: %s" % text))
        self.loop.watch(0, lambda data: reader.feed(data) if data else self.leave())
        self._load_ahead()
        self.loop.run()
        shutil.rmtree(self.directory, ignore_errors=True)
        return 0

    def _settle(self):
        """As the user's own `python file.py` would stand: in the workspace, our folder not on the path."""
        terminal.prepare()
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
        import flow_clusters

        flow_clusters.__path__ = [os.path.join(here, "flow_clusters")]
        try:
            os.chdir(self.workspace)
        except OSError:
            pass

    def _load_ahead(self):
        """Imports in slices, hearing requests between them."""
        if self.mode == "spawn":
            self.say("ready", seconds=round(time.time() - self.began, 3))
            return
        for name in preload.wanted(self.packages):
            preload.load(name)
            self.loop.step(0)
            if self._leaving:
                return
        if threading.active_count() > 1:  # numpy's own threads are no matter: its library knows of forks
            print("flow-clusters: a module started a thread while it was imported", file=sys.stderr)
        if self.prefect.installed:
            prefect_warm.keep_authorities()
        gc.collect()
        gc.freeze()
        self._loaded = True
        self.say("ready", seconds=round(time.time() - self.began, 3))
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._hear(message)
        self._learn_next(list(self._memory.names))

    def learn(self, names):
        """Imports, when nothing else is to do, what runs have imported: the next run finds it."""
        if self.mode == "fork":
            todo = self._memory.add(names)
            self.loop.call_later(LEARN_AFTER_SECONDS, lambda: self._learn_next(todo))

    def _learn_next(self, todo):
        if self._leaving:
            return
        if not todo:
            gc.freeze()
        elif self.runs:  # the processor is theirs
            self.loop.call_later(LEARN_AFTER_SECONDS, lambda: self._learn_next(todo))
        else:
            preload.load(todo.pop(0))
            self.loop.call_later(0, lambda: self._learn_next(todo))

    def leave(self):
        """stdin has ended: end everything of ours, then go."""
        if self._leaving:
            return
        self._leaving = True
        for cluster in list(self.clusters.values()):
            cluster.leave()
        for run in list(self.runs.values()):
            if run.temporary:
                run.cancel()
        for look in [*self.preflights.values(), *self.descriptions.values()]:
            look.kill()
        self.prefect.kill()
        self.loop.call_later(GENTLE_RUN_SECONDS, self._kill_runs)
        self.leave_when_alone()

    def _kill_runs(self):
        for run in self.runs.values():
            run.cancel()
        for recorder in self.recorders.values():
            recorder.kill()

    def leave_when_alone(self):
        if self._leaving and not self._children() and not self.prefect.process:
            self.loop.stop()

    # -- guardian ------------------------------------------------------------------------------------------

    def _guard(self):
        if hasattr(os, "fork"):
            groups = {c.pgid: c.patience for c in self._children()}
            if self.prefect.process:
                groups[self.prefect.process.pgid] = 0
            let_go = self.forget_host if self._guardian else lambda: os.close(self._writer.fd)
            former, self._guardian = self._guardian, Guardian(self.directory, let_go, groups)
            if former:
                former.close_in_child()

    def _guard_again(self):
        self._guard()
        self.loop.watch_process(self._guardian, self._guard_again)

    def forget_host(self):
        """In a forked child: lets go of everything that is the host's."""
        self.loop.forget_in_child()
        os.close(self._writer.fd)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        if self._guardian:
            self._guardian.close_in_child()
        for child in self._children():
            child.process.close()
        if self.prefect.process:
            self.prefect.process.close()

    def _children(self):
        tables = (self.clusters, self.runs, self.recorders, self.preflights, self.descriptions)
        return [child for table in tables for child in table.values()]

    # -- children ------------------------------------------------------------------------------------------

    def start(self, main, order, patience=0):
        """A new process for `order`: `main(order, fd_in, fd_out, directory, forked)` runs in it.

        `patience`: the seconds that it has to end by itself, should this process not be there to see to it.
        """
        directory = os.path.join(self.directory, order["folder"])
        if self.mode == "fork":
            process = Forked(self.forget_host, lambda fd: main(order, fd, fd, directory, True))
        else:
            process = self._take_spare()
            LineWriter(process.write_fd).send(dict(order, directory=directory, main=main.__module__))
        self.adopt(process, patience)
        return process

    def adopt(self, process, patience=0):
        """From now on the guardian ends it, should this process not be able to."""
        if self._guardian and process.pgid:
            self._guardian.watch(process.pgid, patience)

    def forget(self, process):
        if self._guardian and process.pgid:
            self._guardian.forget(process.pgid)
        process.close()

    def gone(self, process, folder):
        """A child has ended and its group is empty."""
        self.forget(process)
        remove_tree(os.path.join(self.directory, folder))
        self.leave_when_alone()

    def _take_spare(self):
        spare = self._spare or Spawned("--child", json.dumps({"packages": self.packages}))
        self._spare = None
        self.loop.call_later(0.5, self._keep_spare)
        return spare

    def _keep_spare(self):
        if self._spare is None and not self._leaving:
            self._spare = Spawned("--child", json.dumps({"packages": self.packages}))

    # -- requests ------------------------------------------------------------------------------------------

    def _hear(self, message):
        op = message.get("op")
        handler = self._handlers().get(op)
        if handler is None:
            self.say("error", op=str(op), message="Unknown request.", **_about(message))
            return
        if op in STARTS and not self._loaded:  # forked now, each process would import everything by itself
            if not self._withdraw(message):
                self._waiting.append(message)
            if op == "cluster.start" and "cluster" in message:
                self.say("cluster.stage", cluster=message["cluster"], stage="python")
            return
        try:
            handler(message)
        except Exception as error:
            self.say("error", op=op, message="%s: %s" % (type(error).__name__, error), **_about(message))

    def _withdraw(self, message):
        """A close or a kill of what has yet to be started: it never is, and that is told now. Returns whether so."""
        starts = {"cluster.close": ("cluster.start",), "run.kill": ("run.start",), "look.stop": LOOKS}
        for waiting in self._waiting:
            start, about = waiting["op"], _about(waiting)
            if start in starts.get(message["op"], ()) and about and about == _about(message):
                self._waiting.remove(waiting)
                if start == "cluster.start":
                    self.say("cluster.ended", reason="closed", **about)
                elif start == "run.start":
                    self.say("run.exited", code=None, signal=None, **about)
                return True
        return False

    def _handlers(self):
        return {
            "check": self._check,
            "cluster.start": lambda m: (ClassChild if "class" in m else ClusterChild)(self, m),
            "cluster.close": lambda m: self._with_cluster(m, lambda c: c.end(m.get("force", False))),
            **{op: lambda m: self._with_cluster(m, lambda c: c.tell(m)) for op in SCALING},
            "run.start": lambda m: RunChild(self, m["spec"]),
            "prefect.start": lambda m: self.prefect.start(),
            "run.kill": self._kill_run,
            "preflight": lambda m: PreflightChild(self, m),
            "class.describe": lambda m: DescriptionChild(self, m),
            "gateway.cluster": lambda m: GatewayChild(self, m),
            "look.stop": self._stop_look,
        }

    def _check(self, message):
        error = check(message["file"])
        self.say("checked", id=message["id"], **({"error": error} if error else {}))

    def _kill_run(self, message):
        run = self.runs.get(message["run"])
        if run:  # else it has ended, and said so
            run.cancel() if message.get("record") else run.kill()

    def _stop_look(self, message):
        look = self.preflights.get(message["id"]) or self.descriptions.get(message["id"])
        if look:  # else it has answered
            look.kill()

    def _with_cluster(self, message, call):
        cluster = self.clusters.get(message["cluster"])
        if cluster:  # else it has ended on its own meanwhile, and said so
            call(cluster)


def _about(message):
    """What a request is about: its own id, a cluster or a run."""
    run = message.get("run") or message.get("spec", {}).get("run")
    named = (("id", message.get("id")), ("cluster", message.get("cluster")), ("run", run))
    return {key: value for key, value in named if value}
