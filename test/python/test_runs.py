"""Unmodified flows of every API run on a fresh cluster, as a user would see it."""

import re

import pytest

from extension_side import run_on_temporary_cluster

PREFECT23 = ["prefect3", "prefect2"]


def run(bench, name, file, api, entry, **fields):
    extension = bench.host(name)
    url = extension.prefect_url() if api == "prefect" else None
    return run_on_temporary_cluster(extension, file, api, entry, url, **fields)


def imported(path):
    return {"how": "import", "path": path}


def script(qualname=None):
    return {"how": "script", **({"qualname": qualname} if qualname else {})}


def finals(tasks):
    """The last state of each task run, by the task's name."""
    last = {}
    for task in tasks:
        last[task["id"]] = (task["name"], task["state"])
    return sorted(last.values())


ETL = [("extract", "completed"), ("load", "completed"), *[("transform", "completed")] * 4]


@pytest.mark.parametrize("name", PREFECT23)
def test_prefect_flow(bench, flows, name):
    one = run(bench, name, flows("etl.py"), "prefect", imported("etl"))
    end = one.end()
    assert end["state"] == "completed"
    assert end["result"] == "60"
    assert finals(one.tasks()) == ETL
    assert {t["state"] for t in one.tasks()} == {"submitted", "running", "completed"}
    assert all(t["worker"].startswith("tcp://127.0.0.1:") for t in one.tasks() if t["state"] == "running")
    flow = one.wait("flow")
    assert flow["name"] == "etl" and flow["prefect_run_id"] and flow["prefect_run_name"]
    assert "loaded [0, 10, 20, 30]" in one.text()  # printed on a worker
    assert "Completed" in one.text() and "\x1b[" in one.text()  # Prefect's log, in colour
    assert "flow result" not in one.text()  # the __main__ block is off


def test_prefect1_flow(bench, flows):
    one = run(bench, "prefect1", flows("etl1.py"), "prefect1", imported("flow"))
    assert one.end()["state"] == "completed"
    assert [f for f in finals(one.tasks()) if f[0] != "n"] == ETL
    assert {t["label"] for t in one.tasks() if t["name"] == "transform"} == {"transform[%d]" % i for i in range(4)}
    assert "loaded [0, 10, 20, 30]" in one.text()


@pytest.mark.parametrize("name", ["dask-latest", "dask-2023"])
def test_plain_script(bench, flows, name):
    one = run(bench, name, flows("plain.py"), "dask", script())
    assert one.end()["state"] == "completed"
    assert "workers 2 argv True" in one.text()
    assert "total 10" in one.text()


def test_plain_script_without_client_runs_on_the_cluster(bench, flows):
    one = run(bench, "dask-latest", flows("noclient.py"), "dask", script())
    assert one.end()["state"] == "completed"
    assert "ran on tcp://127.0.0.1" in one.text()


def test_threads_only_cluster(bench, flows):
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    one = run(bench, "dask-latest", flows("uses_helper.py"), "dask", script(), options=options)
    assert one.end()["state"] == "completed"
    assert "scaled 42" in one.text()


def test_modules_beside_the_script_reach_the_workers(bench, flows):
    one = run(bench, "dask-latest", flows("uses_helper.py"), "dask", script())
    assert "scaled 42" in one.text()


def test_own_cluster_of_a_script_is_let_be_and_said(bench, flows):
    one = run(bench, "dask-latest", flows("owncluster.py"), "dask", script())
    assert one.end()["state"] == "completed"
    assert "own 42" in one.text()
    assert "LocalCluster of its own" in one.wait("note")["text"]


def test_exit_code_of_a_script(bench, flows):
    one = run(bench, "dask-latest", flows("exits.py"), "dask", script())
    assert one.end()["state"] == "failed"
    assert "exit code 3" in one.end()["message"]
    assert one.extension.wait("run.exited", run=one.name)["code"] == 1


def test_terminal_reads_and_is_a_terminal(bench, flows):
    extension = bench.host("dask-latest")
    one = extension.new_run(flows("reads.py"), "dask", script())
    cluster = extension.start_cluster(one)
    one.start().go(cluster)
    one.wait_until(lambda r: "name?" in r.text())
    one.sockets["io"].sendall(b"Ana\n")
    assert one.end()["state"] == "completed"
    assert "tty True" in one.text() and "got Ana" in one.text() and "to stderr" in one.text()
    extension.send(op="cluster.close", cluster=cluster, force=False)
    assert extension.wait("cluster.ended", cluster=cluster)["reason"] == "closed"


# -- failures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREFECT23)
def test_failing_task(bench, flows, name):
    one = run(bench, name, flows("failing.py"), "prefect", imported("fail"))
    end = one.end()
    error = end["error"]
    assert end["state"] == "failed"
    assert error["type"] == "ValueError" and error["message"].startswith("bad row")
    assert error["task"].startswith("boom")
    assert (error["file"], error["line"]) == (flows("failing.py"), 11)
    assert 'File "%s", line 11, in boom' % flows("failing.py") in error["traceback"]
    assert ("boom", "failed") in finals(one.tasks())
    assert one.extension.wait("run.exited", run=one.name)["code"] == 1


@pytest.mark.parametrize("name", PREFECT23)
def test_failing_flow(bench, flows, name):
    error = run(bench, name, flows("failing.py"), "prefect", imported("broken")).end()["error"]
    assert error["type"] == "KeyError"
    assert (error["file"], error["line"]) == (flows("failing.py"), 22)


def test_failing_task_prefect1(bench, flows):
    end = run(bench, "prefect1", flows("failing1.py"), "prefect1", imported("flow")).end()
    assert end["state"] == "failed"
    assert end["error"]["type"] == "ValueError"
    assert end["error"]["task"].startswith("boom[")
    assert (end["error"]["file"], end["error"]["line"]) == (flows("failing1.py"), 11)


def test_failing_plain_script(bench, flows):
    one = run(bench, "dask-latest", flows("failingplain.py"), "dask", script())
    error = one.end()["error"]
    assert error["type"] == "ValueError" and error["message"] == "bad row 3"
    assert (error["file"], error["line"]) == (flows("failingplain.py"), 5)
    assert "Traceback (most recent call last)" in one.text()
    assert "flow_clusters" not in one.text()


def test_syntax_error(bench, flows):
    extension = bench.host("dask-latest")
    extension.send(op="check", id="k1", file=flows("syntax_error.py"))
    error = extension.wait("checked", id="k1")["error"]
    assert error["line"] == 1 and "SyntaxError" in error["message"] and error["text"] == "def broken(:"
    extension.send(op="check", id="k2", file=flows("plain.py"))
    assert "error" not in extension.wait("checked", id="k2")
    one = run_without_cluster(extension, flows("syntax_error.py"), "dask", script())
    assert one.end()["error"]["reason"] == "syntax-error"


def run_without_cluster(extension, file, api, entry, **fields):
    """For what is known before a cluster is needed: `go` is never sent."""
    return extension.new_run(file, api, entry, **fields).start()


def test_unknown_flow_and_wrong_prefect(bench, flows):
    one = run_without_cluster(bench.host("prefect1"), flows("etl1.py"), "prefect1", imported("nothing"))
    assert one.end()["error"]["reason"] == "flow-not-found"
    two = run_without_cluster(bench.host("prefect1"), flows("etl.py"), "prefect", imported("etl"))
    assert two.end()["error"]["reason"] == "package-missing"
    assert "Prefect 2 or 3" in two.end()["message"]


def test_prefect_missing(bench, flows):
    one = run_without_cluster(bench.host("dask-latest"), flows("etl.py"), "prefect", imported("etl"))
    assert one.end()["error"]["reason"] == "package-missing"
    # The extension makes the command of its button from it (src/runs/failure.ts).
    assert one.end()["error"]["package"] == "prefect"
    assert "prefect is not installed for " in one.end()["message"]


# -- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREFECT23)
def test_parameters(bench, flows, name):
    good = run(bench, name, flows("etl.py"), "prefect", imported("ledger"), parameters={"rows": 3, "name": "x"})
    assert good.end()["result"] == "'x: 2'"
    bad = run(bench, name, flows("etl.py"), "prefect", imported("ledger"), parameters={"rows": "many", "name": "x"})
    assert bad.end()["error"]["reason"] == "parameter"
    assert "rows" in bad.end()["message"]
    assert not bad.tasks()
    missing = run(bench, name, flows("etl.py"), "prefect", imported("ledger"), parameters={"rows": 1})
    assert missing.end()["error"]["reason"] == "parameter"
    assert "name" in missing.end()["message"]


def test_parameters_prefect1(bench, flows):
    good = run(bench, "prefect1", flows("etl1.py"), "prefect1", imported("ledger"), parameters={"rows": 2})
    assert good.end()["state"] == "completed"
    bad = run(bench, "prefect1", flows("etl1.py"), "prefect1", imported("ledger"))
    assert bad.end()["error"]["reason"] == "parameter" and "rows" in bad.end()["message"]


# -- how flows are found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PREFECT23)
def test_flow_inside_of_a_class(bench, flows, name):
    assert run(bench, name, flows("etl.py"), "prefect", imported("Pipeline.run")).end()["result"] == "1"


@pytest.mark.parametrize("name", PREFECT23)
def test_async_flow(bench, flows, name):
    one = run(bench, name, flows("entries.py"), "prefect", imported("later"))
    assert one.end()["state"] == "completed" and one.end()["result"] == "6"


@pytest.mark.parametrize("name", PREFECT23)
def test_script_entry(bench, flows, name):
    one = run(bench, name, flows("entries.py"), "prefect", script("make.inner"))
    assert one.end()["state"] == "completed"
    assert finals(one.tasks()) == [("double", "completed")]
    assert "script says 42 []" in one.text() and "script goes on" in one.text()


def test_script_entry_prefect1(bench, flows):
    one = run(bench, "prefect1", flows("entries1.py"), "prefect1", script("make.inner"))
    assert one.end()["state"] == "completed"
    assert ("double", "completed") in finals(one.tasks())
    assert "script says True" in one.text() and "script goes on" in one.text()


def test_script_that_never_calls_the_flow(bench, flows):
    end = run(bench, "prefect3", flows("entries.py"), "prefect", script("make.other")).end()
    assert end["error"]["reason"] == "flow-not-found"
    assert "make.other" in end["message"]


@pytest.mark.parametrize("name", PREFECT23)
def test_unguarded_call(bench, flows, name):
    one = run(bench, name, flows("unguarded.py"), "prefect", imported("ng"))
    assert one.end()["result"] == "[0, 1, 4]"
    assert "guard" in one.wait("note")["text"]


@pytest.mark.parametrize("name", PREFECT23)
def test_retries_are_seen(bench, flows, name):
    one = run(bench, name, flows("entries.py"), "prefect", imported("retrying"))
    assert one.end()["state"] == "completed"
    states = [t["state"] for t in one.tasks()]
    assert [s for i, s in enumerate(states) if states[i - 1 : i] != [s]] == [
        "submitted",
        "running",
        "retrying",
        "running",
        "completed",
    ]


def test_same_random_numbers_nowhere(bench, flows, tmp_path):
    file = tmp_path / "randoms.py"
    file.write_text(
        "import random\nfrom distributed import Client\n"
        "def draw():\n    import random\n    return random.random()\n"
        "if __name__ == '__main__':\n"
        "    c = Client()\n    print('drawn', [random.random(), *c.run(draw).values()])\n"
    )
    texts = [run(bench, "dask-latest", str(file), "dask", script()).text() for _ in range(2)]
    numbers = re.findall(r"0\.\d+", " ".join(re.findall(r"drawn \[(.*)\]", " ".join(texts))))
    assert len(numbers) == 6 == len(set(numbers))
