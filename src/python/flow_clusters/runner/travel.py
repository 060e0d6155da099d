"""Code of the workspace goes to the workers as it is in the editor: by value, and what it imports late as source.

Dask and cloudpickle decide for each object whether its name will do. Where it is the name of a module of the
workspace, it will not: the workers may have no such module, or one of yesterday.
"""

import contextlib
import io
import pickle
import sys
import types
import uuid
import weakref

from . import worker_imports
from .workspace import Workspace, absolute


class Travel:
    """One per run. `note(text)` tells the user what cannot travel, once each."""

    def __init__(self, folder, note):
        self._workspace = Workspace(folder)
        self._note = note
        self._noted = set()
        self._run = uuid.uuid4().hex
        self._looked_at = {}  # name -> loaded module, whosever it is
        self._names = ()  # of modules at the top, as they are found in pickles
        self._owned = {}  # name -> module of the workspace that is loaded
        self._pickles = {}  # name -> bytes, and the names of modules that these refer to
        self._late = weakref.WeakKeyDictionary()  # code -> names of modules that it imports when it runs
        self._plain = weakref.WeakKeyDictionary()  # function -> its twin that is pickled as functions are
        self._stand_in, self._importing = worker_imports.make()

    # -- where pickles are made ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def installed(self):
        """While this is entered, whatever this process pickles for Dask is looked at."""
        import cloudpickle
        from distributed.protocol import pickle as dask_pickle

        if not hasattr(cloudpickle, "register_pickle_by_value"):  # cloudpickle 1: only `__main__` travels
            yield
            return
        pickler = cloudpickle.Pickler
        reduce_function, reduce_module = pickler._dynamic_function_reduce, pickler.dispatch_table[types.ModuleType]
        former = dask_pickle.pickle, dask_pickle.cloudpickle

        def dynamic_function_reduce(pickling, function):
            return self._reduce_function(function) or reduce_function(pickling, function)

        def module_reduce(module):
            return self._reduce_module(module) or reduce_module(module)

        dask_pickle.pickle = _Pickle(self._look, lambda pickled: any(name in pickled for name in self._names))
        dask_pickle.cloudpickle = _Cloudpickle(self._by_name)
        pickler._dynamic_function_reduce = dynamic_function_reduce
        pickler.dispatch_table[types.ModuleType] = module_reduce
        try:
            yield
        finally:
            dask_pickle.pickle, dask_pickle.cloudpickle = former
            pickler._dynamic_function_reduce = reduce_function
            pickler.dispatch_table[types.ModuleType] = reduce_module

    def _by_name(self, value, error):
        """The pickle of what cannot go by value; None if it cannot go by name either. The user is told of it."""
        try:
            pickled = pickle.dumps(value)
        except Exception:
            return None
        modules = [name for name in self._owned if name.encode() in pickled]
        if b"__main__" in pickled or not modules:
            return None
        for name in modules:
            self._pickled(self._owned[name])  # says what of it is to blame
        text = "%s cannot be sent as it is in the editor, so the workers look for it among their own modules: %s"
        self._say(tuple(modules), text % (", ".join(modules), error))
        return pickled

    def _look(self):
        """Registers what has been imported since."""
        import cloudpickle

        if len(sys.modules) == len(self._looked_at):
            return
        for name, module in list(sys.modules.items()):
            if self._looked_at.get(name) is module:
                continue
            self._looked_at[name] = module
            if not isinstance(module, types.ModuleType) or not self._workspace.owns(module):
                continue
            if self._workspace.is_compiled(name):
                self._cannot_travel(name)
                continue
            try:
                cloudpickle.register_pickle_by_value(module)
                self._owned[name] = module
            except ValueError:
                pass  # it goes by another name in `sys.modules`
        self._names = tuple({name.partition(".")[0].encode() for name in self._owned})

    def _cannot_travel(self, name):
        self._say(name, "Module %s is compiled, so it cannot travel: the workers need it installed." % name)

    def _say(self, about, text):
        if about not in self._noted:
            self._noted.add(about)
            self._note(text)

    # -- modules ---------------------------------------------------------------------------------------------------

    def _is_owned(self, module):
        self._look()
        return self._owned.get(vars(module).get("__name__")) is module

    def _reduce_module(self, module):
        """As a stand-in with the pickles of all modules that it leads to; None for modules of others."""
        if self._is_owned(module):
            return self._stand_in, (self._run, module.__name__, self._payload([module.__name__]))
        return None

    def _payload(self, names):
        todo, payload = list(names), {}
        while todo:
            name = todo.pop()
            if name not in payload:
                if name not in self._pickles:
                    self._pickles[name] = b"", ()  # it may lead to itself
                    self._pickles[name] = self._pickled(self._owned[name])
                payload[name], further = self._pickles[name]
                todo += further
        return payload

    def _pickled(self, module):
        skipped = ("__builtins__", "__loader__", "__spec__", "__cached__", "__path__")
        values = {name: value for name, value in vars(module).items() if name not in skipped}
        try:
            return self._dump((values, {}))
        except Exception:
            pass  # something of it cannot be pickled: find out what
        kept, left = {}, {}
        for name, value in values.items():
            try:
                self._dump(value)
                kept[name] = value
            except Exception as error:
                left[name] = "%s: %s" % (type(error).__name__, error)
                text = "%s.%s does not travel to the workers: %s" % (module.__name__, name, error)
                self._say((module.__name__, name), text)
        return self._dump((kept, left))

    def _dump(self, value):
        """The pickle, and the names of the modules of the workspace that it refers to."""
        import cloudpickle

        travel, names, buffer = self, [], io.BytesIO()

        class Pickler(cloudpickle.Pickler):
            def persistent_id(self, found):
                if not isinstance(found, types.ModuleType) or not travel._is_owned(found):
                    return None
                names.append(found.__name__)
                return found.__name__

        Pickler(buffer).dump(value)
        return buffer.getvalue(), names

    # -- functions -------------------------------------------------------------------------------------------------

    def _reduce_function(self, function):
        """With the modules of the workspace that it imports when it runs; None if there are none."""
        late = () if getattr(function, "__flow_clusters_plain__", False) else self._late_imports(function)
        if not late:
            return None
        self._look()
        modules, sources = {}, {}
        for name in self._workspace.closure(late):
            if name in self._owned:
                modules[name] = self._owned[name]
            else:
                sources[name] = self._workspace.source(name)
        for name in [name for name, source in sources.items() if source is None]:
            del sources[name]
            self._cannot_travel(name)
        return self._importing, (self._twin(function), self._run, modules, sources)

    def _twin(self, function):
        twin = self._plain.get(function)
        if twin is None:
            twin = types.FunctionType(
                function.__code__,
                function.__globals__,
                function.__name__,
                function.__defaults__,
                function.__closure__,
            )
            twin.__kwdefaults__ = function.__kwdefaults__
            twin.__dict__.update(function.__dict__, __flow_clusters_plain__=True)
            twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
            twin.__doc__, twin.__annotations__ = function.__doc__, function.__annotations__
            self._plain[function] = twin
        return twin

    def _late_imports(self, function):
        code = function.__code__
        if code not in self._late:
            values = function.__globals__
            package = values.get("__package__") or str(values.get("__name__", "")).rpartition(".")[0]
            self._late[code] = [name for name in _imported_by(code, package) if self._workspace.find(name)]
        return self._late[code]


def _imported_by(code, package):
    """Names of modules that import statements in a function ask for."""
    import dis

    constants = []  # the last two: level and names
    for step in dis.get_instructions(code):
        if step.opname.startswith(("LOAD_CONST", "LOAD_SMALL_INT")):
            constants = [*constants[-1:], step.argval]
        elif step.opname == "IMPORT_NAME":
            level, wanted = constants if len(constants) == 2 else (0, None)
            base = absolute(step.argval, package, level if isinstance(level, int) else 0)
            yield base
            for name in wanted or ():
                yield base + "." + name
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imported_by(constant, package)


class _Pickle:
    """Stands for the module `pickle` in Dask's own: what it pickles by names that will not do, Dask shall do by value.

    It does that with whatever has `__main__` in its pickle; what comes after the end of a pickle is not read.
    """

    def __init__(self, look, is_wrong):
        self._look = look
        self._is_wrong = is_wrong

    def __getattr__(self, name):
        return getattr(pickle, name)

    def dumps(self, value, **options):
        self._look()
        pickled = pickle.dumps(value, **options)
        return pickled + b"__main__" if self._is_wrong(pickled) else pickled


class _Cloudpickle:
    """Stands for the module `cloudpickle` there: what cannot go by value shall at least go by name."""

    def __init__(self, by_name):
        self._by_name = by_name

    def __getattr__(self, name):
        import cloudpickle

        return getattr(cloudpickle, name)

    def dumps(self, value, **options):
        import cloudpickle

        try:
            return cloudpickle.dumps(value, **options)
        except Exception as error:
            pickled = self._by_name(value, error)
            if pickled is None:
                raise
            return pickled
