"""A small stand-in for the extension: it drives a cluster host over its real protocol. For tests and benches."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAUNCHER = os.path.join(ROOT, "src", "python", "cluster_host.py")
# A limit costs time only where something is broken: this one is for a machine that has much else to do.
PATIENCE_SECONDS = 90


class Extension:
    """Owns one host process and a loopback server for its runs."""

    def __init__(self, python, workspace, env=None, mode=None, directory=None, config=None):
        self.directory = directory or tempfile.mkdtemp(prefix="fc-")
        settings = {"directory": self.directory, "workspace": workspace, **(config or {})}
        if mode:
            settings["mode"] = mode
        self.workspace = workspace
        self.began = time.time()
        self.log = tempfile.TemporaryFile()
        self.host = subprocess.Popen(
            [python, LAUNCHER, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=dict(os.environ, **(env or {})),
        )
        self.events = []
        self._changed = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.runs = {}
        self._numbers = iter(range(1, 10**6))
        threading.Thread(target=self._read_host, daemon=True).start()
        threading.Thread(target=self._accept, daemon=True).start()

    # -- the host --------------------------------------------------------------------------------------------

    def _read_host(self):
        for line in self.host.stdout:
            message = dict(json.loads(line), received=time.time())
            with self._changed:
                self.events.append(message)
                self._changed.notify_all()
        with self._changed:
            self.events.append({"event": "eof", "received": time.time()})
            self._changed.notify_all()

    def send(self, **request):
        self.write(json.dumps(request) + "\n")

    def write(self, text):
        self.host.stdin.write(text.encode())
        self.host.stdin.flush()

    def wait(self, event, seconds=PATIENCE_SECONDS, **fields):
        """The first event of that name with these fields, past ones included. Fails when the host ends before."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for message in self.events[seen:]:
                    if message["event"] == event and all(message.get(k) == v for k, v in fields.items()):
                        return message
                seen = len(self.events)
                if seen and self.events[-1]["event"] == "eof" and event != "eof":
                    raise AssertionError("the host has ended; it said %s\n%s" % (self.events[-5:], self.log_text()))
                if not self._changed.wait(deadline - time.monotonic()):
                    text = "no %s %s within %s s; heard %s\n%s"
                    raise AssertionError(text % (event, fields, seconds, self.events[-8:], self.log_text()))

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-5000:]

    def close(self, seconds=PATIENCE_SECONDS):
        """Ends the host as the extension does, by the end of its stdin. Returns its exit code."""
        self.host.stdin.close()
        code = self.host.wait(seconds)
        self._server.close()
        return code

    # -- clusters and runs -----------------------------------------------------------------------------------

    def start_cluster(self, run=None, **fields):
        """Asks for a cluster, 2 workers of 1 thread unless `options` says otherwise. Returns its name."""
        name = "c%d" % next(self._numbers)
        fields.setdefault("options", {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 0})
        fields.setdefault("cwd", self.workspace)
        fields.setdefault("path", [self.workspace])
        if run is not None:
            fields["output"] = {"port": self.port, "token": run.token}
            fields.setdefault("env", run.spec["env"])
        self.send(op="cluster.start", cluster=name, **fields)
        return name

    def new_run(self, file, api, entry, parameters=None, env=None, temporary=True, workspace=None):
        name = "r%d" % next(self._numbers)
        run = FakeRun(self, name, "token-" + name)
        run.spec = {
            "run": name,
            "channel": {"port": self.port, "token": run.token},
            "file": file,
            "cwd": workspace or self.workspace,
            "workspace": workspace or self.workspace,
            "api": api,
            "entry": entry,
            "parameters": parameters or {},
            "env": dict({"FORCE_COLOR": "1", "COLUMNS": "120"}, **(env or {})),
            "temporary": temporary,
        }
        self.runs[run.token] = run
        return run

    def prefect_url(self):
        self.send(op="prefect.start")
        return self.wait("prefect.server", state="ready")["url"]

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection):
        try:
            line = connection.makefile("rb", 0).readline()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            return  # it is none of ours, or was killed before it had said who it is
        token, kind = line.decode().split()
        self.runs[token].connected(kind, connection)


class FakeRun:
    """The extension's side of one run."""

    def __init__(self, extension, name, token):
        self.extension = extension
        self.name = name
        self.token = token
        self.spec = None
        self.cluster = None
        self.sockets = {}
        self.events = []
        self.ended = set()
        self.output = {"io": b"", "output": b""}
        self._changed = threading.Condition()

    def connected(self, kind, connection):
        with self._changed:
            self.sockets[kind] = connection
            self._changed.notify_all()
        self._read(kind, connection)

    def _read(self, kind, connection):
        rest = b""
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                with self._changed:
                    self.ended.add(kind)
                    self._changed.notify_all()
                return
            with self._changed:
                if kind == "events":
                    *lines, rest = (rest + data).split(b"\n")
                    self.events += [dict(json.loads(line), received=time.time()) for line in lines]
                else:
                    self.output[kind] += data
                self._changed.notify_all()

    def text(self):
        """What the user sees in the run's terminal: all of its own once it has ended, which is told another way.

        What workers print ends with their cluster only.
        """
        with self._changed:
            if self.has_ended() and "io" in self.sockets:
                self._changed.wait_for(lambda: "io" in self.ended, PATIENCE_SECONDS)
            return b"".join(self.output.values()).decode(errors="replace")

    def wait_until(self, condition, seconds=PATIENCE_SECONDS, what="the condition"):
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition(self):
                if not self._changed.wait(deadline - time.monotonic()):
                    text = "%s did not come within %s s; heard %s\nterminal: %s\nlog: %s"
                    log = self.extension.log_text()
                    raise AssertionError(text % (what, seconds, self.events[-6:], self.text()[-3000:], log))
        return self

    def wait(self, event, seconds=PATIENCE_SECONDS, **fields):
        found = []

        def there(run):
            found[:] = [m for m in run.events if m["event"] == event and all(m.get(k) == v for k, v in fields.items())]
            return bool(found)

        self.wait_until(there, seconds, "%s %s" % (event, fields))
        return found[0]

    def wait_running(self, seconds=PATIENCE_SECONDS):
        self.wait_until(lambda run: "running" in run.states(), seconds, "a running task")

    def tasks(self):
        """All task events so far, in order."""
        with self._changed:
            return [task for m in self.events if m["event"] == "tasks" for task in m["tasks"]]

    def states(self):
        return [task["state"] for m in self.events if m["event"] == "tasks" for task in m["tasks"]]

    def start(self):
        self.extension.send(op="run.start", spec=self.spec)
        return self

    def control(self, **message):
        self.wait_until(lambda run: "events" in run.sockets, what="the run's connection")
        self.sockets["events"].sendall((json.dumps(message) + "\n").encode())

    def go(self, cluster, prefect_api_url=None):
        """Tells the run of its cluster as soon as that answers."""
        self.cluster = cluster
        started = self.extension.wait("cluster.started", cluster=cluster)
        order = {"op": "go", "address": started["address"], "n_workers": started["n_workers"]}
        if prefect_api_url:
            order["prefect_api_url"] = prefect_api_url
        self.control(**order)
        return self

    def go_to(self, bed, prefect_api_url=None, **order):
        """Tells the run of a scheduler that is not ours."""
        if bed.security:
            order["security"] = bed.security
        if prefect_api_url:
            order["prefect_api_url"] = prefect_api_url
        self.control(op="go", address=bed.address, count_tasks=True, **order)
        return self

    def has_ended(self):
        return any(message["event"] == "end" for message in self.events)

    def end(self, seconds=PATIENCE_SECONDS):
        return self.wait("end", seconds)


def run_on_temporary_cluster(extension, file, api, entry, prefect_api_url=None, options=None, **fields):
    """One click: cluster and run at the same time, to the run's end; the cluster is closed. Returns the run."""
    run = extension.new_run(file, api, entry, **fields)
    run.asked_at = time.time()
    cluster = extension.start_cluster(run, **({"options": options} if options else {}))
    run.start().go(cluster, prefect_api_url)
    run.end()
    extension.send(op="cluster.close", cluster=cluster, force=True)
    return run.wait_until(lambda r: r.ended >= {"io", "output"} & set(r.sockets), what="the end of the output")


def run_on_bed(extension, bed, file, api, entry, **fields):
    """One click on somebody else's cluster, to the run's end. Returns the run."""
    url = extension.prefect_url() if api == "prefect" else None
    run = extension.new_run(file, api, entry, temporary=False, **fields).start().go_to(bed, url)
    run.end()
    return run.wait_until(lambda r: "io" in r.ended, what="the end of the output")


def processes_of_sessions(sessions):
    """Live processes (zombies aside) whose session or group is one of these numbers: pid → command line."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as file:
                state, _, group, session = file.read().rsplit(")", 1)[1].split()[:4]
            with open("/proc/%s/cmdline" % name) as file:
                command = file.read().replace("\0", " ")
        except OSError:
            continue
        if state not in "ZX" and (int(group) in sessions or int(session) in sessions):
            found[int(name)] = command
    return found


def descendants(pid):
    """All live processes below `pid`, and itself: pid → session."""
    children, sessions = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as file:
                    state, parent, _, session = file.read().rsplit(")", 1)[1].split()[:4]
            except OSError:
                continue
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(name))
                sessions[int(name)] = int(session)
    found, todo = {}, [pid]
    while todo:
        one = todo.pop()
        if one in sessions:
            found[one] = sessions[one]
        todo += children.get(one, [])
    return found


def gone_within(seconds, is_gone):
    deadline = time.monotonic() + seconds
    while not is_gone():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill(pid):
    os.kill(pid, signal.SIGKILL)
