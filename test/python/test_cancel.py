"""A gentle cancel on somebody else's cluster, told by marks in a file: what has not begun never does, what has begun
ends, another client's tasks are all done, once each."""

import json
import os
import subprocess
import urllib.request

import pytest

from environments import HERE, python_of
from extension_side import PATIENCE_SECONDS, gone_within

TIMES = int(os.environ.get("FLOW_CLUSTERS_CANCELS") or 4)
TASKS = 40  # of each flow: more than two threads can do till a stop arrives, however busy the machine is
SCRIPT = {"how": "script"}


class Other:
    """Another client, busy on the same cluster."""

    def __init__(self, environment, bed, marks):
        self.marks = marks
        command = [python_of(environment), os.path.join(HERE, "busy_client.py"), bed.address, marks]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=bed.folder, text=True
        )
        self.works(1)

    def works(self, tasks):
        """Waits till it has done some more tasks: the cluster goes on working."""
        for _ in range(tasks):
            assert self.process.stdout.readline().strip().isdigit()

    def ends(self):
        self.process.stdin.close()
        lines = self.process.stdout.read().split()
        assert self.process.wait(PATIENCE_SECONDS) == 0
        assert lines[-1] == "done"


@pytest.fixture(scope="module")
def others(beds, tmp_path_factory):
    """The busy client of a bed; at the end of the tests each of its tasks has run exactly once."""
    made = {}

    def other(environment):
        if environment not in made:
            marks = str(tmp_path_factory.mktemp("other") / "marks")
            made[environment] = Other(environment, beds(environment), marks)
        return made[environment]

    yield other
    for one in made.values():
        one.ends()


class Marks:
    def __init__(self, path):
        self.path = path

    def of(self, what):
        if not self.path.exists():
            return []
        return [line.split()[1] for line in self.path.read_text().splitlines() if line.startswith(what + " ")]


@pytest.fixture
def marks(tmp_path):
    return Marks(tmp_path / "marks")


def begin(extension, bed, file, api, entry, marks, **env):
    url = extension.prefect_url() if api == "prefect" else None
    env["MARKS"] = str(marks.path)
    one = extension.new_run(file, api, entry, env=env, temporary=False).start().go_to(bed, url)
    one.url = url
    return one


def imported(path):
    return {"how": "import", "path": path}


def prefect_state(one):
    url = "%s/flow_runs/%s" % (one.url, one.wait("flow")["prefect_run_id"])
    return json.loads(urllib.request.urlopen(url, timeout=10).read())["state"]["type"]


def begun(one, marks):
    assert gone_within(PATIENCE_SECONDS, lambda: marks.of("start") or one.has_ended())
    assert not one.has_ended(), one.text()


def slow_tasks(bed):
    """Keys that the scheduler knows, but for those of the other clients."""
    return [key for key in bed.call("left")["tasks"] if "work" not in key and key != "shared"]


def stopped_exactly(one, bed, other, marks, total=TASKS):
    """Stops the run and sees that it was exact."""
    one.control(op="stop")
    assert one.end()["state"] == "cancelled", one.text()
    starts, ends = marks.of("start"), marks.of("end")
    assert sorted(starts) == sorted(ends), one.text()  # what had begun has ended before the run says so
    assert len(set(starts)) == len(starts), "nothing has run twice"
    assert len(starts) < total, "what waited has not begun"
    assert one.extension.wait("run.exited", run=one.name)["code"] == 130
    other.works(6)  # threads are free, and used
    assert marks.of("start") == starts, "nothing has begun since"
    assert marks.of("after") == []
    assert gone_within(PATIENCE_SECONDS, lambda: slow_tasks(bed) == [])
    assert bed.call("left")["gates"] == []
    if one.url:
        assert prefect_state(one) == "CANCELLED"


FLOWS = [
    ("prefect3", "cancels.py", "prefect", imported("mapped")),
    ("prefect2", "cancels.py", "prefect", imported("mapped")),
    ("prefect1", "cancels1.py", "prefect1", imported("mapped")),
    ("dask-latest", "cancelsplain.py", "dask", SCRIPT),
    ("dask-2023", "cancelsplain.py", "dask", SCRIPT),
]


@pytest.mark.parametrize("time", range(TIMES))
@pytest.mark.parametrize("name,file,api,entry", FLOWS)
def test_stop(bench, beds, others, flows, marks, name, file, api, entry, time):
    bed, other = beds(name), others(name)
    one = begin(bench.host(name), bed, flows(file), api, entry, marks, HOW="mapped")
    if api != "dask" and time % 2:  # in the moment of submission
        one.wait_until(lambda run: "submitted" in run.states())
    else:
        begun(one, marks)
    stopped_exactly(one, bed, other, marks)
    if api == "prefect":
        assert marks.of("hook") == ["Cancelling"], one.text() + bed.log_text()[-6000:]


CHAINS = [
    ("prefect3", "cancels.py", "prefect", imported("chained")),
    ("prefect2", "cancels.py", "prefect", imported("chained")),
    ("prefect1", "cancels1.py", "prefect1", imported("chained")),
    ("prefect3", "cancels.py", "prefect", imported("parent")),
    ("prefect2", "cancels.py", "prefect", imported("parent")),
    ("prefect3", "cancels.py", "prefect", imported("later")),
    ("prefect2", "cancels.py", "prefect", imported("later")),
    ("dask-latest", "cancelsplain.py", "dask", "chained"),
    ("dask-2023", "cancelsplain.py", "dask", "chained"),
    ("dask-latest", "cancelsplain.py", "dask", "chained_futures"),
    ("dask-latest", "cancelsplain.py", "dask", "later"),
    ("dask-latest", "cancelsplain.py", "dask", "later_chained"),
    ("dask-2023", "cancelsplain.py", "dask", "later_chained"),
    ("dask-latest", "cancelsplain.py", "dask", "stubborn"),
]


@pytest.mark.parametrize("name,file,api,entry", CHAINS)
def test_stop_of_chains_subflows_and_async_ones(bench, beds, others, flows, marks, name, file, api, entry):
    """What waits for an active task never begins, whether or not somebody holds a future of the active one."""
    bed, other = beds(name), others(name)
    how = entry if api == "dask" else ""
    one = begin(bench.host(name), bed, flows(file), api, SCRIPT if how else entry, marks, HOW=how)
    begun(one, marks)
    stopped_exactly(one, bed, other, marks, total=300 if how == "stubborn" else TASKS)


def test_stop_while_a_retry_waits(bench, beds, others, flows, marks):
    """Prefect 1 sleeps in the flow's process till the next round, half a minute here."""
    bed, other = beds("prefect1"), others("prefect1")
    one = begin(bench.host("prefect1"), bed, flows("cancels1.py"), "prefect1", imported("retrying"), marks)
    one.wait_until(lambda run: "retrying" in run.states())
    one.wait_until(lambda run: "Waiting for next available" in run.text())
    stopped_exactly(one, bed, other, marks, 4)


def test_a_task_that_another_client_wants_too(bench, beds, flows, marks):
    """The same key, wanted by two: it is withdrawn by one of them only."""
    bed = beds("dask-latest")
    bed.call("submit_late", "shared", 1)
    one = begin(bench.host("dask-latest"), bed, flows("cancelsplain.py"), "dask", SCRIPT, marks, HOW="shared")
    begun(one, marks)
    one.control(op="stop")
    assert one.end()["state"] == "cancelled"
    assert bed.call("result", "shared") == 1


@pytest.mark.parametrize("name,file,api", [flow[:3] for flow in FLOWS[:4]])
def test_second_cancel(bench, beds, others, flows, marks, tmp_path, name, file, api):
    """Gives the runner up, and not the cluster: what was active still ends, others go on."""
    bed, other = beds(name), others(name)
    extension = bench.host(name)
    how = SCRIPT if api == "dask" else imported("holding")
    one = begin(extension, bed, flows(file), api, how, marks, HOW="holding")
    begun(one, marks)
    if api != "dask":
        one.wait_running()  # a task's begin is told while it runs, not with its end
    one.control(op="stop")
    one.wait("stage", stage="draining")
    extension.send(op="run.kill", run=one.name, record=True)
    assert extension.wait("run.exited", run=one.name)["signal"] == 9
    assert gone_within(PATIENCE_SECONDS, lambda: slow_tasks(bed) == [])
    (tmp_path / "marks.go").touch()
    other.works(8)
    assert gone_within(PATIENCE_SECONDS, lambda: sorted(marks.of("start")) == sorted(marks.of("end")))
    assert len(marks.of("start")) < TASKS
    if api == "prefect":
        assert gone_within(PATIENCE_SECONDS, lambda: prefect_state(one) == "CANCELLED")


def test_a_stop_that_comes_too_late(bench, beds, flows, marks):
    """A script that had done all that it had to do is no cancelled one."""
    bed = beds("dask-latest")
    one = begin(bench.host("dask-latest"), bed, flows("cancelsplain.py"), "dask", SCRIPT, marks, HOW="brief")
    one.wait_until(lambda run: "all is done" in run.text())
    one.control(op="stop")
    assert one.end()["state"] == "completed", one.text()
