"""Flows of every API, unmodified, on a scheduler that is not ours: with certificates, as text, over every scheme."""

import socket

import pytest

from beds import Bed
from extension_side import run_on_bed

PREFECT23 = ["prefect3", "prefect2"]
SCRIPT = {"how": "script"}


def imported(path):
    return {"how": "import", "path": path}


def run(bench, beds, name, file, api, entry, protocol="tls", **fields):
    """On a cluster that is shared with nobody but the other tests. Returns the run."""
    return run_on_bed(bench.host(name), beds(name, protocol=protocol), file, api, entry, **fields)


def states(one, name):
    """Of each task run of that name: its states, in order, without repetitions."""
    found = {}
    for task in one.tasks():
        seen = found.setdefault(task["id"], [])
        if task["name"] == name and seen[-1:] != [task["state"]]:
            seen.append(task["state"])
    return [seen for seen in found.values() if seen]


def notes(one):
    return [message["text"] for message in one.events if message["event"] == "note"]


RUN = ["submitted", "running", "completed"]
RETRIED = ["submitted", "running", "retrying", "running", "retrying", "running", "completed"]


# -- Prefect 2 and 3 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREFECT23)
def test_a_flow_of_everything(bench, beds, flows, name, tmp_path):
    """Mapped tasks, retries that wait, a subflow, a cached task, parameters, hooks, a task runner of the user's own."""
    parameters = {"n": 4, "key": str(tmp_path)}
    one = run(bench, beds, name, flows("depth.py"), "prefect", imported("everything"), parameters=parameters)
    assert one.end()["state"] == "completed", one.text()
    assert one.end()["result"] == repr([[2, 8], 7, str(tmp_path)])
    assert states(one, "double") == [RUN, RUN]
    assert states(one, "shaky") == [RETRIED]
    assert sorted(states(one, "once")) == [["submitted", "running", "cached"], RUN]
    assert {t["worker"].partition(":")[0] for t in one.tasks() if t["state"] == "running"} == {"tls"}
    for line in ("client of mine", "hook of child: Completed", "hook of everything: Completed"):
        assert line in one.text()
    assert notes(one) == []


@pytest.mark.parametrize("name", PREFECT23)
def test_async_flows_and_failures(bench, beds, flows, name):
    one = run(bench, beds, name, flows("depth.py"), "prefect", imported("both"))
    assert one.end().get("result") == "[2, 4]", one.text()
    assert states(one, "double") == [RUN, RUN]
    failed = run(bench, beds, name, flows("depth.py"), "prefect", imported("fails"))
    assert failed.end()["error"]["task"].startswith("boom")
    assert states(failed, "boom") == [["submitted", "running", "failed"]]
    assert "hook of fails: Failed" in failed.text()


def test_flows_that_yield(bench, beds, flows):
    file = flows("depth3.py")
    one = run(bench, beds, "prefect3", file, "prefect", imported("numbers"))
    assert one.end().get("result") == "[0, 1, 4]", one.text()
    assert states(one, "square") == [RUN, RUN, RUN]
    assert states(one, "count") == [["running", "completed"]]
    later = run(bench, beds, "prefect3", file, "prefect", imported("numbers_later"), parameters={"n": 2})
    assert later.end().get("result") == "[0, 1]", later.text()
    script = run(bench, beds, "prefect3", file, "prefect", {"how": "script", "qualname": "numbers"})
    assert script.end()["state"] == "completed", script.text()
    assert "first of 0 all of [0, 1, 4, 9]" in script.text()
    assert len(states(script, "square")) >= 1
    broken = run(bench, beds, "prefect3", file, "prefect", imported("breaks_off"))
    assert broken.end()["error"]["type"] == "KeyError"


def test_tasks_beside_the_flow(bench, beds, flows):
    one = run(bench, beds, "prefect3", flows("depth3.py"), "prefect", imported("called"))
    assert one.end().get("result") == "9", one.text()
    assert states(one, "shaky") == [["running", "retrying", "running", "completed"]]
    assert states(one, "square") == [["running", "completed"]]
    own = run(bench, beds, "prefect3", flows("depth3.py"), "prefect", imported("around"))
    assert own.end().get("result") == "16", own.text()
    assert states(own, "square") == [["running", "completed"]]
    assert notes(own) == [
        "The subflow insists keeps its own ThreadPoolTaskRunner: its tasks run beside the flow, not on the cluster."
    ]


def test_a_task_that_submits_tasks(bench, beds, flows):
    one = run(bench, beds, "prefect3", flows("nested.py"), "prefect", imported("outside"))
    assert one.end().get("result") == "3", one.text()


# -- Prefect 1 -------------------------------------------------------------------------------------------------


def test_a_flow_of_everything_for_prefect1(bench, beds, flows):
    one = run(bench, beds, "prefect1", flows("depth1.py"), "prefect1", imported("everything"), parameters={"n": 4})
    assert one.end()["state"] == "completed", one.text()
    assert states(one, "double") == [RUN, RUN]
    assert states(one, "shaky") == [RETRIED, RETRIED]
    assert states(one, "skips") == [["submitted", "running", "skipped"]]
    assert states(one, "even") == [RUN]
    assert states(one, "odd") == [["submitted", "skipped"]]
    assert "handler of everything: Success" in one.text()
    assert "handler of numbers: Success" in beds("prefect1", protocol="tls").log_text()
    failed = run(bench, beds, "prefect1", flows("depth1.py"), "prefect1", imported("fails"))
    assert failed.end()["error"]["task"] == "boom"
    assert states(failed, "boom") == [["submitted", "running", "failed"]]
    assert states(failed, "after") == [["submitted", "failed"]]
    assert "handler of fails: Failed" in failed.text()


# -- plain Dask ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dask-latest", "dask-2023"])
def test_the_ways_of_futures(bench, beds, flows, name):
    one = run(bench, beds, name, flows("depthplain.py"), "dask", SCRIPT, env={"HOW": "sync"})
    assert one.end()["state"] == "completed", one.text()
    lines = ("gathered [0, 2, 4, 6]", "completed [0, 2, 4, 6]", "scattered 40", "nested 6", "default True")
    assert all(line in one.text() for line in lines), one.text()
    later = run(bench, beds, name, flows("depthplain.py"), "dask", SCRIPT, env={"HOW": "later"})
    assert later.end()["state"] == "completed", later.text()
    assert "gathered [0, 2, 4, 6]" in later.text() and "completed [0, 2, 4, 6]" in later.text()


@pytest.mark.parametrize("protocol", ["tls", "ws", "wss"])
def test_scripts_without_a_client(bench, beds, flows, protocol):
    one = run(bench, beds, "dask-latest", flows("noclient.py"), "dask", SCRIPT, protocol)
    assert one.end()["state"] == "completed", one.text()
    assert "ran on %s://" % protocol in one.text()


def test_clusters_that_a_script_has_in_mind(bench, beds, flows):
    """They are let be, and said."""
    local = run(bench, beds, "dask-latest", flows("depthplain.py"), "dask", SCRIPT, env={"HOW": "local"})
    assert "own 42" in local.text()
    assert "The script makes a LocalCluster of its own" in local.wait("note")["text"]
    other = beds("dask-latest", protocol="ws").address
    env = {"HOW": "elsewhere", "ELSEWHERE": other}
    away = run(bench, beds, "dask-latest", flows("depthplain.py"), "dask", SCRIPT, env=env)
    assert "elsewhere 42" in away.text()
    assert away.wait("note")["text"].startswith("The script connects to %s" % other)


def test_nothing_is_left_on_the_scheduler(bench, beds, flows):
    """Neither gates nor clients nor complaints."""
    for name in ("prefect3", "prefect2", "prefect1", "dask-latest"):
        bed = beds(name, protocol="tls")
        left = bed.call("left")
        assert left["gates"] == []
        assert len(left["clients"]) <= 1 + len([c for c in left["clients"] if c == "fire-and-forget"]), left
        assert "CRITICAL" not in bed.log_text(), bed.log_text()


# -- schedulers that cannot be had -----------------------------------------------------------------------------


def refused(bench, bed, flows, security):
    one = bench.host("dask-latest").new_run(flows("plain.py"), "dask", SCRIPT, temporary=False).start()
    order = {"security": security} if security else {}
    one.control(op="go", address=bed.address, **order)
    error = one.end()["error"]
    assert error["reason"] == "unreachable"
    return error["message"]


def test_certificates_that_are_missing_or_wrong(bench, beds, flows):
    bed = beds("dask-latest", protocol="tls")
    assert "Dask needs those of the client too" in refused(bench, bed, flows, None)
    assert "Dask needs those of the client too" in refused(bench, bed, flows, {"ca": bed.security["ca"]})
    stranger = Bed("dask-latest", protocol="tls", workers=0)
    stranger.stop()
    assert "certificate verify failed" in refused(bench, bed, flows, stranger.security)
    message = refused(bench, bed, flows, dict(stranger.security, ca=bed.security["ca"]))
    assert "alert" in message or "hung up" in message


def test_nobody_there(bench, flows):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for scheme in ("tcp", "tls", "ws", "wss"):
        one = bench.host("dask-latest").new_run(flows("plain.py"), "dask", SCRIPT).start()
        one.control(op="go", address="%s://127.0.0.1:%d" % (scheme, port))
        assert one.end()["error"]["reason"] == "unreachable"
