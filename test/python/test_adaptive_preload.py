"""Adaptive scaling by the scheduler itself, as clusters deployed on Kubernetes have it; on each age of Dask."""

import http.server
import importlib.util
import json
import os
import ssl
import subprocess
import threading

import pytest

from environments import HERE, python_of
from extension_side import ROOT


@pytest.mark.parametrize("name", ["dask-2022", "dask-2023", "dask-latest"])
def test_up_with_the_work_and_down_without_losing_results(name):
    done = subprocess.run(
        [python_of(name), os.path.join(HERE, "adaptive_bed.py"), os.path.join(ROOT, "src", "python")],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"sum": 1770, "most": 3, "held": -1, "marked": told["marked"]}
    assert told["marked"] >= 2


class Scale(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"spec": {"replicas": 4}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def test_an_authority_without_key_usage_is_good_enough_for_a_strict_python(tmp_path, monkeypatch):
    (tmp_path / "openssl.cnf").write_text(
        "[req]\ndistinguished_name = name\n[name]\n[authority]\nbasicConstraints = CA:TRUE\n"
        "[server]\nsubjectAltName = IP:127.0.0.1\n"
    )
    request = ["req", "-newkey", "rsa:2048", "-nodes", "-config", "openssl.cnf"]
    of_authority = ["-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt"]
    openssl(tmp_path, *request, *of_authority, "-extensions", "authority")
    openssl(tmp_path, *request, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    signed = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(tmp_path, *signed, "-out", "server.crt", "-extfile", "openssl.cnf", "-extensions", "server")
    (tmp_path / "token").write_text("token")
    (tmp_path / "namespace").write_text("flows")

    server = http.server.HTTPServer(("127.0.0.1", 0), Scale)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(tmp_path / "server.crt"), str(tmp_path / "server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    spec = importlib.util.spec_from_file_location(
        "adaptive_preload", os.path.join(ROOT, "src", "python", "adaptive_preload.py")
    )
    preload = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(preload)
    usual = ssl.create_default_context

    def strict(**options):  # as Python 3.13 has it, whichever this is
        made = usual(**options)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setattr(preload, "ACCOUNT", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    try:
        assert preload.Workers("etl-worker").replicas() == 4
    finally:
        server.shutdown()
        server.server_close()
