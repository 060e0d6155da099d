"""Entry of the processes that are started anew: the Prefect server, and where there is no fork, everything."""

import importlib
import json
import os
import sys

from . import preload, terminal
from .lines import LineReader


def main(what, argument, out_fd):
    """`what` is `--server` or `--child`. Returns the exit code."""
    if what == "--server":
        from .prefect_server import serve

        return serve(argument, out_fd)
    return _child(json.loads(argument), out_fd)


def _child(config, out_fd):
    """A spare: imports, then waits for its order on stdin."""
    terminal.prepare()
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]
    for name in preload.wanted(config["packages"]):
        preload.load(name)
    orders = []
    reader = LineReader(orders.append, lambda text: None)
    while not orders:
        data = os.read(0, 65536)
        if not data:
            return 0
        reader.feed(data)
    order = orders[0]
    fd_in = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    module = importlib.import_module(order["main"])
    return module.run(order, fd_in, out_fd, order["directory"], False)
