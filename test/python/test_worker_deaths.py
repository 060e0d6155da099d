"""A worker's death is told with its reason; one that was asked to go is none."""

import os
import signal
import time

import pytest

from extension_side import PATIENCE_SECONDS, gone_within, kill

SCRIPT = {"how": "script"}
SMALL = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "400MiB"}
pytestmark = pytest.mark.parametrize("name", ["dask-2023", "dask-latest"])


def news(extension, cluster):
    return [e for e in extension.events if e["event"] == "cluster.worker" and e["cluster"] == cluster]


def run_deadly(extension, flows, how, mark):
    env = {"HOW": how, "MARKS": str(mark)}
    run = extension.new_run(flows("dies.py"), "dask", SCRIPT, env=env)
    cluster = extension.start_cluster(run, options=SMALL)
    run.start().go(cluster)
    return run.end(), cluster


def close(extension, cluster):
    extension.send(op="cluster.close", cluster=cluster, force=True)
    extension.wait("cluster.ended", cluster=cluster)


@pytest.mark.parametrize(
    "how,message",
    [
        ("kill", "worker 0 was killed (signal %d) while working on deadly" % signal.SIGKILL),
        ("exit", "worker 0 ended by itself (exit code 3) while working on deadly"),
        ("memory", "worker 0 exceeded 95 % of its memory limit (400 MiB) while working on deadly"),
    ],
)
def test_reason_of_a_death(bench, flows, tmp_path, name, how, message):
    extension = bench.host(name)
    end, cluster = run_deadly(extension, flows, how, tmp_path / "mark")
    assert end["state"] == "completed"
    extension.wait("cluster.worker", cluster=cluster, what="restarted")
    told = [(e["what"], e["name"], e["message"]) for e in news(extension, cluster)]
    assert told == [("died", "0", message), ("restarted", "0", "worker 0 was restarted")]
    close(extension, cluster)
    assert len(news(extension, cluster)) == 2


def test_task_that_kills_every_worker(bench, flows, tmp_path, name):
    extension = bench.host(name)
    end, cluster = run_deadly(extension, flows, "always", tmp_path / "mark")
    assert end["state"] == "failed" and end["error"]["type"] == "KilledWorker"
    told = extension.wait("cluster.worker", cluster=cluster, what="gave-up")
    assert told["message"] == "task deadly was given up: 4 workers have died while working on it"
    # The scheduler may know of the last one before its nanny has told.
    assert gone_within(PATIENCE_SECONDS, lambda: len([e for e in news(extension, cluster) if e["what"] == "died"]) == 4)
    close(extension, cluster)


def test_idle_worker_killed_from_outside(bench, name):
    extension = bench.host(name)
    cluster = extension.start_cluster()
    group = extension.wait("cluster.started", cluster=cluster)["pgid"]
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    kill(worker_pid(group))
    told = extension.wait("cluster.worker", cluster=cluster, what="died")
    assert told["message"] == "worker %s was killed (signal 9)" % told["name"]
    assert told["worker"].startswith("tcp://127.0.0.1:")
    extension.wait("cluster.worker", cluster=cluster, what="restarted", name=told["name"])
    close(extension, cluster)


def test_scale_down_restart_and_close_are_silent(bench, flows, name):
    extension = bench.host(name)
    cluster = extension.start_cluster()
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    extension.send(op="cluster.scale", cluster=cluster, n_workers=1)
    address = extension.wait("cluster.started", cluster=cluster)["address"]
    run = extension.new_run(flows("restarts.py"), "dask", SCRIPT).start()
    run.control(op="go", address=address, n_workers=1)
    assert run.end()["state"] == "completed", run.text()
    extension.send(op="cluster.close", cluster=cluster, force=False)
    extension.wait("cluster.ended", cluster=cluster)
    time.sleep(0.2)
    assert news(extension, cluster) == []


def worker_pid(group):
    """A process of the group that talks to the scheduler: the one with the most threads, the leader aside."""
    threads = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getpgid(int(pid)) == group and int(pid) != group:
                threads[int(pid)] = len(os.listdir("/proc/%s/task" % pid))
        except OSError:
            pass
    return max(threads, key=threads.get)
