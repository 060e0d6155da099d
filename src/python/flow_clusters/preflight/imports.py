"""The imports of one file that have to succeed, and the resources that it asks for: read from its syntax."""

import ast

_MISSED = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_SUBMITTERS = {"annotate", "submit", "map", "compute", "persist"}
_TAG = "dask-resource:"
# What may be asked of a platform or a version: the imports below are for those that have it.
_CONDITIONS = {"version_info", "platform", "name"}


class Import:
    """`bound`: its name in the file, None for a star. `part`: the `def` that it is in, else `module` or `main`."""

    def __init__(self, line, name, bound, part):
        self.line, self.name, self.bound, self.part = line, name, bound, part


def is_main_guard(node):
    """`if __name__ == "__main__"`."""
    return isinstance(node, ast.If) and any(
        isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(node.test)
    )


def mentions(node, names):
    found = (getattr(one, "attr", None) or getattr(one, "id", None) for one in ast.walk(node))
    return any(name in names for name in found)


class Imports(ast.NodeVisitor):
    """Left out: what is for type checkers only, or may fail. `package` is that of the file, for relative imports."""

    def __init__(self, package):
        self.imports = []
        self.resources = []
        self._package = package
        self._part = "module"
        self._optional = False

    def visit_Import(self, node):
        for alias in node.names:
            self._add(node, alias.name, alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node):
        module = self._absolute(node)
        if module is None or module == "__future__":
            return
        for alias in node.names:
            star = alias.name == "*"
            name = module if star else "%s.%s" % (module, alias.name)
            self._add(node, name, None if star else alias.asname or alias.name)

    def _absolute(self, node):
        if not node.level:
            return node.module
        base = self._package.split(".") if self._package else []
        if node.level > len(base):
            return None
        base = base[: len(base) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])

    def _add(self, node, name, bound):
        if not self._optional:
            self.imports.append(Import(node.lineno, name, bound, self._part))

    def visit_FunctionDef(self, node):
        before = self._part
        self._part = node if before == "module" else before
        self.generic_visit(node)
        self._part = before

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        if mentions(node.test, {"TYPE_CHECKING"}):
            self._visit_all(node.orelse)
        elif self._part == "module" and is_main_guard(node):
            self._part = "main"
            self._visit_all(node.body)
            self._part = "module"
            self._visit_all(node.orelse)
        elif mentions(node.test, _CONDITIONS):
            self._maybe([node])
        else:
            self.generic_visit(node)

    def visit_Try(self, node):
        if any(handler.type is None or mentions(handler.type, _MISSED) for handler in node.handlers):
            self._maybe([*node.body, *node.handlers])
            self._visit_all([*node.orelse, *node.finalbody])
        else:
            self.generic_visit(node)

    visit_TryStar = visit_Try

    def visit_With(self, node):
        if any(mentions(item.context_expr, {"suppress"}) for item in node.items):
            self._maybe([node])
        else:
            self.generic_visit(node)

    def visit_Call(self, node):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        for keyword in node.keywords:
            amounts = None
            if keyword.arg == "resources" and called in _SUBMITTERS:
                amounts = _amounts(keyword.value)
            elif keyword.arg == "tags":
                amounts = _tagged(keyword.value)
            if amounts:
                self.resources.append((amounts, node.lineno))
        self.generic_visit(node)

    def _maybe(self, nodes):
        before, self._optional = self._optional, True
        for node in nodes:
            self.generic_visit(node) if isinstance(node, (ast.If, ast.With)) else self.visit(node)
        self._optional = before

    def _visit_all(self, nodes):
        for node in nodes:
            self.visit(node)


def _amounts(node):
    """`{name: number}` of a dictionary of literals, else None."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        return None
    numbers = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in value.values())
    return {name: n for name, n in value.items() if n > 0} if numbers else None


def _tagged(node):
    """Prefect 1 reads resources from tags: `dask-resource:GPU=1`."""
    amounts = {}
    for one in getattr(node, "elts", ()):
        text = getattr(one, "value", None)
        if isinstance(text, str) and text.startswith(_TAG):
            name, _, number = text[len(_TAG) :].partition("=")
            try:
                amounts[name] = float(number)
            except ValueError:
                pass
    return amounts
