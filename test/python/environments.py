"""Python environments and Prefect homes for tests and benches, made once and kept in the project's cache folder."""

import os
import shutil
import subprocess
import tempfile

from extension_side import ROOT, Extension

HERE = os.path.dirname(os.path.abspath(__file__))
FLOWS = os.path.join(HERE, "flows")
CACHE = os.environ.get("FLOW_CLUSTERS_CACHE") or os.path.expanduser("~/.cache/flow-clusters")
_MAKE = """
import { ensureVenv } from '%s/scripts/lib/venv.mjs';
const [name, requirementsFile] = process.argv.slice(-2);
console.log((await ensureVenv({ name, requirementsFile, onProgress: (line) => console.error(line) })).python);
"""
_pythons = {}


def python_of(name):
    """The interpreter of an environment with exactly `requirements/<name>.txt`; made when it is not there."""
    if name not in _pythons:
        requirements = os.path.join(HERE, "requirements", name + ".txt")
        command = ["node", "--input-type=module", "-e", _MAKE % ROOT, name, requirements]
        made = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
        _pythons[name] = made.stdout.decode().strip().splitlines()[-1]
    return _pythons[name]


def prefect_home(name, folder):
    """A Prefect home of the test's own: a copy of one whose database has been brought up to date once."""
    template = os.path.join(CACHE, "prefect-homes", os.path.basename(os.path.dirname(os.path.dirname(python_of(name)))))
    if not os.path.exists(os.path.join(template, "done")):
        shutil.rmtree(template, ignore_errors=True)
        extension = Extension(python_of(name), FLOWS, {"PREFECT_HOME": template})
        extension.prefect_url()
        extension.close()
        with open(os.path.join(template, "done"), "w"):
            pass
    home = os.path.join(folder, "home")
    shutil.copytree(template, home)
    return home


def prepare():
    """Makes all of them. Before the tests, whose time limits are for what they test."""
    for file in sorted(os.listdir(os.path.join(HERE, "requirements"))):
        python_of(os.path.splitext(file)[0])
    for name in ("prefect2", "prefect3"):
        with tempfile.TemporaryDirectory() as folder:
            prefect_home(name, folder)


if __name__ == "__main__":
    prepare()
