"""The tasks of plain scripts, counted by asking: the same in the end as a plugin in the scheduler counts them."""

import pytest

from extension_side import run_on_bed

SCRIPT = {"how": "script"}
WAYS = ["graph", "bare", "futures", "again", "fails", "brief"]


def pictures(events):
    return [message["groups"] for message in events]


def counted_by_plugin(extension, file, how):
    """On a cluster of ours, whose scheduler counts."""
    one = extension.new_run(file, "dask", SCRIPT, env={"HOW": how})
    one.start().go(extension.start_cluster(one))
    one.end()
    extension.wait("run.exited", run=one.name)
    extension.send(op="cluster.close", cluster=one.cluster, force=False)
    extension.wait("cluster.ended", cluster=one.cluster)
    with_run = [e for e in extension.events if e["event"] == "cluster.tasks" and e["run"] == one.name]
    return pictures(with_run)[-1]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", ["dask-latest", "dask-2023"])
def test_final_counts(bench, beds, flows, name, how):
    extension = bench.host(name)
    one = run_on_bed(extension, beds(name), flows("countsplain.py"), "dask", SCRIPT, env={"HOW": how})
    assert one.end()["state"] == ("failed" if how == "fails" else "completed"), one.text()
    asked = pictures(e for e in one.events if e["event"] == "counts")[-1]
    counted = counted_by_plugin(extension, flows("countsplain.py"), how)
    if how != "fails":
        assert asked == counted
        return
    for groups in (asked, counted):  # how many could run before the failure was known is a matter of luck
        assert groups["sum"] == {"failed": 1}
        assert groups["boom"].pop("failed") == 1
        assert groups["boom"].get("completed", 0) + groups["boom"].get("cancelled", 0) == 29


def test_they_come_live(bench, beds, flows, tmp_path):
    extension = bench.host("dask-latest")
    marks = {"MARKS": str(tmp_path / "marks"), "HOW": "mapped", "TASKS": "12"}
    one = run_on_bed(extension, beds("dask-latest"), flows("cancelsplain.py"), "dask", SCRIPT, env=marks)
    asked = pictures(e for e in one.events if e["event"] == "counts")
    assert sum(asked[0]["slow"].values()) == 12
    assert max(groups["slow"].get("running", 0) for groups in asked) == 2
    assert asked[-1] == {"slow": {"completed": 12}}
    done = [groups["slow"].get("completed", 0) for groups in asked]
    assert done == sorted(done) and len(set(done)) > 3
