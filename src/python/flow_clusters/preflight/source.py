"""What a flow needs of a cluster, as far as its source tells: modules and resources. Nothing is imported or run."""

import ast
import functools
import os
import sys
import sysconfig
import time

from .imports import Imports
from .remote import find
from .shipped import Shipped, used_names

MOST_SECONDS = 0.7
# Parts of a package that need what the package itself does not.
_EXTRAS = {"dask.dataframe": "pandas", "dask.array": "numpy"}
_IMPORTANCE = ("main", "script", "tasks")


def needs(file, workspace, api, ships_flow=True, implied=()):
    """`{modules, resources, workspace, partial}` of a flow's file and the modules of the workspace that it imports.

    `modules`: what has to be installed, each once, with the place of its import and its use: by `tasks` (functions that
    may travel to workers), by a plain `script` in this process whose data may travel, or by `main` code that stays.
    `resources`: amounts that single tasks ask for. `workspace`: names of its own modules. `partial`: there was too much
    to read. `ships_flow`: whether flows travel with their tasks. `implied`: modules that tasks need in any case.
    """
    reader = _Reader(os.path.abspath(file), os.path.abspath(workspace), api, ships_flow)
    reader.read()
    for name in implied:
        reader.need(name, "tasks", {"file": reader.flow_file, "line": 1, "inside": False})
    return {
        "modules": list(reader.modules.values()),
        "resources": reader.resources,
        "workspace": sorted(reader.own),
        "partial": reader.partial,
    }


class _Reader:
    def __init__(self, file, workspace, api, ships_flow):
        self.flow_file = file
        self._rest = "script" if api == "dask" else "main"
        self._ships_flow = ships_flow
        self._folders = tuple(os.path.join(folder, "") for folder in {workspace, os.path.dirname(file)})
        self._todo = [(file, "")]
        self._seen = {file}
        self.modules = {}
        self.resources = []
        self.own = set()
        self.partial = False

    def read(self):
        until = time.monotonic() + MOST_SECONDS
        while self._todo and time.monotonic() < until:
            self._read_file(*self._todo.pop(0))
        self.partial = bool(self._todo)

    def _read_file(self, file, package):
        try:
            with open(file, "rb") as source:
                tree = ast.parse(source.read(), file)
        except (OSError, SyntaxError, ValueError):
            return  # whoever imports it is told so
        found = Imports(package)
        found.visit(tree)
        everywhere = used_names(tree)
        # What of another module is used, and by whom, is not followed: all of it counts.
        shipped = Shipped(tree, self._ships_flow) if file == self.flow_file else None
        for one in found.imports:
            place = {"file": file, "line": one.line, "inside": not isinstance(one.part, str)}
            self.need(one.name, self._use(one, shipped, everywhere), place)
        for amounts, line in found.resources:
            self.resources.append({"amounts": amounts, "file": file, "line": line})

    def _use(self, one, shipped, everywhere):
        inside = not isinstance(one.part, str)
        if shipped is None:
            return "tasks" if inside or one.bound is None or one.bound in everywhere else "main"
        travels = shipped.has(one.part) if inside else one.bound is None or one.bound in shipped.names
        return "tasks" if travels else self._rest if inside or one.bound in everywhere else "main"

    def need(self, name, use, place):
        kind, module, _ = self._locate(name)
        if kind == "own":
            self.own.add(name.partition(".")[0])
            for part in _parents(name):  # a package's own code runs first
                self._follow(part)
            return
        for part, extra in _EXTRAS.items():
            if name == part or name.startswith(part + "."):
                self.need(extra, use, place)
        if kind != "standard":
            known = self.modules.setdefault(module, dict(place, name=module, use=use, here=kind == "installed"))
            known["inside"] = known["inside"] and place["inside"]
            if _IMPORTANCE.index(use) > _IMPORTANCE.index(known["use"]):
                known.update(place, use=use, inside=known["inside"])

    def _follow(self, name):
        kind, _, file = self._locate(name)
        if kind != "own" or not file or not file.endswith(".py") or file in self._seen:
            return
        self._seen.add(file)
        package = os.path.basename(file) == "__init__.py"
        self._todo.append((file, name if package else name.rpartition(".")[0]))

    def _locate(self, name):
        """`(kind, module, file)`: `module` is the shortest part of the name that tells where it comes from."""
        path = None
        for part in _parents(name):
            spec = find(part, path)
            if spec is None:
                return "standard" if part in _standard_names() else "missing", part, None
            if self._is_own(spec.origin):
                return "own", part, _file_of(name, part, spec)
            if spec.origin is not None:
                return "standard" if _is_standard(part, spec.origin) else "installed", part, spec.origin
            path = spec.submodule_search_locations
        return "standard", name, None  # namespaces without code: nothing to miss

    def _is_own(self, origin):
        own = isinstance(origin, str) and origin.startswith(self._folders)
        return own and not any(folder in origin for folder in _INSTALLED) and not origin.startswith(_environment())


_INSTALLED = ("site-packages", "dist-packages")


def _file_of(name, part, spec):
    """The file of a module of the workspace; None for a name that is defined in one."""
    while part != name:
        if not spec.submodule_search_locations:
            return None
        part = name[: (name + ".").index(".", len(part) + 1)]
        spec = find(part, spec.submodule_search_locations)
        if spec is None:
            return None
    return spec.origin


def _parents(name):
    """`a`, `a.b`, `a.b.c`."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _standard_names():
    return getattr(sys, "stdlib_module_names", sys.builtin_module_names)


def _is_standard(name, origin):
    if name in _standard_names() or origin in ("built-in", "frozen"):
        return True
    return origin.startswith(_standard_folders()) and not any(folder in origin for folder in _INSTALLED)


@functools.lru_cache(maxsize=None)
def _standard_folders():
    return tuple(os.path.join(sysconfig.get_path(key), "") for key in ("stdlib", "platstdlib"))


def _environment():
    return os.path.join(sys.prefix, ""), os.path.join(sys.base_prefix, "")
