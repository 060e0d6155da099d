"""Which functions of a flow's file may travel to workers, as far as its syntax tells."""

import ast

from .imports import is_main_guard, mentions

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Shipped:
    """`names`: what the functions that may travel, and the data that these use, refer to.

    A function that is only ever called runs where its caller does. One that is decorated, or handed to somebody as a
    value, may travel, and so may instances of classes and all that such a one refers to. `with_flows`: flows do too.
    """

    def __init__(self, tree, with_flows):
        self.names = set()
        self._nodes = []
        self._defined = _definitions(tree)
        todo = self._roots(tree, with_flows)
        while todo:
            for node in self._defined.pop(todo.pop(), ()):
                self._nodes.append(node)
                names = used_names(node)
                self.names |= names
                todo += names

    def has(self, function):
        """Whether this function, or what it is a part of, may travel."""
        return any(function is one for node in self._nodes for one in ast.walk(node))

    def _roots(self, tree, with_flows):
        values = _Values()
        values.visit(tree)
        roots = values.names & set(self._defined)
        for name, nodes in self._defined.items():
            if any(_travels(node, with_flows) for node in nodes):
                roots.add(name)
        return list(roots)


def _travels(node, with_flows):
    decorators = getattr(node, "decorator_list", ())
    is_flow = any(mentions(one, {"flow"}) for one in decorators)
    return isinstance(node, ast.ClassDef) or (bool(decorators) and (with_flows or not is_flow))


class _Values(ast.NodeVisitor):
    """Names that are used other than by a call of them; within lambdas and inner functions, all."""

    def __init__(self):
        self.names = set()
        self._depth = 0

    def visit_Call(self, node):
        if not isinstance(node.func, ast.Name):
            self.visit(node.func)
        for argument in [*node.args, *node.keywords]:
            self.visit(argument)

    def visit_FunctionDef(self, node):
        if self._depth:
            self.names |= used_names(node)
        self._depth += 1
        for inner in node.body:
            self.visit(inner)
        self._depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self.names |= used_names(node)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self.names.add(node.id)


def used_names(node):
    """All names that this code refers to."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}


def _definitions(tree):
    """Functions, classes and values of the file's own level, those in blocks included: name -> nodes."""
    found = {}
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                for one in ast.walk(target):
                    if isinstance(one, ast.Name):
                        found.setdefault(one.id, []).append(node)
        elif not is_main_guard(node):
            todo += [one for one in ast.iter_child_nodes(node) if isinstance(one, (ast.stmt, ast.excepthandler))]
    return found
