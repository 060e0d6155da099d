"""What settings name by an import path: classes of clusters, functions that make one, and values beside JSON's."""

import contextlib
import difflib
import importlib
import importlib.util
import os
import sys
import traceback
import types

from ..runner.load import FlowCalled

VALUE_KEYS = {"$import", "args", "kwargs"}
_CUT = "__flow_clusters_cut__"  # of a module whose import has ended at the call of a flow: what to say of that


class Refused(Exception):
    """Why a cluster can't be made, in words: known before its class is called, or told by it.

    `fields` go into the event that says so: `kind`, and where they help `hint`, `traceback`, `module`, `file`, `line`.
    """

    def __init__(self, kind, message, **fields):
        super().__init__(message)
        self.fields = dict({key: value for key, value in fields.items() if value}, kind=kind, message=message)


def find(path):
    """The object at an import path: `package.module.Name`, or `package.module:Name` as Prefect 1 takes it too.

    `folder/file.py:Name` is what that file defines.
    """
    module, names = _split(path)
    found, at = module, module.__name__
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            hint = vars(module).get(_CUT) or near(name, dir(found))
            raise Refused("attribute-missing", "There is no %s in %s." % (name, at), hint=hint)
        except (Exception, SystemExit) as error:  # a module may import what it has when it is asked for that
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            raise _not_imported("%s.%s" % (at, name), error, missing) from error
        at += "." + name
    return found


def near(name, names):
    """`Did you mean "n_workers"?`, None if nothing is like it."""
    lower = {one.lower(): one for one in names if not one.startswith("__")}
    close = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, 2, 0.75)]
    return "Did you mean %s?" % " or ".join('"%s"' % one for one in close) if close else None


def _split(path):
    """The module of a path, imported, and the names that lead on from there."""
    head, colon, tail = path.rpartition(":")
    if head.endswith(".py"):
        return _import(_module_of(head), required=True), tail.split(".")
    if colon:
        return _import(head, required=True), tail.split(".")
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = _import(".".join(parts[:count]), required=count == 1)
        if module is not None:
            return module, parts[count:]
    raise Refused("attribute-missing", "%s is no import path, such as dask_jobqueue.SLURMCluster." % path)


def _module_of(file):
    """The name that a file's module is found by from now on, with what lies beside it on the path as for a script."""
    path = os.path.abspath(os.path.expanduser(file))
    if not os.path.isfile(path):
        raise Refused("module-missing", "There is no file %s." % file, hint="It is looked for in %s." % os.getcwd())
    name = os.path.splitext(os.path.basename(path))[0]
    sys.path.insert(0, os.path.dirname(path))
    spec = _spec(name) if name.isidentifier() else None
    if spec and spec.origin and os.path.exists(spec.origin) and os.path.samefile(spec.origin, path):
        return name
    name = "%s (file)" % name.replace(".", "_")  # another module has its name, or none can have it
    sys.meta_path.append(_Finder(name, path))
    return name


def _spec(name):
    try:
        return importlib.util.find_spec(name)
    except ValueError:  # a module that was not imported in the usual way
        return None


class _Finder:
    """Finds one file by one name."""

    def __init__(self, name, path):
        self._name, self._path = name, path

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, self._path) if name == self._name else None


def _import(name, required):
    """The module, None if there is none of that name and it need not be.

    A call of a flow in it runs nothing: the file of a flow, which need not have a `__main__` guard, may hold what
    makes its cluster. What stands before the call is there.
    """
    try:
        with _catching_flows():
            return importlib.import_module(name)
    except FlowCalled as called:
        module = types.ModuleType(name)
        module.__dict__.update(_globals_of(called, name))
        module.__dict__[_CUT] = (
            "It calls its flow while it is imported, which is as far as it is read:"
            " put that call under `if __name__ == '__main__':`."
        )
        sys.modules[name] = module
        return module
    except ModuleNotFoundError as error:
        if error.name and (name + ".").startswith(error.name + "."):
            if not required:
                return None
            raise Refused("module-missing", "There is no module %s." % error.name, module=error.name.partition(".")[0])
        missing, cause = error.name, error
    except (Exception, SystemExit) as error:  # a script without a `__main__` guard may end itself
        missing, cause = None, error
    raise _not_imported(name, cause, missing) from cause


def _not_imported(name, error, missing):
    return Refused(
        "import-failed",
        "%s could not be imported: %s" % (name, said(error)),
        module=(missing or "").partition(".")[0],
        **trace(error, skip=os.path.dirname(importlib.__file__)),
    )


def failure(error):
    """What an exception of a class is told by, as fields; those of a `Refused` are its own."""
    if isinstance(error, Refused):
        return error.fields
    fields = trace(error, skip=os.path.dirname(os.path.dirname(__file__)))
    return dict(fields, kind="class-failed", message=said(_unwrapped(error)))


def _unwrapped(error):
    """What a class has raised, where Dask has wrapped it ("Cluster failed to start", "Nanny failed to start")."""
    while type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _catching_flows():
    prefect = sys.modules.get("prefect")
    flow = getattr(prefect, "Flow", None)
    method = "run" if getattr(prefect, "__version__", "")[:2] in ("0.", "1.") else "__call__"
    if flow is None:
        yield
        return

    def called(self, *args, **kwargs):
        raise FlowCalled(self, args, kwargs)

    original = getattr(flow, method)
    setattr(flow, method, called)
    try:
        yield
    finally:
        setattr(flow, method, original)


def _globals_of(error, module):
    """Those of the module whose import has ended with the error."""
    frames = (frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__))
    return next((one for one in frames if one.get("__name__") == module), {})


def said(error):
    return "%s: %s" % (type(error).__name__, error) if str(error) else type(error).__name__


def trace(error, skip=None):
    """`traceback` of an exception from where the user's or a library's code begins, `file` and `line` in the user's."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    fields = {"traceback": text}
    workspace = os.path.join(os.getcwd(), "")
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        frames = [*frames, traceback.FrameSummary(error.filename, error.lineno or 1, "")]
    for frame in frames:
        own = frame.filename.startswith(workspace) and not frame.filename.startswith(os.path.join(sys.prefix, ""))
        if own and not (skip and frame.filename.startswith(skip)):
            fields.update(file=frame.filename, line=frame.lineno)
    return fields


def value(given):
    """A value of settings as Python has it: `{"$import": path}` is that object, called if it has `args` or `kwargs`."""
    if isinstance(given, list):
        return [value(one) for one in given]
    if not isinstance(given, dict):
        return given
    if "$import" not in given:
        return {key: value(one) for key, one in given.items()}
    if not set(given) <= VALUE_KEYS or not isinstance(given["$import"], str):
        raise Refused("value", 'A value with "$import" may have "args" and "kwargs" besides, and nothing else.')
    found = find(given["$import"])
    if "args" not in given and "kwargs" not in given:
        return found
    try:
        return found(*value(given.get("args") or []), **value(given.get("kwargs") or {}))
    except Refused:
        raise
    except Exception as error:
        text = "%s could not be called: %s" % (given["$import"], said(error))
        raise Refused("value", text, **trace(error)) from error
