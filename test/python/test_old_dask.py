"""The oldest Dask: its clusters need an older Python than the tests have, but others' clusters may be of it."""

import json
import os
import subprocess

import pytest

from environments import HERE, python_of
from extension_side import PATIENCE_SECONDS, gone_within
from test_cancel import TASKS, Marks

NAME = "dask-2022"


def run(bed, file, how, **env):
    """The runner's words, and what the script prints."""
    order = {"op": "go", "address": bed.address, "count_tasks": True}
    if bed.security:
        order["security"] = bed.security
    done = subprocess.run(
        [python_of(NAME), os.path.join(HERE, "bare_runner.py"), file, json.dumps(order)],
        env=dict(os.environ, HOW=how, **env),
        cwd=os.path.dirname(file),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert said and said[-1]["event"] == "end", done.stderr
    return said, done.stdout


def last_counts(said):
    return [message["groups"] for message in said if message["event"] == "counts"][-1]


@pytest.mark.parametrize(
    "how,counts",
    [
        ("graph", {"inc": {"completed": 20}, "sum": {"completed": 1}}),
        ("futures", {"inc": {"completed": 20}, "sum": {"completed": 1}}),
        ("again", {"inc": {"completed": 10}, "sum": {"completed": 2}}),
    ],
)
def test_counts(beds, flows, how, counts):
    said, _ = run(beds(NAME, protocol="tls"), flows("countsplain.py"), how)
    assert said[-1]["state"] == "completed", said
    assert last_counts(said) == counts


@pytest.mark.parametrize("how", ["mapped", "chained", "later"])
def test_stop(beds, flows, tmp_path, how):
    bed, marks = beds(NAME, protocol="tls"), Marks(tmp_path / "marks")
    said, printed = run(bed, flows("cancelsplain.py"), how, MARKS=str(marks.path), STOP=str(marks.path))
    assert said[-1]["state"] == "cancelled", said
    assert sorted(marks.of("start")) == sorted(marks.of("end"))
    assert 0 < len(marks.of("start")) < TASKS and marks.of("after") == []
    assert "not reached" not in printed
    assert gone_within(PATIENCE_SECONDS, lambda: bed.call("left")["tasks"] == [])
    assert set(last_counts(said)["slow"]) <= {"completed", "cancelled"}


def test_workspace_code(beds, flows):
    said, printed = run(beds(NAME, nanny=True, workers=1), flows("project/plain.py"), "")
    assert said[-1]["state"] == "completed", said
    assert "told one 42 km True" in printed and "version one 2 2" in printed
