"""Tells what a cluster class takes, or what a gateway knows of a cluster: in a process of its own.

Importing what that takes runs whatever the user's modules do.
"""

import os
import sys

from .. import belongings
from ..cluster import inherit
from ..lines import LineWriter
from . import gateway, targets
from .signature import Signature

SECONDS = 60


def _described(order):
    target = targets.find(order["path"])
    return {"description": Signature(target, _kwargs(order)).described()}


def _kwargs(order):
    try:
        return targets.value(order.get("kwargs") or {})
    except targets.Refused:  # a start says what is wrong with them
        return {}


def _known(order):
    return {"cluster": gateway.known(order["address"], order["gateways"])}


ANSWERS = {"class.describe": ("class.described", _described), "gateway.cluster": ("gateway.told", _known)}


def run(order, fd_in, fd_out, directory, forked):
    """`order` is a request of one of these kinds; returns the exit code."""
    if forked:
        belongings.die_with_parent()
    belongings.watch_pipe(lambda n: os.read(fd_in, n), lambda message: None, belongings.end_own_group)
    inherit(order)
    sys.path.insert(0, os.getcwd())
    event, look = ANSWERS[order["op"]]
    answer = {"event": event, "id": order["id"]}
    try:
        answer.update(look(order))
    except BaseException as error:
        answer["refusal"] = targets.failure(error)
    LineWriter(fd_out).send(answer)
    return 0
