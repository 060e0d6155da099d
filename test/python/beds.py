"""Schedulers that are not ours, for tests of runs on a given address: real ones, with workers, in a folder apart."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

from environments import python_of
from extension_side import ROOT

SCRIPT = os.path.join(ROOT, "test", "support", "scheduler_bed.py")


class Bed:
    """One scheduler with workers. They are in its own process unless `nanny` is set, and never in the workspace."""

    def __init__(self, environment, protocol="tcp", workers=2, nanny=False):
        self.folder = tempfile.mkdtemp(prefix="fc-bed-")
        arguments = ["--protocol", protocol, "--workers", str(workers), *(["--nanny"] if nanny else [])]
        self.security = None
        if protocol in ("tls", "wss"):
            files = make_certificates(self.folder)
            arguments += ["--tls", *[text for name, path in files.items() for text in ("--" + name, path)]]
            self.security = {name: _text(path) for name, path in files.items()}
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [python_of(environment), SCRIPT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=self.folder,
            start_new_session=True,
        )
        self.address = self._answer()["address"]

    def call(self, *args):
        """Calls something in the scheduler's process; see scheduler_bed.py."""
        self.process.stdin.write((json.dumps(args) + "\n").encode())
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise AssertionError("the scheduler has ended: %s" % self.log.read().decode()[-3000:])
        return json.loads(line)

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def make_certificates(folder):
    """An authority and a certificate by it, with the machine's openssl: name -> file."""
    request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    authority = ["-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bed authority"]
    for arguments in (
        [*request, *authority],
        [*request, "-keyout", "key.pem", "-out", "cert.csr", "-subj", "/CN=bed"],
        ["x509", "-req", "-in", "cert.csr", *sign, "-out", "cert.pem"],
    ):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    return {name: os.path.join(folder, name + ".pem") for name in ("ca", "cert", "key")}


def _text(path):
    with open(path) as file:
        return file.read()
