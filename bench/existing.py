"""A cluster that is there already: a run on it against the same file in plain Python on the same address; cancel.

    python bench/existing.py [--rounds 7] [--apis prefect3,prefect2,prefect1,dask]

The cluster is a stock `LocalCluster` of two workers, started by a process that is not ours, which both sides have used
before. Ours: from the request written to a warm host to the run's `end`. Peer: `python flow.py` with
`DaskTaskRunner(address=…)`, `DaskExecutor(address=…)` or `Client(…)`, to its exit; both use one API server.
Cancel: from the end of the last active task after a stop to the run's `end`. Writes bench/results/existing.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import runs

SLOW = {
    "prefect3": ("slow.py", {"how": "import", "path": "slowflow"}),
    "prefect2": ("slow.py", {"how": "import", "path": "slowflow"}),
    "prefect1": ("slow1.py", {"how": "import", "path": "flow"}),
    "dask": ("slowplain.py", {"how": "script"}),
}
SLOW_FOLDER = os.path.join(runs.ROOT, "test", "python", "flows")
AIM = 1.05
CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


class Existing:
    """A cluster of somebody else, and a warm host of ours."""

    def __init__(self, api, folder):
        self.setting = runs.Setting(api, folder)
        self.slow_file, self.slow_entry = SLOW[api]
        # Its workers have the environment of their owner, not that of a run.
        self.first, self.marks = self.setting.mark(), self.setting.mark()
        script = os.path.join(folder, "cluster.py")
        with open(script, "w") as file:
            file.write(CLUSTER)
        self.owner = subprocess.Popen(
            [runs.python_of(self.setting.environment), script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, **self.setting.env, FIRST_TASK=self.first, MARKS=self.marks),
            cwd=SLOW_FOLDER,
        )
        self.address = self.owner.stdout.readline().decode().strip()

    def close(self):
        self.owner.stdin.close()
        self.owner.wait(20)
        self.setting.warm.close()

    def go(self, run):
        run.start()
        order = {"op": "go", "address": self.address, "count_tasks": True}
        if self.setting.url:
            order["prefect_api_url"] = self.setting.url
        run.control(**order)

    def ours(self):
        setting = self.setting
        run = setting.warm.new_run(setting.file, setting.kind, setting.entry, temporary=False)
        asked_at = time.time()
        self.go(run)
        end = run.end()
        if end["state"] != "completed":
            raise SystemExit("the run %s: %s" % (end["state"], run.text()))
        setting.warm.wait("run.exited", run=run.name)
        return end["received"] - asked_at

    def peer(self):
        return self.setting.peer(mark=self.first, ADDRESS=self.address)["finished"]

    def cancel(self):
        setting = self.setting
        os.truncate(self.marks, 0)
        file = os.path.join(SLOW_FOLDER, self.slow_file)
        run = setting.warm.new_run(file, setting.kind, self.slow_entry, temporary=False)
        self.go(run)
        while len(lines(self.marks, "start")) < 2:
            time.sleep(0.01)
        run.control(op="stop")
        end = run.end()
        if end["state"] != "cancelled" or len(lines(self.marks, "start")) != len(lines(self.marks, "end")):
            raise SystemExit("not cancelled exactly: %s" % end)
        setting.warm.wait("run.exited", run=run.name)
        return end["received"] - os.stat(self.marks).st_mtime


def lines(path, word):
    with open(path) as file:
        return [line for line in file if line.startswith(word)]


def measure(api, rounds):
    folder = tempfile.mkdtemp(prefix="fc-bench-")
    samples = {"ours": [], "peer": [], "cancel": []}
    try:
        existing = Existing(api, folder)
        for call in (existing.ours, existing.peer, existing.cancel):
            call()
        for _ in range(rounds):
            for kind in samples:
                time.sleep(runs.PAUSE_SECONDS)
                samples[kind].append(getattr(existing, kind)())
        existing.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    row = {"api": api, **{kind: runs.summary(found) for kind, found in samples.items()}}
    row["ratio"] = round(statistics.median(samples["ours"]) / statistics.median(samples["peer"]), 3)
    row["aim"] = row["ratio"] <= AIM
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--apis", default=",".join(runs.APIS))
    options = parser.parse_args()
    result = {"machine": runs.machine(), "aim": AIM, "unit": "seconds", "rows": []}
    for api in options.apis.split(","):
        row = measure(api, options.rounds)
        print(json.dumps(row), flush=True)
        result["rows"].append(row)
    with open(os.path.join(runs.ROOT, "bench", "results", "existing.json"), "w") as file:
        json.dump(result, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    sys.exit(main())
