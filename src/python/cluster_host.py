"""Starts the cluster host: the user's interpreter kept warm. `src/protocol/host.ts` is its contract.

This file is parsed by whatever interpreter the user chose, Python 2 included, so that an interpreter which
cannot be used says so in words instead of by a SyntaxError. Everything else lives in `flow_clusters`.
"""

from __future__ import print_function

import json
import os
import sys

OLDEST_PYTHON = (3, 8)
OLDEST_DISTRIBUTED = (2022, 5)
OLDEST_ON_PYTHON_311 = (2022, 12, 1)  # before, LocalCluster hands asyncio.wait what Python 3.11 does not take
NAMES = ("dask", "distributed", "cloudpickle", "prefect", "prefect-dask", "bokeh")


def claim_stdout():
    """Keeps the protocol's pipe for us alone: whatever else prints to stdout lands on stderr."""
    fd = os.dup(1)
    os.dup2(2, 1)
    return fd


def send(fd, **message):
    os.write(fd, (json.dumps(message) + "\n").encode("utf-8"))


def installed():
    """Versions of the packages that matter, read from their metadata: no import, a few milliseconds."""
    from importlib import metadata

    found = {}
    for name in NAMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def release(version):
    """The leading numbers of a version: `2022.5.0+3.gabc` is (2022, 5, 0)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def objection(packages):
    """Why this interpreter cannot be used, as fields of an `unusable` event, or None."""
    pip = "%s -m pip install " % sys.executable
    for name in ("dask", "distributed"):
        if name not in packages:
            return {
                "reason": "package-missing",
                "package": name,
                "message": 'The package "%s" is not installed for %s. Install it with: %s"dask[distributed]"'
                % (name, sys.executable, pip),
            }
    oldest = OLDEST_ON_PYTHON_311 if sys.version_info >= (3, 11) else OLDEST_DISTRIBUTED
    if release(packages["distributed"]) < oldest:
        return {
            "reason": "package-too-old",
            "package": "distributed",
            "message": "Dask Distributed %s is too old for Python %d.%d; %s or later is needed. "
            'Update it with: %s-U "dask[distributed]"'
            % (
                packages["distributed"],
                sys.version_info[0],
                sys.version_info[1],
                ".".join(str(part) for part in oldest),
                pip,
            ),
        }
    return None


def main():
    out = claim_stdout()
    if sys.version_info[:2] < OLDEST_PYTHON:
        message = "Python %d.%d is too old; 3.8 or later is needed (%s)." % (
            sys.version_info[0],
            sys.version_info[1],
            sys.executable,
        )
        send(out, event="unusable", reason="python-too-old", message=message)
        return 0
    if sys.argv[1] in ("--child", "--server"):
        from flow_clusters import entry

        return entry.main(sys.argv[1], sys.argv[2], out)
    config = json.loads(sys.argv[1])
    packages = installed()
    problem = objection(packages)
    if problem:
        send(out, event="unusable", **problem)
        return 0
    from flow_clusters.host import Host

    return Host(config, out, packages).run()


if __name__ == "__main__":
    sys.exit(main())
