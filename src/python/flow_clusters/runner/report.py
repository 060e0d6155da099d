"""Turns what went wrong into an `end` event that a person can act on."""

import os
import re
import sys
import traceback

LONGEST_TRACEBACK = 20000
_FRAME = re.compile(r'^  File "(.+?)", line (\d+)', re.M)
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Known(Exception):
    """A failure whose reason is known before the flow starts."""

    def __init__(self, reason, message, error=None, **fields):
        super().__init__(message)
        self._fields = dict(fields, reason=reason, message=message)
        self._fields["type"] = type(error).__name__ if error is not None else "Error"
        if error is not None:
            self._fields.setdefault("traceback", text_of(error))

    def end(self):
        print(self._fields.get("traceback") or self._fields["message"], file=sys.stderr)
        return {"state": "failed", "message": self._fields["message"], "error": self._fields}


def text_of(error, entry_file=None):
    """The traceback as Python prints it, from the user's file on where it passes through it."""
    frames = error.__traceback__
    if entry_file:
        one = frames
        while one is not None and one.tb_frame.f_code.co_filename != entry_file:
            one = one.tb_next
        frames = one or frames
    return "".join(traceback.format_exception(type(error), error, frames))[-LONGEST_TRACEBACK:]


def place_in(text, workspace):
    """File and line of the innermost of the user's own frames in a traceback's text."""
    found = {}
    for file, line in _FRAME.findall(text or ""):
        own = file.startswith(workspace.rstrip(os.sep) + os.sep) or file == workspace
        if own and "site-packages" not in file and not file.startswith(_OURS):
            found = {"file": file, "line": int(line)}
    return found


def failure(error, run, show=True, state="failed"):
    """`end` for an exception that came out of the user's code. `show`: print it, as Python would have."""
    spec = run.spec
    text = text_of(error, spec["file"])
    if show:
        print(text, end="", file=sys.stderr)
    fields = {"type": type(error).__name__, "message": str(error)[:2000], "traceback": text}
    first = run.failures[0] if run.failures else None
    if first:
        fields["task"] = first.get("label") or first["name"]
        if first.get("traceback"):
            fields.update(type=first["type"], message=first["message"], traceback=first["traceback"])
    fields.update(place_in(fields["traceback"], spec["workspace"]) or place_in(text, spec["workspace"]))
    return {"state": state, "message": "%s: %s" % (fields["type"], fields["message"]), "error": fields}


def shown(value):
    """A result as text, short."""
    try:
        return repr(value)[:2000]
    except Exception as error:
        return "<%s without a repr: %s>" % (type(value).__name__, error)
