"""Prefect 1 without any cluster: threads or processes of its `LocalDaskExecutor`."""

import pytest

from extension_side import processes_of_sessions

RUN = ["submitted", "running", "completed"]


def states(one, name):
    found = {}
    for task in one.tasks():
        seen = found.setdefault(task["id"], [])
        if task["name"] == name and seen[-1:] != [task["state"]]:
            seen.append(task["state"])
    return [seen for seen in found.values() if seen]


def run_alone(extension, file, entry, options, **fields):
    one = extension.new_run(file, "prefect1", {"how": "import", "path": entry}, **fields).start()
    one.control(op="go", local_dask=options)
    return one


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_flow(bench, flows, scheduler):
    options = {"scheduler": scheduler, "num_workers": 2}
    extension = bench.host("prefect1")
    one = run_alone(extension, flows("depth1.py"), "everything", options, parameters={"n": 4})
    assert one.end()["state"] == "completed", one.text()
    assert states(one, "double") == [RUN, RUN]
    retried = ["submitted", "running", "retrying", "running", "retrying", "running", "completed"]
    assert states(one, "shaky") == [retried, retried]
    assert states(one, "odd") == [["submitted", "skipped"]]
    assert "handler of numbers: Success" in one.text()
    failed = run_alone(extension, flows("depth1.py"), "fails", options)
    assert failed.end()["error"]["task"] == "boom"
    assert failed.end()["error"]["line"] == 58


def test_prefects_own_defaults(bench, flows):
    one = run_alone(bench.host("prefect1"), flows("etl1.py"), "flow", {})
    assert one.end()["state"] == "completed", one.text()
    assert states(one, "transform") == [RUN] * 4


def test_a_script(bench, flows):
    extension = bench.host("prefect1")
    one = extension.new_run(flows("entries1.py"), "prefect1", {"how": "script", "qualname": "make.inner"}).start()
    one.control(op="go", local_dask={"scheduler": "threads"})
    assert one.end()["state"] == "completed", one.text()
    assert states(one, "double") == [RUN] and "script says True" in one.text()


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_cancel_ends_all_at_once(bench, flows, tmp_path, scheduler):
    extension = bench.host("prefect1")
    env = {"MARKS": str(tmp_path / "marks")}
    one = run_alone(extension, flows("slow1.py"), "flow", {"scheduler": scheduler, "num_workers": 2}, env=env)
    one.wait_running()
    group = extension.wait("run.started", run=one.name)["pgid"]
    extension.send(op="run.kill", run=one.name, record=True)
    assert extension.wait("run.exited", run=one.name)["signal"] == 9
    assert processes_of_sessions({group}) == {}
