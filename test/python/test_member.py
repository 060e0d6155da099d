"""What members of a cluster do before Dask does anything."""

import asyncio
import os
import socket
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "python"))
from flow_clusters import member


def test_a_scheduler_s_name_that_is_not_known_yet_is_asked_for_again(monkeypatch):
    real, asked = socket.getaddrinfo, []

    def late(host, *args, **kwargs):
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    assert asyncio.run(member._located("tls://c1.flows.svc:8786")) == "tls://127.0.0.1:8786"
    assert asked == ["c1.flows.svc"] * 3


def test_a_name_that_nobody_ever_knows_ends_the_worker_with_that(monkeypatch):
    monkeypatch.setattr(member, "NAME_SECONDS", 0)
    with pytest.raises(socket.gaierror):
        asyncio.run(member._located("tls://not-there.invalid:8786"))


def test_a_service_that_its_node_has_yet_to_hear_of_is_knocked_at_anew(monkeypatch):
    real, tried = asyncio.open_connection, []

    async def late(*args):
        tried.append(args)
        if len(tried) == 1:
            raise ConnectionRefusedError
        if len(tried) == 2:
            await asyncio.sleep(60)
        return await real(*args)

    monkeypatch.setattr(asyncio, "open_connection", late)
    monkeypatch.setattr(member, "ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(member._answered("127.0.0.1:%d" % server.getsockname()[1]))
    assert len(tried) == 3


def test_dask_gets_the_kind_of_address_that_it_prefers(monkeypatch):
    def both(host, port, *args, **kwargs):
        six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", port, 0, 0))
        return [six, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))][: both.count]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    both.count = 2
    assert asyncio.run(member._located("tls://c1:8786")) == "tls://10.0.0.7:8786"
    both.count = 1
    assert asyncio.run(member._located("tls://c1:8786")) == "tls://[fd00::1]:8786"
