"""How modules of the workspace are found on workers that have no copy of them.

As in `worker_side`, all of it is made by a factory, so that cloudpickle sends it by value: nothing here may use this
module's globals. A scheduler unpickles what it passes on, with plain cloudpickle; so what is sent must survive being
pickled again there, and nothing of a module may be loaded by being unpickled.
"""


def make():
    """`stand_in(run, name, payload)` is a module that loads itself when first used, `payload` being pickles by name.

    `importing(function, run, modules, sources)` is the function with import statements that find these modules and,
    of those that were not loaded where it comes from, these sources: name -> (text, file, whether a package).
    """
    from types import ModuleType

    def shared():
        """What this process knows of such modules, by run; of the last runs only."""
        import collections
        import sys
        import threading
        import types
        import weakref

        name = "_flow_clusters_workspace"
        module = sys.modules.get(name)
        if module is None:
            module = types.ModuleType(name)
            module.lock = threading.RLock()
            module.stand_ins = weakref.WeakValueDictionary()
            module.loaded = collections.OrderedDict()
            module = sys.modules.setdefault(name, module)
        return module

    def loaded_of(run):
        loaded = shared().loaded
        found = loaded.setdefault(run, {})
        loaded.move_to_end(run)
        while len(loaded) > 16:
            loaded.popitem(last=False)
        return found

    class StandIn(ModuleType):
        def __getattr__(self, name):
            if name.startswith("__") or "__flow_clusters__" not in self.__dict__:
                raise AttributeError("module %r has no attribute %r" % (self.__name__, name))
            left = load(self)
            if name in self.__dict__:
                return self.__dict__[name]
            reason = left.get(name, "the module has no such attribute")
            raise AttributeError("%s.%s is not on the workers: %s" % (self.__name__, name, reason))

        def __reduce__(self):
            run, payload = self.__flow_clusters__
            return stand_in, (run, self.__name__, payload)

    def stand_in(run, name, payload):
        here = shared()
        with here.lock:
            found = here.stand_ins.get((run, name))
            if found is None:
                found = here.stand_ins[run, name] = StandIn(name)
                found.__flow_clusters__ = (run, payload)
            return found

    def load(module):
        import io
        import pickle

        run, payload = module.__flow_clusters__

        class Unpickler(pickle.Unpickler):
            def persistent_load(self, name):
                return stand_in(run, name, payload)

        with shared().lock:
            known = loaded_of(run).get(("pickled", module.__name__))
            if known is None:
                known = module, {}
                loaded_of(run)["pickled", module.__name__] = known
                values, left = Unpickler(io.BytesIO(payload[module.__name__])).load()
                known[1].update(left)
                for name, value in values.items():
                    module.__dict__.setdefault(name, value)
            return known[1]

    def importing(function, run, modules, sources):
        import builtins
        import functools
        import inspect
        import types

        def bound():
            """The function anew, with another `__import__`: Python takes it from the globals when it makes one."""
            values = dict(vars(builtins), __import__=importer(run, modules, sources))
            function.__globals__["__builtins__"] = values
            made = types.FunctionType(
                function.__code__,
                function.__globals__,
                function.__name__,
                function.__defaults__,
                function.__closure__,
            )
            made.__kwdefaults__ = function.__kwdefaults__
            return made

        if inspect.iscoroutinefunction(function):

            async def called(*args, **kwargs):
                return await bound()(*args, **kwargs)

        elif inspect.isasyncgenfunction(function):

            async def called(*args, **kwargs):
                async for value in bound()(*args, **kwargs):
                    yield value

        elif inspect.isgeneratorfunction(function):

            def called(*args, **kwargs):
                return (yield from bound()(*args, **kwargs))

        else:

            def called(*args, **kwargs):
                return bound()(*args, **kwargs)

        return functools.update_wrapper(called, function)

    def importer(run, modules, sources):
        import builtins
        import importlib.util
        import types

        original = builtins.__import__
        names = {**modules, **sources}

        def ours(name):
            return name in names or any(known.startswith(name + ".") for known in names)

        def find(name):
            parent = name.rpartition(".")[0]
            above = find(parent) if parent else None
            module = modules.get(name)
            if module is None:
                with shared().lock:
                    module = loaded_of(run).get(name) or execute(name)
            if above is not None and name.rpartition(".")[2] not in vars(above):
                setattr(above, name.rpartition(".")[2], module)
            return module

        def execute(name):
            if not ours(name):
                raise ModuleNotFoundError("No module named %r" % name, name=name)
            text, file, is_package = sources.get(name, ("", None, True))
            module = types.ModuleType(name)
            module.__file__ = file
            module.__package__ = name if is_package else name.rpartition(".")[0]
            if is_package:
                module.__path__ = []
            module.__builtins__ = dict(vars(builtins), __import__=import_)
            loaded_of(run)[name] = module
            try:
                exec(compile(text, file or name, "exec", dont_inherit=True), module.__dict__)
            except BaseException:
                del loaded_of(run)[name]
                raise
            return module

        def import_(name, globals=None, locals=None, fromlist=(), level=0):
            full = name
            if level:
                package = globals.get("__package__") or globals["__name__"].rpartition(".")[0]
                full = importlib.util.resolve_name("." * level + name, package)
            if not ours(full.partition(".")[0]):
                return original(name, globals, locals, fromlist, level)
            module = find(full)
            for item in fromlist or ():
                if item == "*":
                    continue
                if ours(full + "." + item) and item not in vars(module):
                    find(full + "." + item)
            return module if fromlist else find(full.partition(".")[0])

        return import_

    return stand_in, importing
