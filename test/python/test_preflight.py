"""What a preflight reads from a flow's source, and how it finds modules, without importing any of it."""

import asyncio
import json
import os
import sys
import textwrap

import pytest
from extension_side import ROOT

sys.path.insert(0, os.path.join(ROOT, "src", "python"))

from flow_clusters.preflight import ask, remote, source


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Writes files of a workspace; returns what the flow in `flow.py` needs."""
    monkeypatch.syspath_prepend(str(tmp_path / "ws"))
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))

    def read(flow, files=None, api="prefect", ships_flow=True, implied=()):
        for name, text in {"ws/flow.py": flow, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return source.needs(str(tmp_path / "ws" / "flow.py"), str(tmp_path / "ws"), api, ships_flow, implied)

    return read


def uses(needs):
    return {module["name"]: module["use"] for module in needs["modules"]}


def test_modules_with_their_places(workspace):
    found = workspace(
        """
        import os, json
        from concurrent import futures
        import nowhere.deep as deep
        from pytest import fixture

        def f(x):
            import inside
            return deep, fixture, inside

        submit(f)
        """
    )
    assert [(m["name"], m["line"], m["inside"], m["here"]) for m in found["modules"]] == [
        ("nowhere", 4, False, False),
        ("pytest", 5, False, True),
        ("inside", 8, True, False),
    ]
    assert not found["partial"]


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None",
        "try:\n    import a\nexcept:\n    import b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere",
        "import typing\nif typing.TYPE_CHECKING:\n    import nowhere",
        "import sys\nif sys.version_info < (3, 11):\n    import tomli",
        "import sys\nif sys.platform == 'win32':\n    import winthing",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import nowhere",
        "from __future__ import annotations",
        "from . import sibling",
        "text = 'import nowhere'",
    ],
)
def test_imports_that_may_fail_are_no_needs(workspace, text):
    assert workspace(text)["modules"] == []


def test_other_branches_are(workspace):
    found = workspace(
        """
        try:
            import optional
        except ImportError:
            pass
        else:
            import needed
        try:
            import tried
        except ValueError:
            pass
        """
    )
    assert [module["name"] for module in found["modules"]] == ["needed", "tried"]


TRAVELS = """
    import by_task, by_flow, by_helper, by_data, by_class, called_here, main_only, unused
    from prefect import flow, task

    called_here.setup()
    data = by_data.load()

    def helper(): return by_helper.x

    class Reader:
        def read(self): return by_class.x

    @task
    def one(): return by_task.x, helper(), data

    @flow
    def etl(): return by_flow.x, one.submit()

    def local(): return main_only.x

    if __name__ == "__main__":
        local()
"""


def test_only_what_travels_is_needed_by_tasks(workspace):
    found = uses(workspace(TRAVELS))
    assert {name for name, use in found.items() if use == "tasks"} == {
        *("by_task", "by_flow", "by_helper", "by_data", "by_class", "prefect"),
    }
    assert found["main_only"] == found["called_here"] == "main"
    assert uses(workspace(TRAVELS, ships_flow=False))["by_flow"] == "main"


def test_a_script_may_send_data(workspace):
    found = uses(
        workspace(
            """
            import frames, plots, mapped, unused
            def f(x): return mapped.x
            def main():
                frame = frames.read()
                client.map(f, [1])
                client.map(lambda x: inner(x), [1])
            def inner(x):
                import lazily
            if __name__ == "__main__":
                plots.show()
                main()
            """,
            api="dask",
        )
    )
    assert found == {"frames": "script", "plots": "script", "mapped": "tasks", "unused": "main", "lazily": "tasks"}


def test_modules_of_the_workspace_are_followed(workspace):
    found = workspace(
        """
        from helper import tool
        from package.part import thing
        import package.other
        from spaces.within import deep
        """,
        {
            "ws/helper.py": "import helpers_need\ndef tool(): return helpers_need.x",
            "ws/package/__init__.py": "import packages_need\nx = packages_need.x",
            "ws/package/part.py": "from . import sibling\nfrom .sub.leaf import x",
            "ws/package/sibling.py": "def f():\n    import siblings_need",
            "ws/package/sub/__init__.py": "",
            "ws/package/sub/leaf.py": "import helper\nimport leafs_need\nx = leafs_need.x",
            "ws/package/other.py": "import unused",
            "ws/spaces/within/deep.py": "import spaces_need\ny = spaces_need.y",
        },
    )
    names = ("helpers_need", "packages_need", "siblings_need", "leafs_need", "spaces_need")
    assert {name for name, use in uses(found).items() if use == "tasks"} == set(names)
    assert found["workspace"] == ["helper", "package", "spaces"]


def test_namespace_packages_are_told_by_their_parts(workspace):
    found = workspace(
        "from space import here\nimport space.gone.deep\nfrom space.here import x\nimport space.within.more",
        {"lib/space/here/__init__.py": "", "lib/space/within/more.py": ""},
    )
    assert [(module["name"], module["here"]) for module in found["modules"]] == [
        ("space.here", True),
        ("space.gone", False),
        ("space.within.more", True),
    ]
    names = ["space.here", "space.gone", "space", "space.within.more", "space.within.less", "os", "sys", "pytest"]
    assert remote.missing(names) == ["space.gone", "space", "space.within.less"]


def test_parts_of_dask_need_more(workspace):
    found = workspace("import dask.dataframe as dd\nfrom dask import array, bag\nx = dd, array, bag", api="dask")
    assert set(uses(found)) == {"dask", "numpy", "pandas"}


class Rpc:
    """Of a hundred workers some are gone and one hangs: no answer comes from any that is asked together with it."""

    asked = 0

    async def broadcast(self, msg, workers, on_error):
        self.asked += 1
        if "w42" in workers:
            await asyncio.sleep(60)
        return {name: {"status": "OK", "result": json.dumps({"python": "3"})} for name in workers if name != "w7"}

    async def run_function(self, **call):
        raise ValueError("The 'run_function' handler has been explicitly disallowed in Scheduler")

    async def versions(self):
        return {"packages": {"python": "3.12.1.final.0", "distributed": "2026.8.0", "lz4": None}}


def test_one_that_hangs_does_not_keep_back_the_others():
    rpc = Rpc()

    async def look():
        cluster = ask.Cluster("tcp://nowhere:1", None, 2)
        cluster._rpc = rpc
        return await cluster.ask({}, ["w%d" % i for i in range(100)])

    scheduler, workers = asyncio.run(look())
    assert (scheduler["python"], scheduler["packages"]) == ("3.12.1", {"distributed": "2026.8.0"})
    assert scheduler["error"] == "forbidden"
    assert {name for name, answer in workers.items() if "error" in answer} == {"w42", "w7"}
    assert workers["w41"] == {"python": "3"}
    assert rpc.asked < 30


def test_resources_as_far_as_they_are_literal(workspace):
    found = workspace(
        """
        with dask.annotate(resources={"GPU": 1}):
            f.submit(1)
        client.submit(f, 1, resources={"RAM": 2.5, "none": 0})
        client.submit(f, 1, resources=computed)
        other(resources={"memory": 1})
        @task(tags=["a", "dask-resource:DISK=3", "dask-resource:bad"])
        def g(): pass
        """
    )
    assert [(one["amounts"], one["line"]) for one in found["resources"]] == [
        ({"GPU": 1}, 2),
        ({"RAM": 2.5}, 4),
        ({"DISK": 3.0}, 7),
    ]


def test_broken_source_and_missing_files_are_no_matter_here(workspace):
    found = workspace("import helper\nimport needed", {"ws/helper.py": "def ("})
    assert [module["name"] for module in found["modules"]] == ["needed"]
    assert workspace("def (")["modules"] == []


def test_what_always_has_to_be_there(workspace):
    found = workspace("import prefect\nprefect.x()", implied=("prefect", "prefect_dask"))
    assert uses(found) == {"prefect": "tasks", "prefect_dask": "tasks"}
    assert [module["line"] for module in found["modules"]] == [1, 1]


@pytest.mark.parametrize("mode", ["fork", "spawn"])
def test_the_host_looks_at_a_cluster(bench, flows, mode):
    extension = bench.host("dask-latest", mode)
    cluster = extension.start_cluster()
    address = extension.wait("cluster.started", cluster=cluster)["address"]
    extension.wait("cluster.stage", cluster=cluster, stage="running")
    flow = {"file": flows("plain.py"), "workspace": extension.workspace, "api": "dask"}
    extension.send(op="preflight", id="p" + mode, address=address, flow=flow)
    facts = extension.wait("preflight", id="p" + mode)["facts"]
    assert [worker["missing"] for worker in facts["workers"]] == [[], []]
    assert facts["scheduler"]["packages"] == facts["ours"]["packages"]
    extension.send(op="cluster.close", cluster=cluster, force=True)
    extension.wait("cluster.ended", cluster=cluster)
    assert "preflight" not in " ".join(os.listdir(extension.directory))


def test_the_host_forgets_a_look_that_nobody_waits_for(bench):
    extension = bench.host("dask-latest")
    extension.wait("ready")
    # Nobody answers there: the connection stays without a greeting.
    address = "tcp://127.0.0.1:%d" % extension.port
    extension.send(op="preflight", id="gone", address=address)
    extension.send(op="look.stop", id="gone")
    assert "without an answer" in extension.wait("error", op="preflight", id="gone")["message"]
    extension.send(op="look.stop", id="gone")
    extension.send(op="preflight", id="silent", address=address, seconds=0.3)
    assert extension.wait("preflight", id="silent")["facts"]["problem"] == "it does not answer"
