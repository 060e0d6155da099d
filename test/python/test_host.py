"""The host itself: what it says of an interpreter, how it starts and closes clusters, how it takes bad input."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from environments import FLOWS, python_of
from extension_side import LAUNCHER, Extension, run_on_temporary_cluster

SCRIPT = {"how": "script"}


def first_line(python, *flags, **environment):
    command = [python, *flags, LAUNCHER, json.dumps({"directory": "/nowhere", "workspace": FLOWS})]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment or None, timeout=20
    )
    return json.loads(done.stdout.splitlines()[0])


def test_no_dask():
    said = first_line(sys.executable, "-S")
    assert (said["event"], said["reason"], said["package"]) == ("unusable", "package-missing", "dask")
    assert '-m pip install "dask[distributed]"' in said["message"]


def test_dask_too_old(tmp_path):
    for name in ("dask", "distributed"):
        info = tmp_path / (name + "-2021.4.0.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: %s\nVersion: 2021.4.0\n" % name)
    said = first_line(sys.executable, "-S", PYTHONPATH=str(tmp_path))
    assert (said["event"], said["reason"], said["package"]) == ("unusable", "package-too-old", "distributed")
    assert "2021.4.0 is too old" in said["message"] and "pip install -U" in said["message"]


def test_dask_2022_where_the_interpreter_can(flows):
    """Dask 2022 runs on Python up to 3.10; on a later one the host says so before anything starts."""
    python = python_of("dask-2022")
    version = subprocess.check_output([python, "-c", "import sys; print(sys.version_info >= (3, 11))"])
    if version.strip() == b"True":
        assert "too old for Python 3" in first_line(python)["message"]
        return
    extension = Extension(python, FLOWS)
    one = run_on_temporary_cluster(extension, flows("plain.py"), "dask", SCRIPT)
    assert one.end()["state"] == "completed"
    assert extension.close() == 0


def test_hello_comes_before_heavy_imports(bench):
    extension = bench.host("prefect3")
    hello, ready = extension.wait("hello"), extension.wait("ready")
    assert hello["received"] - extension.began < ready["received"] - hello["received"] + 1
    assert hello["packages"]["prefect"].startswith("3.") and hello["packages"]["distributed"]
    assert hello["mode"] in ("fork", "spawn")


def test_cluster_starts_scales_and_closes(bench):
    extension = bench.host("dask-latest")
    cluster = extension.start_cluster()
    started = extension.wait("cluster.started", cluster=cluster)
    assert started["address"].startswith("tcp://127.0.0.1:")
    assert started["n_workers"] == 2
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    extension.send(op="cluster.scale", cluster=cluster, n_workers=3)
    one = extension.new_run(os.path.join(FLOWS, "plain.py"), "dask", SCRIPT)
    one.start().control(op="go", address=started["address"], n_workers=3)
    assert one.end()["state"] == "completed"
    assert "workers 3" in one.text()
    extension.wait("run.exited", run=one.name)
    extension.send(op="cluster.close", cluster=cluster, force=False)
    assert extension.wait("cluster.ended", cluster=cluster)["reason"] == "closed"
    assert os.listdir(extension.directory) == []


def test_dashboard_of_an_environment_with_bokeh(bench):
    import urllib.request

    extension = bench.host("prefect3")
    cluster = extension.start_cluster()
    url = extension.wait("cluster.started", cluster=cluster)["dashboard"]
    assert url.startswith("http://127.0.0.1:") and url.endswith("/status")
    assert urllib.request.urlopen(url, timeout=20).status == 200
    extension.send(op="cluster.close", cluster=cluster, force=True)
    extension.wait("cluster.ended", cluster=cluster)


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_port_in_use(bench, mode):
    extension = bench.host("dask-latest", mode)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cluster = extension.start_cluster(options={"scheduler_port": port, "n_workers": 1})
        ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended["kind"]) == ("failed", "port-in-use")
    assert str(port) in ended["message"]


def test_wrong_options(bench):
    extension = bench.host("dask-latest")
    cluster = extension.start_cluster(options={"n_workers": 1, "memory_limit": "lots"})
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended["kind"]) == ("failed", "option")
    assert "lots" in ended["message"]


def test_garbage_is_answered_and_survived(bench):
    extension = bench.host("dask-latest")
    extension.write('not json\n[1, 2]\n{"op": "dance"}\n{"op": "cluster.start"}\n{"op": "run.kill", "run": "none"}\n')
    extension.write('{"op": "cluster.close", "cluster": "never was", "force": true}\n')
    assert extension.wait("error", op="dance")
    assert extension.wait("error", op="cluster.start")
    extension.send(op="check", id="after", file=os.path.join(FLOWS, "plain.py"))
    extension.wait("checked", id="after")


def test_what_has_yet_to_start_is_closed_at_once(bench, flows):
    """Pressed and cancelled while Python warms up: nobody waits for the imports."""
    extension = bench.new_host("prefect3")
    one = extension.new_run(flows("etl.py"), "prefect", {"how": "import", "path": "etl"}).start()
    cluster = extension.start_cluster()
    extension.send(op="cluster.close", cluster=cluster, force=True)
    extension.send(op="run.kill", run=one.name, record=True)
    assert extension.wait("cluster.ended")["reason"] == "closed"
    extension.wait("run.exited", run=one.name)
    assert not [e for e in extension.events if e["event"] in ("ready", "cluster.started", "run.started")]
    extension.wait("ready")
    time.sleep(0.5)
    assert not [e for e in extension.events if e["event"] in ("cluster.started", "run.started")]
    assert extension.close() == 0


def test_unreachable_scheduler(bench, flows):
    one = bench.host("dask-latest").new_run(flows("plain.py"), "dask", SCRIPT).start()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    one.control(op="go", address="tcp://127.0.0.1:%d" % port, n_workers=1)
    assert one.end()["error"]["reason"] == "unreachable"


@pytest.mark.parametrize(
    "name,file,api,entry",
    [
        ("dask-latest", "plain.py", "dask", SCRIPT),
        ("prefect3", "etl.py", "prefect", {"how": "import", "path": "etl"}),
        ("prefect1", "etl1.py", "prefect1", {"how": "import", "path": "flow"}),
    ],
)
def test_spawn_mode(bench, flows, name, file, api, entry):
    """Where there is no fork (Windows), the same protocol by processes that have imported already."""
    extension = bench.host(name, "spawn")
    assert extension.wait("hello")["mode"] == "spawn"
    url = extension.prefect_url() if api == "prefect" else None
    one = run_on_temporary_cluster(extension, flows(file), api, entry, url)
    assert one.end()["state"] == "completed"
    assert one.tasks() or api == "dask"
    assert extension.wait("cluster.ended", cluster=one.cluster)["reason"] == "closed"


@pytest.mark.parametrize("name", ["prefect3", "prefect2"])
def test_users_own_api_is_respected(bench, name):
    extension = bench.new_host(name, PREFECT_API_URL="http://127.0.0.1:9/api")
    extension.send(op="prefect.start")
    assert extension.wait("prefect.profile")["api_url"] == "http://127.0.0.1:9/api"
    assert extension.wait("prefect.server", state="ready")["url"] == "http://127.0.0.1:9/api"
    assert extension.close() == 0


@pytest.mark.parametrize("name", ["prefect3", "prefect2"])
def test_a_profile_that_is_chosen_later_is_the_next_runs(bench, tmp_path, name):
    profiles = "active = '%s'\n" + "".join("[profiles.%s]\nPREFECT_API_URL = 'http://%s/api'\n" % (p, p) for p in "ab")
    (tmp_path / "profiles.toml").write_text(profiles % "a")
    extension = bench.new_host(name, PREFECT_HOME=str(tmp_path))
    assert extension.prefect_url() == "http://a/api"
    (tmp_path / "profiles.toml").write_text(profiles % "b")
    extension.send(op="prefect.start")
    extension.wait("prefect.server", url="http://b/api")
    assert extension.close() == 0


def test_two_windows_make_one_database(bench, tmp_path):
    """Both start a server on a home that has no database yet: one migrates, the other waits for it."""
    from concurrent.futures import ThreadPoolExecutor

    home = str(tmp_path / "new-home")
    windows = [Extension(python_of("prefect3"), FLOWS, {"PREFECT_HOME": home}) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        urls = set(pool.map(lambda window: window.prefect_url(), windows))
    assert len(urls) == 2
    states = [[e["state"] for e in window.events if e["event"] == "prefect.server"] for window in windows]
    assert sorted(states) == [["migrating", "ready"], ["starting", "ready"]]
    assert [window.close() for window in windows] == [0, 0]
