"""Stop, cancel and sudden death: what the user asked for happens, and nothing of ours is left."""

import glob
import os
import time

import pytest

from extension_side import PATIENCE_SECONDS, descendants, gone_within, kill, processes_of_sessions

MAPPED = {"how": "import", "path": "mapped"}
ENDLESS = {"how": "import", "path": "endless"}
SCRIPT = {"how": "script"}
GENTLE = [
    ("prefect3", "cancels.py", "prefect", MAPPED),
    ("prefect2", "cancels.py", "prefect", MAPPED),
    ("prefect1", "cancels1.py", "prefect1", MAPPED),
    ("dask-latest", "cancelsplain.py", "dask", SCRIPT),
]


def shm():
    """Semaphores that nobody uses any more; those of others, who are busy on this machine too, have a user."""
    used = set()
    for maps in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(maps) as file:  # which knows them by a name that they had for a moment only
                used.update(int(line.split()[4]) for line in file if "/dev/shm/" in line)
        except OSError:
            pass  # it has ended
    return {entry.name for entry in os.scandir("/dev/shm") if entry.inode() not in used}


def begin(extension, file, api, entry, marks=None, temporary=True):
    """Starts a cluster and a run on it. Returns the run."""
    env = {"MARKS": str(marks), "HOW": "mapped"} if marks else {}
    url = extension.prefect_url() if api == "prefect" else None
    one = extension.new_run(file, api, entry, env=env, temporary=temporary)
    one.start().go(extension.start_cluster(one), url)
    one.url = url
    return one


def wait_for(condition):
    assert gone_within(PATIENCE_SECONDS, condition)


def sessions_of(extension):
    return set(descendants(extension.host.pid).values()) - {os.getsid(extension.host.pid)}


@pytest.mark.parametrize("name,file,api,entry", GENTLE)
def test_stop_lets_active_tasks_finish(bench, flows, tmp_path, name, file, api, entry):
    marks = tmp_path / "marks"
    extension = bench.host(name)
    one = begin(extension, flows(file), api, entry, marks, temporary=False)
    wait_for(lambda: marks.exists() and "start" in marks.read_text())
    one.control(op="stop")
    end = one.end()
    assert end["state"] == "cancelled"
    told = marks.read_text()
    started = {line.split()[1] for line in told.splitlines() if line.startswith("start")}
    finished = {line.split()[1] for line in told.splitlines() if line.startswith("end")}
    assert 0 < len(started) < 40 and started == finished
    exited = extension.wait("run.exited", run=one.name)
    assert exited["code"] == 130
    if api == "prefect":
        assert prefect_state(one) == "CANCELLED"
    extension.send(op="cluster.close", cluster=one.cluster, force=False)
    assert extension.wait("cluster.ended", cluster=one.cluster)["reason"] == "closed"
    assert marks.read_text() == told, "none began later"


def prefect_state(one):
    import json
    import urllib.request

    url = "%s/flow_runs/%s" % (one.url, one.wait("flow")["prefect_run_id"])
    return json.loads(urllib.request.urlopen(url, timeout=10).read())["state"]["type"]


@pytest.mark.parametrize("name,mode", [("prefect3", None), ("prefect2", None), ("prefect3", "spawn")])
def test_forced_cancel_of_tasks_that_do_not_end(bench, flows, name, mode):
    extension = bench.host(name, mode)
    one = begin(extension, flows("slow.py"), "prefect", ENDLESS)
    wait_for(lambda: one.states().count("running") >= 2)
    forced_cancel(extension, one)
    if mode is None:
        wait_for(lambda: prefect_state(one) == "CANCELLED")


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_forced_cancel_of_a_plain_script(bench, flows, mode):
    extension = bench.host("dask-latest", mode)
    one = begin(extension, flows("endlessplain.py"), "dask", SCRIPT)
    one.wait_until(lambda r: "submitted" in r.text())
    time.sleep(0.3)
    forced_cancel(extension, one)


def forced_cancel(extension, one):
    groups = {
        extension.wait("cluster.started", cluster=one.cluster)["pgid"],
        extension.wait("run.started", run=one.name)["pgid"],
    }
    extension.send(op="run.kill", run=one.name, record=True)
    extension.send(op="cluster.close", cluster=one.cluster, force=True)
    ended = extension.wait("cluster.ended", cluster=one.cluster)
    assert ended["reason"] == "closed"
    assert extension.wait("run.exited", run=one.name)["signal"] == 9
    assert processes_of_sessions(groups) == {}


@pytest.mark.parametrize("name", ["prefect3", "prefect2"])
def test_the_end_that_a_flow_has_come_to_stays(bench, flows, name):
    """Prefect knows of it a moment before the extension does: a cancel may come in between."""
    extension = bench.host(name)
    one = begin(extension, flows("slow.py"), "prefect", {"how": "import", "path": "lingers"})
    wait_for(lambda: prefect_state(one) == "COMPLETED")
    extension.send(op="run.kill", run=one.name, record=True)
    extension.wait("run.exited", run=one.name)
    time.sleep(2)  # what would be recorded comes later
    assert prefect_state(one) == "COMPLETED"
    extension.send(op="cluster.close", cluster=one.cluster, force=True)


def test_a_run_that_is_put_away_is_no_cancel(bench, flows):
    extension = bench.host("prefect3")
    one = begin(extension, flows("slow.py"), "prefect", ENDLESS)
    wait_for(lambda: one.states().count("running") >= 2)
    extension.send(op="run.kill", run=one.name, record=False)
    extension.wait("run.exited", run=one.name)
    time.sleep(2)
    assert prefect_state(one) == "RUNNING"
    extension.send(op="cluster.close", cluster=one.cluster, force=True)


# -- sudden deaths ---------------------------------------------------------------------------------------------


def own_host(bench, name, mode=None):
    extension = bench.new_host(name, mode)
    extension.wait("ready")
    return extension


def assert_nothing_left(extension, sessions, semaphores):
    def gone():
        return not processes_of_sessions(sessions) and not os.path.exists(extension.directory)

    assert gone_within(PATIENCE_SECONDS, gone), (processes_of_sessions(sessions), extension.directory)
    assert gone_within(PATIENCE_SECONDS, lambda: shm() <= semaphores), shm() - semaphores


@pytest.mark.parametrize("how", ["eof", "sigkill"])
@pytest.mark.parametrize("stage", ["idle", "starting", "loading", "running"])
def test_end_of_the_host_of_a_script(bench, flows, stage, how):
    semaphores = shm()
    extension = own_host(bench, "dask-latest")
    if stage == "running":
        one = begin(extension, flows("endlessplain.py"), "dask", SCRIPT)
        one.wait_until(lambda r: "submitted" in r.text())
        time.sleep(0.3)
    elif stage == "loading":
        one = extension.new_run(flows("endlessplain.py"), "dask", SCRIPT).start()
        one.wait("stage", stage="waiting")
    elif stage == "starting":
        extension.wait("cluster.stage", cluster=extension.start_cluster())
    end_host(extension, how, semaphores)


@pytest.mark.parametrize("how", ["eof", "sigkill"])
@pytest.mark.parametrize("mode", [None, "spawn"])
def test_end_of_the_host_of_a_prefect_run(bench, flows, how, mode):
    semaphores = shm()
    extension = own_host(bench, "prefect3", mode)
    one = begin(extension, flows("slow.py"), "prefect", ENDLESS)
    wait_for(lambda: one.states().count("running") >= 2)
    end_host(extension, how, semaphores)


def end_host(extension, how, semaphores):
    sessions = sessions_of(extension)
    assert sessions
    if how == "eof":
        assert extension.close() == 0
    else:
        kill(extension.host.pid)
        extension.host.wait()
    assert_nothing_left(extension, sessions, semaphores)


def test_death_of_the_guardian_and_then_of_the_host(bench):
    extension = own_host(bench, "dask-latest")
    extension.wait("cluster.stage", cluster=extension.start_cluster(), stage="running")
    leaders = {e["pid"] for e in extension.events if e["event"] == "cluster.started"}
    (guardian,) = guardians(extension, leaders)
    kill(guardian)
    wait_for(lambda: guardians(extension, leaders) - {guardian})
    semaphores = shm()
    end_host(extension, "sigkill", semaphores)


def guardians(extension, leaders):
    """Children of the host that lead a session: clusters, whose pids are given, and its guardian."""
    own = {pid for pid, session in descendants(extension.host.pid).items() if pid == session}
    return {pid for pid in own - leaders if parent_of(pid) == extension.host.pid}


def test_death_of_the_clusters_process(bench, flows):
    extension = own_host(bench, "dask-latest")
    semaphores = shm()
    one = begin(extension, flows("endlessplain.py"), "dask", SCRIPT)
    other = extension.start_cluster()
    extension.wait("cluster.stage", cluster=other, stage="running")
    one.wait_until(lambda r: "submitted" in r.text())
    started = extension.wait("cluster.started", cluster=one.cluster)
    kill(started["pid"])
    ended = extension.wait("cluster.ended", cluster=one.cluster)
    assert ended["reason"] == "died" and "SIGKILL" in ended["message"]
    assert processes_of_sessions({started["pgid"]}) == {}
    assert processes_of_sessions({extension.wait("cluster.started", cluster=other)["pgid"]})  # untouched
    extension.send(op="run.kill", run=one.name)
    extension.wait("run.exited", run=one.name)
    assert extension.close() == 0
    wait_for(lambda: shm() <= semaphores)


def test_death_of_a_worker_is_made_good(bench, flows):
    extension = own_host(bench, "dask-latest")
    cluster = extension.start_cluster()
    started = extension.wait("cluster.started", cluster=cluster)
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    server = [pid for pid in processes_of_sessions({started["pgid"]}) if pid != started["pid"]]
    parents = {pid: parent_of(pid) for pid in server}
    worker = next(pid for pid, parent in parents.items() if parent in parents)
    kill(worker)
    one = extension.new_run(flows("plain.py"), "dask", SCRIPT).start()
    one.go(cluster)
    assert one.end()["state"] == "completed"
    assert extension.close() == 0


def parent_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None  # it has ended meanwhile


def test_death_of_a_run(bench, flows):
    extension = own_host(bench, "dask-latest")
    one = begin(extension, flows("endlessplain.py"), "dask", SCRIPT)
    one.wait_until(lambda r: "submitted" in r.text())
    kill(extension.wait("run.started", run=one.name)["pid"])
    assert extension.wait("run.exited", run=one.name)["signal"] == 9
    assert extension.close() == 0
