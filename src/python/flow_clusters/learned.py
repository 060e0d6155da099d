"""Which modules runs and clusters import only once they run, so that the next ones find them imported.

Libraries import lazily: in a process forked from the warm host that costs the first run seconds. What a run or a
cluster has imported beyond the host is reported to the host, which imports it too and remembers the names.
"""

import hashlib
import json
import os
import re
import sys

MOST = 4000


class Baseline:
    """In a forked child: the modules that were there at the fork."""

    def __init__(self):
        self._before = set(sys.modules)

    def gained(self):
        """Names of installed modules imported since."""
        names = []
        for name in list(sys.modules):
            if name in self._before or name.startswith(("__", "flow_clusters")):
                continue
            spec = getattr(sys.modules[name], "__spec__", None)
            origin = getattr(spec, "origin", None)
            if spec is not None and spec.name == name and _installed(origin):
                names.append(name)
        return names[:MOST]


def _installed(origin):
    """Only what belongs to the interpreter or its packages, never the user's own files."""
    if not isinstance(origin, str):
        return False
    prefixes = (os.path.join(sys.prefix, ""), os.path.join(sys.base_prefix, ""))
    return origin in ("built-in", "frozen") or origin.startswith(prefixes)


def top_names(packages):
    """Top-level modules of these distributions and all that they require: the only ones that the host may import.

    What else a flow imports (a machine learning library, say) may start threads or take a processor's memory.
    """
    from importlib import metadata

    names, seen, todo = set(), set(), list(packages)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except (metadata.PackageNotFoundError, ValueError):
            continue
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                todo.append(re.match(r"[\w.-]+", requirement).group())
        for file in distribution.files or ():
            if file.suffix in (".py", ".so", ".pyd"):
                names.add(file.parts[0].split(".")[0])
    return names


class Memory:
    """In the host: names learned with exactly these package versions, kept in a file of `folder` (or nowhere)."""

    def __init__(self, folder, packages):
        key = json.dumps([sys.version, sys.prefix, sorted(packages.items())])
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._packages = packages
        self._tops = None
        self._path = os.path.join(folder, "modules-%s.json" % digest) if folder else None
        self.names = self._read()

    def _read(self):
        try:
            with open(self._path) as file:
                return [name for name in json.load(file) if isinstance(name, str)]
        except (OSError, ValueError, TypeError):
            return []

    def add(self, names):
        """Remembers new names. Returns those that were not known."""
        new = [name for name in names if name not in self.names]
        if new and self._tops is None:
            self._tops = top_names(self._packages) | set(getattr(sys, "stdlib_module_names", ()))
        new = [name for name in new if name.split(".")[0] in self._tops]
        self.names += new
        if new and self._path:
            try:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                temporary = "%s.%d" % (self._path, os.getpid())
                with open(temporary, "w") as file:
                    json.dump(self.names, file)
                os.replace(temporary, self._path)
            except OSError as error:
                print("flow-clusters: cannot remember modules: %s" % error, file=sys.stderr)
        return new
