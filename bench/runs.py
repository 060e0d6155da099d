"""Click → first task running → flow finished, against the user's own way, paired and interleaved.

    python bench/runs.py [--rounds 7] [--apis prefect3,prefect2,prefect1,dask] [--no-server 1]

Ours: from the request written to a warm cluster host, a fresh temporary cluster of two workers, to the first
line of the first task's body, and to the run's `end` event (the final state is in the API, the output is out).
Peer: `python flow.py` with Prefect's own temporary cluster (`DaskTaskRunner()`, `DaskExecutor()`) and its API
server warm (the same one that ours uses), or a cold `Client()` for plain Dask: to the same line, and to its exit.
Cold: ours with a host that starts at the click, knowing what an earlier host learned. Writes bench/results/runs.json.
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

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "python"))

from environments import prefect_home, python_of  # noqa: E402
from extension_side import Extension  # noqa: E402

FLOWS = os.path.join(ROOT, "bench", "flows")
APIS = {
    "prefect3": ("prefect3", "etl.py", "prefect", {"how": "import", "path": "etl"}),
    "prefect2": ("prefect2", "etl.py", "prefect", {"how": "import", "path": "etl"}),
    "prefect1": ("prefect1", "etl1.py", "prefect1", {"how": "import", "path": "flow"}),
    "dask": ("dask-latest", "plain.py", "dask", {"how": "script"}),
}
AIMS = {"firstTask": 0.10, "finished": 0.25}
PAUSE_SECONDS = 1


class Setting:
    """One API: its environment, its Prefect home, its warm host."""

    def __init__(self, api, folder):
        self.environment, file, self.kind, self.entry = APIS[api]
        self.file = os.path.join(FLOWS, file)
        self.env = {"PREFECT_SERVER_ANALYTICS_ENABLED": "0"}
        self.folder = folder
        if self.kind == "prefect":
            self.env["PREFECT_HOME"] = prefect_home(self.environment, folder)
        self.warm = self.host()
        self.warm.wait("ready")
        self.url = self.warm.prefect_url() if self.kind == "prefect" else None

    def host(self):
        return Extension(python_of(self.environment), FLOWS, self.env, config={"cache": self.folder})

    def mark(self):
        descriptor, path = tempfile.mkstemp(dir=self.folder)
        os.close(descriptor)
        return path

    def ours(self, extension, asked_at=None):
        """One click on `extension`'s host. Seconds to each mark."""
        mark = self.mark()
        run = extension.new_run(self.file, self.kind, self.entry, env={"FIRST_TASK": mark})
        asked_at = asked_at or time.time()
        cluster = extension.start_cluster(run)
        run.start().go(cluster, self.url)
        end = run.end()
        extension.send(op="cluster.close", cluster=cluster, force=True)
        if end["state"] != "completed":
            raise SystemExit("the run %s: %s" % (end["state"], run.text()))
        told = next((m["received"] for m in run.events if m["event"] == "tasks" and running(m)), None)
        extension.wait("run.exited", run=run.name)
        extension.wait("cluster.ended", cluster=cluster)
        found = {"firstTask": first_mark(mark) - asked_at, "finished": end["received"] - asked_at}
        if told:
            found["firstTaskShown"] = told - asked_at
        return found

    def cold(self):
        asked_at = time.time()
        extension = self.host()
        found = self.ours(extension, asked_at)
        extension.close()
        return found

    def peer(self, server=True, mark=None, **more):
        """`python flow.py`; `more` is added to its environment."""
        mark = mark or self.mark()
        env = dict(os.environ, **self.env, FIRST_TASK=mark, **more)
        if self.url and server:
            env["PREFECT_API_URL"] = self.url
        asked_at = time.time()
        process = subprocess.Popen(
            [python_of(self.environment), self.file],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=FLOWS,
        )
        printed = None
        for line in process.stdout:
            if line.startswith(b"result"):
                printed = time.time()
        if process.wait() or printed is None:
            raise SystemExit("the peer failed")
        return {
            "firstTask": first_mark(mark) - asked_at,
            "finished": time.time() - asked_at,
            "printed": printed - asked_at,
        }


def running(message):
    return any(task["state"] == "running" for task in message["tasks"])


def first_mark(path):
    with open(path) as file:
        return float(file.readline())


def measure(api, rounds, no_server):
    folder = tempfile.mkdtemp(prefix="fc-bench-")
    try:
        setting = Setting(api, folder)
        first = setting.ours(setting.warm)  # what a new installation feels; later ones have learned from it
        setting.peer()
        time.sleep(5)
        samples = {"warm": [], "peer": [], "cold": [], "peerWithoutServer": []}
        for number in range(rounds):
            for kind, call in (("warm", lambda: setting.ours(setting.warm)), ("peer", setting.peer)):
                time.sleep(PAUSE_SECONDS)
                samples[kind].append(call())
            if number < 3:
                samples["cold"].append(setting.cold())
            if number < no_server and setting.url:
                samples["peerWithoutServer"].append(setting.peer(server=False))
        setting.warm.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    row = {"api": api, "versions": setting.warm.wait("hello")["packages"], "firstEver": rounded(first)}
    for kind, found in samples.items():
        if found:
            row[kind] = {mark: summary([one[mark] for one in found if mark in one]) for mark in found[0]}
    row["ratio"] = {
        mark: round(row["warm"][mark]["median"] / row["peer"][mark]["median"], 3) for mark in ("firstTask", "finished")
    }
    row["aim"] = {mark: row["ratio"][mark] <= AIMS[mark] for mark in AIMS}
    return row


def summary(values):
    return dict(rounded({"median": statistics.median(values), "min": min(values), "max": max(values)}), n=len(values))


def rounded(values):
    return {key: round(value, 3) for key, value in values.items()}


def machine():
    with open("/proc/meminfo") as file:
        kib = int(file.readline().split()[1])
    return {"cores": os.cpu_count(), "memoryGiB": round(kib / 1024 / 1024), "load": round(os.getloadavg()[0], 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--apis", default=",".join(APIS))
    parser.add_argument("--no-server", type=int, default=0, help="rounds of the peer without a running API server too")
    options = parser.parse_args()
    result = {"machine": machine(), "aims": AIMS, "unit": "seconds", "rows": []}
    for api in options.apis.split(","):
        row = measure(api, options.rounds, options.no_server)
        result["rows"].append(row)
        show(row)
    path = os.path.join(ROOT, "bench", "results", "runs.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump(result, file, indent=2)
        file.write("\n")


def show(row):
    for kind in ("warm", "cold", "peer", "peerWithoutServer"):
        if kind in row:
            marks = row[kind]
            text = "  ".join("%s %.2f (%.2f-%.2f)" % (m, v["median"], v["min"], v["max"]) for m, v in marks.items())
            print("%-10s %-18s %s" % (row["api"], kind, text), flush=True)
    print("%-10s ratio              %s" % (row["api"], row["ratio"]), flush=True)


if __name__ == "__main__":
    main()
