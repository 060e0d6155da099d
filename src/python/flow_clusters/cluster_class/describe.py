"""Tells what a cluster class takes, in a process of its own: importing it runs whatever the user's module does."""

import os
import sys

from .. import belongings
from ..cluster import inherit
from ..lines import LineWriter
from . import targets
from .signature import Signature

SECONDS = 60


def _kwargs(order):
    try:
        return targets.value(order.get("kwargs") or {})
    except targets.Refused:  # a start says what is wrong with them
        return {}


def run(order, fd_in, fd_out, directory, forked):
    """`order` is a `class.describe` request; returns the exit code."""
    if forked:
        belongings.die_with_parent()
    belongings.watch_pipe(lambda n: os.read(fd_in, n), lambda message: None, belongings.end_own_group)
    inherit(order)
    sys.path.insert(0, os.getcwd())
    answer = {"event": "class.described", "id": order["id"]}
    try:
        target = targets.find(order["path"])
        answer["description"] = Signature(target, _kwargs(order)).described()
    except BaseException as error:
        answer["refusal"] = targets.failure(error)
    LineWriter(fd_out).send(answer)
    return 0
