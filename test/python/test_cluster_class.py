"""What is read of cluster classes, and what a host without fork makes of them."""

import json
import os
import subprocess
import sys
import time

import pytest
from extension_side import PATIENCE_SECONDS, ROOT, gone_within

READ = """
import json, sys
sys.path[:0] = %r
from flow_clusters.cluster_class import signature, targets
print(json.dumps(signature.Signature(targets.find(sys.argv[1])).described()))
"""
FORMS = '''
"""Forms that signatures may have."""
import enum
import functools
from typing import Optional


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


class Base:
    """One of many.

    Parameters
    ----------
    size, count : int, optional
        How many.
        Two lines.
    mode
        How fast.

    Notes
    -----
    odd : not a parameter
    """

    def __init__(self, size=1, mode: Optional[Mode] = None, **options):
        self.options = options


class Middle(Base):
    pass


class Derived(Middle):
    def __init__(self, name, *args, extra=(1, 2), **rest):
        super().__init__(size=3, **rest)


class Named(Base):
    def __init__(self, name="x", **kw):
        Base.__init__(self, 5, **kw)


def through(**kwargs):
    from forms import Derived as Other

    return Other("mine", **kwargs)


def opaque(**kwargs):
    return globals()["Base"](**kwargs)


def wrapped(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


@wrapped
def decorated(hosts, limit=float("inf")):
    return hosts
'''


@pytest.fixture
def read(tmp_path):
    (tmp_path / "forms.py").write_text(FORMS)

    def describe(path):
        code = READ % [ROOT + "/src/python", str(tmp_path)]
        done = subprocess.run([sys.executable, "-c", code, path], stdout=subprocess.PIPE, check=True)
        said = json.loads(done.stdout)
        return said, {one["name"]: one for one in said["parameters"]}

    return describe


def test_parameters_of_bases_where_they_are_passed_on(read):
    said, parameters = read("forms.Derived")
    assert list(parameters) == ["name", "extra", "mode"]
    assert parameters["name"]["required"] and not parameters["mode"]["required"]
    assert parameters["mode"]["of"] == "Base" and parameters["mode"]["choices"] == ["FAST", "SLOW"]
    assert parameters["mode"]["doc"] == "How fast."
    assert parameters["extra"]["value"] == [1, 2]
    assert said["open"], "what Base does with its options nobody knows"
    assert list(read("forms.Named")[1])[:2] == ["name", "mode"], "what is given already can't be given again"


def test_docstrings_in_numpys_style(read):
    said, parameters = read("forms:Base")
    assert said["doc"] == "One of many."
    assert parameters["size"]["doc"] == parameters["count"]["doc"] == "How many. Two lines."
    assert parameters["size"]["annotation"] == "int, optional"
    assert "odd" not in parameters


def test_functions_that_pass_on(read):
    said, parameters = read("forms.through")
    assert "extra" in parameters and "name" not in parameters and not parameters["extra"]["required"]
    said, parameters = read("forms.opaque")
    assert (said["open"], parameters) == (True, {})
    said, parameters = read("forms.decorated")
    assert parameters["hosts"]["required"] and parameters["limit"]["default"] == "inf"
    assert "value" not in parameters["limit"], "JSON has no such number"


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_a_cluster_of_a_class(bench, mode):
    extension = bench.host("dask-latest", mode)
    order = {"path": "my_clusters.make_cluster", "kwargs": {"n_workers": 1}, "start_timeout": 60}
    cluster = extension.start_cluster(**{"class": order}, options=None)
    started = extension.wait("cluster.started", cluster=cluster)
    assert started["address"].startswith("tcp://")
    extension.send(op="cluster.scale", cluster=cluster, id="more", n_workers=2)
    assert extension.wait("cluster.scaling", id="more")["n_workers"] == 2
    extension.send(op="cluster.close", cluster=cluster, force=True)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended.get("left")) == ("closed", None)


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_a_start_that_is_given_up(bench, mode):
    extension = bench.host("dask-latest", mode)
    order = {"path": "my_clusters.hangs", "kwargs": {}, "start_timeout": 3}
    cluster = extension.start_cluster(**{"class": order}, options=None)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended["kind"]) == ("failed", "timeout")


@pytest.mark.parametrize("environment", ["prefect2", "prefect3"])
def test_files_that_run_their_flow_when_they_are_imported(bench, environment):
    extension = bench.host(environment)

    def described(name):
        extension.send(op="class.describe", id=name, path="elsewhere/named/random.py:" + name)
        return extension.wait("class.described", id=name)

    said = described("make_cluster")["description"]
    assert [one["name"] for one in said["parameters"]] == ["n_workers"]
    refusal = described("make_late")["refusal"]
    assert refusal["message"] == "There is no make_late in random (file)."
    assert "put that call under `if __name__ == '__main__':`" in refusal["hint"]
    extension.send(op="class.describe", id="none", path="elsewhere/none.py:make")
    assert extension.wait("class.described", id="none")["refusal"]["message"] == "There is no file elsewhere/none.py."


@pytest.fixture
def started(bench, tmp_path):
    """Starts a cluster of a class with something elsewhere; `is_there()` tells whether that is."""
    mark = str(tmp_path)

    def is_there():
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid) as file:
                    if mark in file.read():
                        return True
            except OSError:
                pass
        return False

    def start(path, mode=None, start_timeout=60, **order):
        extension = bench.host("dask-latest", mode)
        order = {"path": "my_clusters." + path, "kwargs": {"n_workers": 1}, "start_timeout": start_timeout, **order}
        cluster = extension.start_cluster(**{"class": order}, options=None, env={"MARK": mark})
        return extension, cluster, is_there

    return start


@pytest.mark.parametrize("path", ["BusyCluster", "make_busy"])
def test_a_scale_that_never_ends(started, path):
    extension, cluster, is_there = started(path, n_workers=1, start_timeout=4)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["kind"], ended.get("left")) == ("timeout", None)
    assert gone_within(PATIENCE_SECONDS, lambda: not is_there())
    extension, cluster, is_there = started(path)
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    assert is_there()
    extension.send(op="cluster.scale", cluster=cluster, id="busy" + path, n_workers=2)
    time.sleep(0.5)
    extension.send(op="cluster.close", cluster=cluster, force=False)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended.get("left")) == ("closed", None)
    assert gone_within(PATIENCE_SECONDS, lambda: not is_there())


@pytest.mark.parametrize("path", ["JobCluster", "make_busy"])
def test_a_start_that_is_given_up_while_its_workers_start(started, path):
    extension, cluster, is_there = started(path)
    extension.wait("cluster.stage", cluster=cluster, stage="starting " + path)
    time.sleep(0.5)
    extension.send(op="cluster.close", cluster=cluster, force=False)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended.get("left")) == ("closed", None)
    assert gone_within(PATIENCE_SECONDS, lambda: not is_there())


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_a_thread_that_a_library_has_left(started, mode):
    extension, cluster, is_there = started("leaves_thread", mode)
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    extension.send(op="cluster.close", cluster=cluster, force=False)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended.get("left")) == ("closed", None)
    assert gone_within(PATIENCE_SECONDS, lambda: not is_there())


def test_a_close_that_ends_the_process(started):
    extension, cluster, is_there = started("LeavingCluster")
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    extension.send(op="cluster.close", cluster=cluster, force=False)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert ended["left"].endswith("could not be closed: SystemExit: the batch system wants a new login")
    assert gone_within(PATIENCE_SECONDS, lambda: not is_there()), "what its own `close` ends is ended all the same"


@pytest.mark.parametrize(
    "path, kwargs, kind, message",
    [
        ("LazyCluster", {}, "import-failed", "my_clusters.LazyCluster could not be imported: ImportError: libbatch.so"),
        ("unspeakable", {}, "class-failed", "RuntimeError: no words"),
        ("make_plain", {"n_workers": {"$import": "sys.exit", "args": ["no"]}}, "class-failed", "SystemExit: no"),
    ],
)
def test_whatever_is_raised_is_told(started, path, kwargs, kind, message):
    extension, cluster, _ = started(path, kwargs=kwargs)
    ended = extension.wait("cluster.ended", cluster=cluster)
    assert (ended["reason"], ended["kind"]) == ("failed", kind)
    assert ended["message"].startswith(message)
    assert "Traceback" in ended["traceback"]
    if not kwargs:
        extension.send(op="class.describe", id=path, path="my_clusters." + path)
        refusal = extension.wait("class.described", id=path)["refusal"]
        assert refusal["kind"] == kind and refusal["message"].startswith(message)
