"""Says in one JSON line what an image needs to be like this interpreter: Python, what it has, what a project lists.

Its argument is the workspace's folder. Only reads; imports nothing that is not Python's own, or pip's.
"""

import json
import os
import sys
from importlib import metadata


def main(folder):
    facts = {
        "python": "%d.%d" % sys.version_info[:2],
        "installed": dict(_installed()),
        "project": _project(os.path.join(folder, "pyproject.toml")),
    }
    print(json.dumps(facts))


def _installed():
    """Name and what pip is told for it; null for what lies on this machine alone."""
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            yield name, _requirement(name, distribution)


def _requirement(name, distribution):
    direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = direct.get("url", "")
    if not url:
        return "%s==%s" % (name, distribution.version)
    vcs = direct.get("vcs_info")
    if vcs:
        return "%s @ %s+%s@%s" % (name, vcs["vcs"], url, vcs["commit_id"])
    return None if url.startswith("file:") else "%s @ %s" % (name, url)


def _project(path):
    """Dependencies of a pyproject.toml; null without such a list, or without a reader of TOML."""
    if not os.path.isfile(path):
        return None
    reader = _toml()
    if reader is None:
        return None
    with open(path, "rb") as file:
        try:
            return reader.load(file).get("project", {}).get("dependencies")
        except (ValueError, AttributeError) as error:
            sys.exit("pyproject.toml can't be read: %s" % error)


def _toml():
    for name in ("tomllib", "tomli", "pip._vendor.tomli"):
        try:
            return __import__(name, fromlist=["load"])
        except ImportError:
            continue
    return None


if __name__ == "__main__":
    main(sys.argv[1])
