"""Hosts for the tests of the Python helpers: real packages, real processes, the real protocol."""

import json
import os

import pytest
from beds import Bed
from environments import FLOWS, prefect_home, python_of
from extension_side import Extension


class CountsReport:
    """The counts of each file as JSON, as `scripts/lib/stages.mjs` reads them, in the file that it names."""

    def __init__(self, file):
        self._file = file
        self._files = {}

    def _of(self, report):
        return self._files.setdefault(report.nodeid.split("::")[0], {"passed": 0, "skipped": 0, "failures": []})

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self._of(report)["failures"].append(report.nodeid)
        elif report.skipped:
            self._of(report)["skipped"] += 1
        elif report.when == "call":
            self._of(report)["passed"] += 1

    def pytest_collectreport(self, report):
        if report.failed:
            self._of(report)["failures"].append(report.nodeid)

    def pytest_sessionfinish(self):
        with open(self._file, "w") as file:
            json.dump(self._files, file)


def pytest_configure(config):
    file = os.environ.get("FLOW_CLUSTERS_TEST_COUNTS")
    if file:
        config.pluginmanager.register(CountsReport(file))


class Bench:
    """Hosts that the tests of one module share, one for each environment."""

    def __init__(self, folder):
        self._folder = folder
        self._hosts = {}

    def host(self, name, mode=None):
        key = (name, mode)
        if key not in self._hosts:
            self._hosts[key] = self.new_host(name, mode)
        return self._hosts[key]

    def new_host(self, name, mode=None, **env):
        if name.startswith("prefect") and name != "prefect1":
            folder = os.path.join(self._folder, "%s-%s-%d" % (name, mode, len(os.listdir(self._folder))))
            os.makedirs(folder)
            env.setdefault("PREFECT_HOME", prefect_home(name, folder))
        env.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "0")
        return Extension(python_of(name), FLOWS, env, mode)

    def close(self):
        for extension in self._hosts.values():
            assert extension.close() == 0
            assert not os.path.exists(extension.directory)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    hosts = Bench(str(tmp_path_factory.mktemp("hosts")))
    yield hosts
    hosts.close()


@pytest.fixture
def flows():
    """Path of a flow file by its name."""
    return lambda name: os.path.join(FLOWS, name)


@pytest.fixture(scope="module")
def beds():
    """Schedulers that the tests of one module share, by environment and kind."""
    made = {}

    def bed(environment, **options):
        key = (environment, *sorted(options.items()))
        if key not in made:
            made[key] = Bed(environment, **options)
        return made[key]

    yield bed
    for one in made.values():
        one.stop()
