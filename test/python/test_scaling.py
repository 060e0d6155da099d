"""How many workers a cluster has: a fixed number, or as many as the work asks for within limits.

On an old version of Dask; the newest one has its turn in test/live/scaling.test.ts.
"""

import pytest

SCRIPT = {"how": "script"}
SMALL = {"threads_per_worker": 1, "memory_limit": "400MiB"}
NAME = "dask-2023"  # 2022.5 needs Python 3.10 or older


@pytest.fixture
def start(bench):
    """Starts a cluster on the host of that environment; it is closed at the end."""
    extension = bench.host(NAME)
    clusters = []

    def start_one(options=None, **fields):
        clusters.append(Cluster(extension, dict(SMALL, **(options or {})), **fields))
        return clusters[-1]

    yield start_one
    for cluster in clusters:
        cluster.close()


class Cluster:
    """As the extension sees it."""

    def __init__(self, extension, options, **fields):
        self.extension = extension
        self.name = extension.start_cluster(options=options, **fields)
        self.started = extension.wait("cluster.started", cluster=self.name)
        extension.wait("cluster.stage", cluster=self.name, stage="running")
        self._asked = 0

    def ask(self, op, answer="cluster.scaling", **arguments):
        """Sends a request and returns its answer without what each has."""
        self._asked += 1
        id = "%s-%d" % (self.name, self._asked)
        self.extension.send(op=op, cluster=self.name, id=id, **arguments)
        told = self.extension.wait(answer, cluster=self.name, id=id)
        return {k: v for k, v in told.items() if k not in ("event", "cluster", "id", "received")}

    def wait(self, event="cluster.scaling", **fields):
        return self.extension.wait(event, cluster=self.name, **fields)

    def run(self, file, **env):
        run = self.extension.new_run(file, "dask", SCRIPT, env=env, temporary=False).start()
        run.control(op="go", address=self.started["address"], n_workers=self.started["n_workers"])
        return run

    def deaths(self):
        events = self.extension.events
        return [e for e in events if e["event"] == "cluster.worker" and e["cluster"] == self.name]

    def close(self):
        self.extension.send(op="cluster.close", cluster=self.name, force=True)
        self.wait("cluster.ended")


def asked(before, after, **fields):
    return dict({"n_workers": after, "step": {"from": before, "to": after, "why": "asked"}}, **fields)


def test_follows_the_work_and_says_why(start, flows, tmp_path):
    cluster = start({"n_workers": 1}, adapt={"minimum": 0, "maximum": 2})
    limits = {"minimum": 0, "maximum": 2}
    assert cluster.started["n_workers"] == 0, "a run does not wait for workers that may be gone"
    cluster.wait(n_workers=1, adaptive=limits)
    run = cluster.run(flows("marks.py"), COUNT="40", SECONDS="0.25", MARKS=str(tmp_path / "marks"))
    step = cluster.wait(n_workers=2, adaptive=limits)["step"]
    # From none where the run was so long in coming that the first worker was idle.
    assert (step["to"], step["why"]) == (2, "tasks") and step["from"] in (0, 1) and 0 < step["waiting"] <= 40
    assert run.end()["state"] == "completed"
    step = cluster.wait(n_workers=0, adaptive=limits)["step"]
    assert (step["to"], step["why"]) == (0, "idle")
    sizes = {e["n_workers"] for e in cluster.extension.events if e.get("cluster") == cluster.name and "step" in e}
    assert sizes <= {0, 1, 2}
    assert cluster.deaths() == []


def test_changes_from_fixed_to_adaptive_and_back(start):
    cluster = start({"n_workers": 1})
    none = {"minimum": 2, "maximum": None}
    assert cluster.ask("cluster.adapt", **none) == asked(1, 1, adaptive=none)
    cluster.wait(step={"from": 1, "to": 2, "why": "minimum"})
    assert cluster.ask("cluster.scale", n_workers=3) == asked(2, 3)
    limits = {"minimum": 0, "maximum": 1}
    assert cluster.ask("cluster.adapt", **limits) == asked(3, 3, adaptive=limits)
    cluster.wait(step={"from": 3, "to": 0, "why": "idle"})
    assert cluster.ask("cluster.scale", n_workers=1) == asked(0, 1)
    assert cluster.deaths() == []


def test_few_are_started_where_nothing_is_said(start):
    cluster = start({"threads_per_worker": None, "memory_limit": "auto"}, adapt={})
    assert cluster.wait()["adaptive"] == {"minimum": 0, "maximum": None}
    assert cluster.wait()["n_workers"] == 1
    more = start(adapt={"minimum": 2, "maximum": 4})
    assert (more.wait()["n_workers"], more.started["n_workers"]) == (2, 2)


def test_says_what_it_cannot_do(start):
    cluster = start({"n_workers": 1})
    wrong = cluster.ask("cluster.adapt", answer="error", minimum=1, maximum="many")
    assert wrong["op"] == "cluster.adapt" and wrong["message"]
    assert (
        cluster.ask("cluster.resume", answer="error", worker="tcp://127.0.0.1:1")["message"]
        == "it has left the cluster"
    )
    assert cluster.ask("cluster.scale", n_workers=2) == asked(1, 2), "and goes on"


def test_a_worker_that_is_dropped_is_not_started_again(start):
    cluster = start({"n_workers": 2})
    step = {"from": 2, "to": 1, "why": "retired", "worker": "1"}
    assert cluster.ask("cluster.drop", name="1") == {"n_workers": 1, "step": step}
    assert cluster.ask("cluster.drop", name="never was")["n_workers"] == 1
    assert cluster.ask("cluster.scale", n_workers=2) == asked(1, 2)
    assert cluster.deaths() == []


def test_a_worker_that_was_to_retire_takes_tasks_again(start, flows):
    cluster = start({"n_workers": 2})
    run = cluster.run(flows("resumes.py"))
    run.wait_until(lambda r: "closed" in r.text())
    worker, state = run.text().split("closed ")[1].split()[:2]
    assert state == "pending"
    assert cluster.ask("cluster.resume", worker=worker) == {"n_workers": 2}
    assert run.end()["state"] == "completed"
    assert "result 7" in run.text()
