"""The modules of the workspace: which are loaded, and which files import statements would find. Nothing is imported."""

import ast
import importlib.machinery
import importlib.util
import os
import sys

SOURCE = tuple(importlib.machinery.SOURCE_SUFFIXES)
COMPILED = tuple(importlib.machinery.EXTENSION_SUFFIXES)


class Workspace:
    def __init__(self, folder):
        self._folders = tuple({os.path.join(os.path.abspath(folder), ""), os.path.join(os.path.realpath(folder), "")})
        self._found = {}  # name -> what an import statement would find
        self._imports = {}  # name -> names that its source imports

    def owns_file(self, file):
        return isinstance(file, str) and file.startswith(self._folders) and not _installed(file)

    def owns(self, module):
        """Whether a loaded module is the user's own: a file of the workspace, or a package without one of its own."""
        values = vars(module)
        name, file = str(values.get("__name__")), values.get("__file__")
        if name.startswith(("__main__", "flow_clusters")):
            return False
        if file is None:
            return any(self.owns_file(os.path.join(path, "x")) for path in _paths(values))
        return self.owns_file(file)

    def find(self, name):
        """(file, whether a package) of what `import name` means if that is in the workspace, else None."""
        if name not in self._found:
            self._found[name] = self._search(name)
        return self._found[name]

    def _search(self, name):
        top, _, rest = name.partition(".")
        if top in sys.builtin_module_names:
            return None
        found = self._at_top(top)
        for part in rest.split(".") if rest else ():
            if found is None or not found[1]:
                return None
            found = _in_folder(os.path.dirname(found[0]), part)
        return found

    def _at_top(self, name):
        """As Python finds it: a folder without `__init__.py` only where there is nothing else of that name."""
        plain_folder = None
        for folder in sys.path:
            found = _in_folder(folder or os.getcwd(), name)
            if found and found[0].endswith(os.sep):
                plain_folder = plain_folder or found
            elif found:
                return found if self.owns_file(found[0]) else None
        return plain_folder if plain_folder and self.owns_file(plain_folder[0]) else None

    def is_compiled(self, name):
        found = self.find(name)
        return found is not None and found[0].endswith(COMPILED)

    def source(self, name):
        """(text, file, whether a package), or None if it has none that could be sent."""
        found = self.find(name)
        if found is None or found[0].endswith(COMPILED):
            return None
        file, is_package = found
        if not file.endswith(SOURCE):  # a folder without `__init__.py`
            return "", None, True
        with open(file, "rb") as opened:
            return importlib.util.decode_source(opened.read()), file, is_package

    def closure(self, names):
        """Those of `names` that are the workspace's, what they import in turn, and the packages around them all."""
        todo, seen = list(names), {}
        while todo:
            name = todo.pop()
            if name in seen or self.find(name) is None:
                continue
            seen[name] = None
            parent = name.rpartition(".")[0]
            todo += [parent] if parent else []
            todo += self._imports_of(name)
        return list(seen)

    def _imports_of(self, name):
        if name not in self._imports:
            self._imports[name] = ()
            source = self.source(name)
            if source:
                text, _, is_package = source
                package = name if is_package else name.rpartition(".")[0]
                try:
                    self._imports[name] = list(_imported(ast.parse(text), package))
                except (SyntaxError, ValueError):
                    pass  # whoever imports it will be told
        return self._imports[name]


def _imported(tree, package):
    """Names of modules that a source may import, and of what may be one: `from a import b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node.module or "", package, node.level)
            if base:
                yield base
                for alias in node.names:
                    yield base + "." + alias.name


def absolute(name, package, level):
    """The full name of `from ..name import x` in a package; empty where there is none."""
    if not level:
        return name
    parts = package.split(".")
    if level > len(parts):
        return ""
    above = ".".join(parts[: len(parts) - level + 1])
    return ".".join(part for part in (above, name) if part)


def _in_folder(folder, name):
    path = os.path.join(folder, name)
    for suffix in (*COMPILED, *SOURCE):
        if os.path.isfile(os.path.join(path, "__init__" + suffix)):
            return os.path.join(path, "__init__" + suffix), True
    for suffix in (*COMPILED, *SOURCE):
        if os.path.isfile(path + suffix):
            return path + suffix, False
    return (os.path.join(path, ""), True) if os.path.isdir(path) else None


def _paths(values):
    try:
        return list(values.get("__path__", ()))
    except Exception:  # a namespace package whose parent has gone
        return []


def _installed(file):
    """Whether the file belongs to an interpreter's own folders, such as a venv inside of the workspace."""
    if "site-packages" in file or "dist-packages" in file:
        return True
    return file.startswith((os.path.join(sys.prefix, ""), os.path.join(sys.base_prefix, "")))
