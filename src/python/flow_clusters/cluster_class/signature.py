"""What a cluster class, or a function that makes one, takes: by its signature, docstring, and what it passes on."""

import ast
import enum
import importlib
import inspect
import json
import re
import textwrap
import typing

from . import gateway
from .targets import Refused, near

MANAGED = {"asynchronous"}  # Prefect sets it itself, and refuses to be given it; so do we
LONGEST = 300
_HEADING = re.compile(r"^(\S[^\n]*)\n-{3,}[ \t]*$", re.M)


class Signature:
    """`parameters` by name; `open` where it takes more than can be read, such as options for workers."""

    def __init__(self, target, kwargs=None):
        """`kwargs`: what it is to be called with, where what it takes hangs on that."""
        self.name = getattr(target, "__qualname__", None) or type(target).__name__
        self.kind = "class" if inspect.isclass(target) else "function"
        self.doc = inspect.getdoc(target)
        self.parameters = {}
        self.open = False
        self._seen = set()
        self._follow(target, frozenset(), 0, True)
        if self.open:  # as with dask_jobqueue, whose jobs take what the docstrings of its classes say
            for name, about in documented(target.__doc__).items():
                if name.isidentifier() and not name.endswith("kwargs"):
                    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
                    self.parameters.setdefault(name, _Parameter(parameter, target, about, target, False))
        options = gateway.options(target, kwargs or {})
        if options is not None:
            self.parameters.update({option.name: option for option in options})
            self.open = False

    def accepts(self, name):
        return name in self.parameters

    def check(self, kwargs):
        """Raises `Refused` for what can't be meant. Returns notes on what may be wrong."""
        for name in sorted(MANAGED & set(kwargs)):
            raise Refused("arguments", '"%s" is not to be given: it is set by who starts the cluster.' % name)
        missing = [p.name for p in self.parameters.values() if p.required and p.name not in kwargs]
        unknown = [name for name in kwargs if name not in self.parameters]
        if unknown and not self.open:
            hints = [near(name, self.parameters) for name in unknown]
            text = "%s takes no %s." % (self.name, ", ".join('"%s"' % name for name in unknown))
            taken = "It takes %s." % ", ".join(name for name in self.parameters if name not in MANAGED)
            raise Refused("arguments", text, hint=" ".join(filter(None, hints)) or taken[:LONGEST])
        if missing:
            text = "%s needs %s." % (self.name, ", ".join('"%s"' % name for name in missing))
            raise Refused("arguments", text, hint=" ".join(filter(None, (near(n, unknown) for n in missing))))
        hints = ((name, near(name, self.parameters)) for name in unknown)
        return ['%s passes "%s" on without a look. %s' % (self.name, name, hint) for name, hint in hints if hint]

    def converted(self, kwargs):
        """Members of an enumeration are named by texts in JSON; where a class wants one it gets it."""
        return {name: self._member(name, value) for name, value in kwargs.items()}

    def _member(self, name, value):
        parameter = self.parameters.get(name)
        kind = parameter.enumeration() if parameter and isinstance(value, str) else None
        return kind[value] if kind is not None and value in kind.__members__ else value

    def described(self):
        """As JSON: see `ClassDescription` of `src/core/classArguments.ts`."""
        shown = [p.described() for p in self.parameters.values() if p.name not in MANAGED]
        about = (self.doc or "").split("\n\n")[0].strip()
        return {"name": self.name, "kind": self.kind, "doc": about, "parameters": shown, "open": self.open}

    # ------------------------------------------------------------------------------------------------------

    def _follow(self, target, excluded, taken, outermost=False):
        """Reads what `target` takes beside what is given to it already: some names, and some at the front."""
        if target in self._seen:
            return
        self._seen.add(target)
        if inspect.isclass(target):
            makers = [c for c in target.__mro__ if c is not object and "__init__" in vars(c)]
            self._read(makers, excluded, taken, outermost, target)
        elif callable(target):
            self._read([target], excluded, taken, outermost, None)
        else:
            raise Refused("not-a-cluster", "%r can't be called." % (target,))

    def _read(self, makers, excluded, taken, outermost, cls):
        """`makers`: the classes whose `__init__` come one after the other, or one function."""
        if not makers:
            return
        owner = makers[0]
        function = vars(owner)["__init__"] if cls else owner
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            self.open = True
            return
        parameters = parameters[1 if cls else 0 :]
        docs = documented(getattr(owner, "__doc__", None))
        docs.update(documented(getattr(function, "__doc__", None)))
        docs.update(documented(getattr(cls, "__doc__", None)))
        rest = None
        for index, one in enumerate(parameters):
            if one.kind is one.VAR_KEYWORD:
                rest = one.name
                continue
            named = one.kind is one.KEYWORD_ONLY or (one.kind is one.POSITIONAL_OR_KEYWORD and index >= taken)
            if named and one.name not in excluded:
                read = _Parameter(one, function, docs.get(one.name), owner, outermost)
                self.parameters.setdefault(one.name, read)
        if rest is not None:
            self._pass_on(function, rest, makers[1:], cls, excluded | {one.name for one in parameters})

    def _pass_on(self, function, rest, bases, cls, excluded):
        """Whatever the function's `**rest` is given to takes it."""
        calls = _calls_with(function, rest)
        if not calls:
            self.open = True
        for call, imported in calls:
            names = excluded | {keyword.arg for keyword in call.keywords if keyword.arg}
            is_init = isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"
            if is_init and cls and _is_super(call.func.value):
                self._read(bases, names, len(call.args), False, cls)
                continue
            named = call.func.value if is_init else call.func
            found = _resolved(named, function, imported)
            if found is None or not callable(found):
                self.open = True
            else:
                self._follow(found, names, max(0, len(call.args) - is_init))


class _Parameter:
    def __init__(self, parameter, function, documented, owner, outermost):
        self.name = parameter.name
        self._parameter, self._function, self._owner = parameter, function, owner
        self._type, self._doc = documented or (None, None)
        # What the function itself passes on to others can't be told: it may give them a value of its own.
        self.required = outermost and parameter.default is parameter.empty

    def described(self):
        default, fields = self._parameter.default, {}
        if default is not self._parameter.empty:
            fields["default"] = _shown(default)
            try:
                fields["value"] = json.loads(json.dumps(default, allow_nan=False))
            except (TypeError, ValueError):
                pass
        annotation = self._parameter.annotation
        text = self._type if annotation is self._parameter.empty else annotation
        if text:
            fields["annotation"] = text if isinstance(text, str) else inspect.formatannotation(text)
        kind = self.enumeration()
        if kind is not None:
            fields["choices"] = list(kind.__members__)
        if self._doc:
            fields["doc"] = self._doc
        return dict(fields, name=self.name, required=self.required, of=self._owner.__name__)

    def enumeration(self):
        default = self._parameter.default
        if isinstance(default, enum.Enum):
            return type(default)
        try:
            annotation = typing.get_type_hints(self._function).get(self.name)
        except Exception:  # hints may name what is there for type checkers only
            return None
        for one in (annotation, *typing.get_args(annotation)):
            if inspect.isclass(one) and issubclass(one, enum.Enum):
                return one
        return None


def _shown(default):
    text = repr(default)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def documented(doc):
    """Of a docstring in numpy's style, name → (type, text) of what stands under "Parameters"."""
    if not doc:
        return {}
    doc = inspect.cleandoc(doc)
    found, names = {}, []
    for line in _section(doc, "Parameters").splitlines():
        if line and not line[0].isspace():
            head, _, kind = line.partition(":")
            names = [name.strip().lstrip("*") for name in head.split(",")]
            found.update({name: (kind.strip(), []) for name in names})
        elif line.strip():
            for name in names:
                found[name][1].append(line.strip())
    return {name: (kind, " ".join(lines)) for name, (kind, lines) in found.items()}


def _section(doc, title):
    headings = list(_HEADING.finditer(doc))
    for heading, following in zip(headings, [*headings[1:], None]):
        if heading.group(1).strip() == title:
            return doc[heading.end() : following.start() if following else len(doc)]
    return ""


def _calls_with(function, rest):
    """Calls in a function's source that are given its `**rest`, each with the imports of the function's own."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError, ValueError):
        return []
    calls, imported = [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Call):
            stars = [k.value.id for k in node.keywords if k.arg is None and isinstance(k.value, ast.Name)]
            if rest in stars:
                calls.append((node, imported))
    return calls


def _is_super(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _resolved(node, function, imported):
    """What a name in a function's source stands for, None if that can't be told."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    try:
        if node.id in imported:
            module, name = imported[node.id]
            found = getattr(importlib.import_module(module), name)
        else:
            found = inspect.unwrap(function).__globals__[node.id]
        for name in reversed(names):
            found = getattr(found, name)
    except Exception:  # it is read only, and a module that can't be imported is for the call itself to tell
        return None
    return found
