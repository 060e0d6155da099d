"""Code of the workspace reaches workers that have no copy of it, as it is at the moment of the run."""

import os
import shutil

import pytest

from environments import FLOWS
from extension_side import run_on_bed

SCRIPT = {"how": "script"}
TOLD = "one 42 km True"


@pytest.fixture
def project(tmp_path):
    """A workspace of its own, that may be edited."""
    return str(shutil.copytree(os.path.join(FLOWS, "project"), str(tmp_path / "project")))


def edit(project, file, old, new):
    path = os.path.join(project, file)
    with open(path) as opened:
        text = opened.read()
    assert old in text
    with open(path, "w") as opened:
        opened.write(text.replace(old, new))


def run(bench, bed, name, project, file, api, entry, **fields):
    path = os.path.join(project, file)
    return run_on_bed(bench.host(name), bed, path, api, entry, workspace=project, **fields)


@pytest.mark.parametrize("name", ["dask-latest", "dask-2023"])
def test_plain_script(bench, beds, project, name):
    """Packages, modules in a circle, relative and late imports, coroutines, classes that stay the same class."""
    bed = beds(name, nanny=True, workers=1)
    one = run(bench, bed, name, project, "plain.py", "dask", SCRIPT)
    text = one.text()
    assert one.end()["state"] == "completed", text
    for line in (
        "alone True",
        "row Row(value=42, size=<Size.LARGE: 2>) True",
        "told " + TOLD,
        "later %s 2" % TOLD,
        "graph one 8 km True",
        "module one",
        "version one 2 2",
    ):
        assert line in text
    edit(project, "library/__init__.py", '"one"', '"other"')
    edit(project, "library/units.py", '"km"', '"mi"')
    edit(project, "helper.py", "= 2", "= 3")
    edit(project, "library/deep/later.py", '== "km"', '== "mi"')
    text = run(bench, bed, name, project, "plain.py", "dask", SCRIPT).text()
    for line in ("row Row(value=63", "told other 63 mi True", "graph other 12 mi True", "version other 3 3"):
        assert line in text


def test_what_cannot_travel_is_named(bench, beds, project):
    bed = beds("dask-latest", nanny=True, workers=1)
    one = run(bench, bed, "dask-latest", project, "plain.py", "dask", SCRIPT, env={"LOCKED": "1"})
    notes = [message["text"] for message in one.events if message["event"] == "note"]
    assert any("library.rows.LOCK does not travel" in note and "_thread.lock" in note for note in notes), notes
    assert "LOCK is not on the workers: TypeError: cannot pickle '_thread.lock' object" in one.end()["message"]


def test_a_compiled_module_is_named(bench, beds, project):
    with open(os.path.join(project, "library", "late.abi3.so"), "wb"):
        os.remove(os.path.join(project, "library", "late.py"))
    one = run(bench, beds("dask-latest", nanny=True, workers=1), "dask-latest", project, "plain.py", "dask", SCRIPT)
    assert "library.late is compiled, so it cannot travel" in one.wait("note")["text"]
    assert "No module named 'library.late'" in one.end()["message"]


@pytest.mark.parametrize("name", ["prefect3", "prefect2"])
def test_prefect_flow(bench, beds, project, name):
    bed = beds(name, nanny=True, workers=1)
    one = run(bench, bed, name, project, "flow23.py", "prefect", {"how": "import", "path": "main"})
    assert one.end().get("result") == "[True, '%s 2', 'one 2 2']" % TOLD, one.text()
    edit(project, "library/__init__.py", '"one"', '"other"')
    edit(project, "helper.py", "= 2", "= 3")
    again = run(bench, bed, name, project, "flow23.py", "prefect", {"how": "import", "path": "main"})
    assert again.end().get("result") == "[True, 'other 63 km True 3', 'other 3 3']", again.text()


def test_prefect1_flow(bench, beds, project):
    bed = beds("prefect1", nanny=True, workers=1)
    one = run(bench, bed, "prefect1", project, "flow1.py", "prefect1", {"how": "import", "path": "main"})
    assert one.end()["state"] == "completed", one.text()
    assert "told %s 2" % TOLD in bed.log_text() and "version one 2 2" in bed.log_text()
    edit(project, "library/__init__.py", '"one"', '"other"')
    run(bench, bed, "prefect1", project, "flow1.py", "prefect1", {"how": "import", "path": "main"})
    assert "version other 2 2" in bed.log_text()


def test_an_edit_on_a_cluster_of_ours_that_is_kept(bench, project):
    """Its workers could import the workspace by name, and would then keep what they have."""
    extension = bench.host("dask-latest")
    cluster = extension.start_cluster(cwd=project, path=[project])
    for version in ("one", "two"):
        one = run_on_ours(extension, cluster, project)
        assert "told %s 42 km True" % version in one.text() and "version %s 2 2" % version in one.text()
        if version == "one":
            edit(project, "library/__init__.py", '"one"', '"two"')
    # What cannot go by value goes by name, which will do where the workers find it.
    one = run_on_ours(extension, cluster, project, env={"NAMED": "1"})
    assert "named by name" in one.text()
    notes = [message["text"] for message in one.events if message["event"] == "note"]
    assert any("stubborn cannot be sent as it is in the editor" in note for note in notes), notes


def run_on_ours(extension, cluster, project, **fields):
    one = extension.new_run(
        os.path.join(project, "plain.py"), "dask", SCRIPT, temporary=False, workspace=project, **fields
    )
    one.start().go(cluster)
    assert one.end()["state"] == "completed", one.text()
    return one
