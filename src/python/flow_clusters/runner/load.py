"""Loads the user's file as `python file.py` would, but with its `__main__` block off or its flow call caught."""

import importlib
import os
import signal
import sys
import types

from .report import Known

# Contains "__main__": for such a module Dask hands whatever it defines to cloudpickle, by value.
MODULE_NAME = "__main__flow__"

STOPPED = "Stopped: active tasks have finished, the others never started."
INTERRUPTED = "Stopped, as by Ctrl-C in a terminal."


class FlowCalled(BaseException):
    """A flow was called while its file was being imported: it has no `__main__` guard."""

    def __init__(self, flow, args, kwargs):
        super().__init__()
        self.flow, self.args_, self.kwargs = flow, args, kwargs


def api_module(spec):
    """The module that runs this kind of flow; its package must be installed."""
    if spec["api"] == "dask":
        return importlib.import_module(".plain", __package__)
    try:
        import prefect
    except ImportError as error:
        raise missing("prefect", error)
    major = prefect.__version__.split(".")[0]
    name = {"0": "prefect1", "1": "prefect1", "2": "prefect2"}.get(major, "prefect3")
    if (spec["api"] == "prefect1") != (name == "prefect1"):
        wanted = "1" if spec["api"] == "prefect1" else "2 or 3"
        raise Known(
            "package-missing",
            "This flow is written for Prefect %s, but Prefect %s is installed for %s."
            % (wanted, prefect.__version__, sys.executable),
        )
    return importlib.import_module("." + name, __package__)


def missing(package, error=None):
    return Known(
        "package-missing",
        "%s is not installed for %s." % (package, sys.executable),
        error,
        package=package,
    )


def compiled(path):
    try:
        with open(path, "rb") as file:
            return compile(file.read(), path, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = {"file": error.filename or path, "line": error.lineno or 1}
        raise Known("syntax-error", "%s: %s" % (type(error).__name__, error.msg), error, **where)
    except OSError as error:
        raise Known("flow-not-found", "The file cannot be read: %s" % error, error)


def settle(path):
    """`sys.argv` and `sys.path` as Python sets them for a script."""
    sys.argv = [path]
    folder = os.path.dirname(path)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def new_module(name, path):
    module = types.ModuleType(name)
    module.__file__ = path
    module.__builtins__ = __builtins__
    sys.modules[name] = module
    return module


def run_main(path, code):
    """Runs the file's compiled code as `python file.py` would."""
    settle(path)
    exec(code, new_module("__main__", path).__dict__)


def bound(path):
    """What stands at `path` in the script that runs, by now; None if nothing does."""
    found = sys.modules["__main__"]
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def interrupt(run_):
    """Does what Ctrl-C does in a terminal."""
    run_.channel.stage("draining")
    os.kill(os.getpid(), signal.SIGINT)


def import_file(path, catch):
    """Imports the file; `catch` is a context manager within which calls of flows raise `FlowCalled`.

    Returns the module and the `FlowCalled` that ended the import early, if one did.
    """
    code = compiled(path)
    settle(path)
    module = new_module(MODULE_NAME, path)
    called = None
    with catch:
        try:
            exec(code, module.__dict__)
        except FlowCalled as call:
            called = call
    _by_value(module)
    return module, called


def _by_value(module):
    """What the user's file defines travels to the workers as it is, not by name."""
    import cloudpickle

    register = getattr(cloudpickle, "register_pickle_by_value", None)
    if register is not None:  # cloudpickle 1: only `__main__` can
        register(module)


def attribute(module, path, called):
    """The object at `path` (`etl`, `Pipeline.run`) in a module that was imported."""
    found = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            text = "The flow %r was not found in %s." % (path, module.__file__)
            if called is not None:
                text += (
                    " The file calls another flow while it is imported, before this one is defined:"
                    " put that call under `if __name__ == '__main__':`."
                )
            raise Known("flow-not-found", text) from None
    return found
