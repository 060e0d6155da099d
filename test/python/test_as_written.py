"""Flows and scripts as they are written: with the executor, task runner or cluster of their own, and none of ours."""

import os

import pytest

from extension_side import PATIENCE_SECONDS, gone_within, processes_of_sessions

FLOWS = [
    ("prefect1", "written1.py", "prefect1", {"how": "import", "path": "flow"}),
    ("prefect2", "written.py", "prefect", {"how": "import", "path": "written"}),
    ("prefect3", "written.py", "prefect", {"how": "import", "path": "written"}),
    ("dask-latest", "writtenplain.py", "dask", {"how": "script"}),
]
SECONDS = 1000


def start(extension, file, api, entry, marks, seconds=0, temporary=False):
    parameters = {"seconds": seconds} if seconds and api != "dask" else {}
    env = {"MARKS": str(marks), "SECONDS": str(seconds)}
    one = extension.new_run(file, api, entry, parameters=parameters, env=env, temporary=temporary).start()
    order = {"prefect_api_url": extension.prefect_url()} if api == "prefect" else {}
    one.control(op="go", as_written=True, **order)
    return one


def wait_for_marks(marks):
    """The process in which a task has begun."""
    begun = gone_within(PATIENCE_SECONDS, lambda: marks.exists() and marks.read_text().endswith("\n"))
    assert begun, "no task has begun"
    return int(marks.read_text().split()[0])


@pytest.mark.parametrize("name,file,api,entry", FLOWS)
def test_it_runs_on_its_own_cluster(bench, flows, tmp_path, name, file, api, entry):
    extension, marks = bench.host(name), tmp_path / "marks"
    one = start(extension, flows(file), api, entry, marks)
    assert one.end()["state"] == "completed", one.text()
    assert "on worker 0" in one.text() and "closing its cluster" in one.text(), one.text()
    group = extension.wait("run.started", run=one.name)["pgid"]
    assert extension.wait("run.exited", run=one.name)["code"] == 0
    assert processes_of_sessions({group}) == {}
    assert not os.path.exists("/proc/%d" % wait_for_marks(marks))
    assert [m for m in extension.events if m["event"].startswith("cluster")] == []


@pytest.mark.parametrize("name,file,api,entry", FLOWS)
def test_a_stop_is_what_ctrl_c_is(bench, flows, tmp_path, name, file, api, entry):
    extension, marks = bench.host(name), tmp_path / "marks"
    one = start(extension, flows(file), api, entry, marks, SECONDS)
    worker = wait_for_marks(marks)
    one.control(op="stop")
    end = one.end()
    assert end["state"] == "cancelled" and "Ctrl-C" in end["message"], (end, one.text())
    assert "closing its cluster" in one.text(), one.text()
    group = extension.wait("run.started", run=one.name)["pgid"]
    extension.wait("run.exited", run=one.name)
    assert processes_of_sessions({group}) == {}
    assert not os.path.exists("/proc/%d" % worker)


@pytest.mark.parametrize(
    "name,file,api,qualname",
    [
        ("prefect1", "written1.py", "prefect1", "called"),
        ("prefect2", "written.py", "prefect", "called"),
        ("prefect3", "written.py", "prefect", "called"),
    ],
)
def test_a_call_with_an_executor_runs_as_in_its_file(bench, flows, tmp_path, name, file, api, qualname):
    entry = {"how": "script", "qualname": qualname}
    one = start(bench.host(name), flows(file), api, entry, tmp_path / "marks")
    assert one.end()["state"] == "completed", one.text()
    assert "the script goes on" in one.text(), one.text()
    assert ("closing its cluster" in one.text()) == (api == "prefect"), one.text()


@pytest.mark.parametrize(
    "name,file,api",
    [
        ("prefect1", "assigned1.py", "prefect1"),
        ("prefect2", "assigned.py", "prefect"),
        ("prefect3", "assigned.py", "prefect"),
    ],
)
def test_the_flow_is_found_by_its_variable(bench, flows, tmp_path, name, file, api):
    one = start(bench.host(name), flows(file), api, {"how": "script", "qualname": "etl"}, tmp_path / "marks")
    end = one.end()
    assert end["state"] == "completed", (end, one.text())
    assert "got 2" in one.text() and "the script goes on" in one.text(), one.text()


@pytest.mark.parametrize("name,api", [("prefect1", "prefect1"), ("prefect2", "prefect"), ("prefect3", "prefect")])
def test_a_stop_before_the_flow_begins_ends_the_script(bench, tmp_path, name, api):
    flow_file, marks = tmp_path / "late.py", tmp_path / "marks"
    lines = ("import os", "import time", "print(1, file=open(os.environ['MARKS'], 'w'))", "time.sleep(100)")
    flow_file.write_text("\n".join(lines))
    one = start(bench.host(name), str(flow_file), api, {"how": "script", "qualname": "etl"}, marks)
    wait_for_marks(marks)
    one.control(op="stop")
    assert one.end()["state"] == "cancelled", one.text()
