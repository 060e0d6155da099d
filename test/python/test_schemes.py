"""Runs on schedulers of every scheme, with certificates as text."""

import socket

import pytest

from beds import Bed
from extension_side import run_on_bed

SCRIPT = {"how": "script"}


def imported(path):
    return {"how": "import", "path": path}


@pytest.mark.parametrize("protocol", ["tls", "ws", "wss"])
@pytest.mark.parametrize("name", ["dask-latest", "dask-2023"])
def test_plain_scripts(bench, beds, flows, name, protocol):
    bed = beds(name, protocol=protocol)
    one = run_on_bed(bench.host(name), bed, flows("plain.py"), "dask", SCRIPT)
    assert one.end()["state"] == "completed", one.text()
    assert "total 10" in one.text()


def test_a_script_without_client_over_tls(bench, beds, flows):
    bed = beds("dask-latest", protocol="tls")
    one = run_on_bed(bench.host("dask-latest"), bed, flows("noclient.py"), "dask", SCRIPT)
    assert one.end()["state"] == "completed"
    assert "ran on tls://" in one.text()


@pytest.mark.parametrize(
    "name,file,api,path",
    [
        ("prefect1", "etl1.py", "prefect1", "flow"),
        ("prefect2", "etl.py", "prefect", "etl"),
        ("prefect3", "etl.py", "prefect", "etl"),
        ("prefect3", "nested.py", "prefect", "outside"),
    ],
)
def test_flows_over_tls(bench, beds, flows, name, file, api, path):
    bed = beds(name, protocol="tls")
    one = run_on_bed(bench.host(name), bed, flows(file), api, imported(path))
    assert one.end()["state"] == "completed", one.text()
    assert {t["worker"].split(":")[0] for t in one.tasks() if t["state"] == "running"} == {"tls"}


def refused(bench, bed, flows, security):
    one = bench.host("dask-latest").new_run(flows("plain.py"), "dask", SCRIPT, temporary=False).start()
    order = {"security": security} if security else {}
    one.control(op="go", address=bed.address, **order)
    error = one.end()["error"]
    assert error["reason"] == "unreachable"
    return error["message"]


def test_certificates_that_are_missing_or_wrong(bench, beds, flows):
    bed = beds("dask-latest", protocol="tls")
    assert "Dask needs those of the client too" in refused(bench, bed, flows, None)
    assert "Dask needs those of the client too" in refused(bench, bed, flows, {"ca": bed.security["ca"]})
    stranger = Bed("dask-latest", protocol="tls", workers=0)
    stranger.stop()
    message = refused(bench, bed, flows, stranger.security)
    assert "certificate verify failed" in message
    message = refused(bench, bed, flows, dict(stranger.security, ca=bed.security["ca"]))
    assert "alert" in message or "hung up" in message


def test_nobody_there(bench, flows):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for scheme in ("tcp", "tls", "ws", "wss"):
        one = bench.host("dask-latest").new_run(flows("plain.py"), "dask", SCRIPT).start()
        one.control(op="go", address="%s://127.0.0.1:%d" % (scheme, port))
        assert one.end()["error"]["reason"] == "unreachable"
