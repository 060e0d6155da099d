"""Make a virtual environment once: make_venv.py DIRECTORY REQUIREMENTS.

An operating-system lock beside the directory keeps two makers apart and is freed by the death of its holder.
A marker written last tells a finished environment from a half-made one, which is removed and made anew.
Progress goes to stdout, a line a step.
"""

# ruff: noqa: T201 - stdout is how it reports

import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path


def lock(path: Path):
    """Hold the lock until this process ends. Windows has no flock."""
    handle = open(path, "a+")  # noqa: SIM115 - held until the process ends
    if os.name == "nt":
        import msvcrt

        while True:
            try:
                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
                return handle
            except OSError:
                time.sleep(0.2)
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Waiting for another process that makes {path.stem}", flush=True)
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def make(directory: Path, requirements: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    print(f"Making the Python environment {directory.name}", flush=True)
    venv.create(directory, with_pip=True, symlinks=os.name != "nt")
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    subprocess.run([*install, "--progress-bar", "off", "-r", str(requirements)], check=True, stderr=subprocess.STDOUT)
    (directory / ".ready").touch()


def main(directory: Path, requirements: Path) -> int:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with lock(directory.with_name(directory.name + ".lock")):
        if not (directory / ".ready").exists():
            try:
                make(directory, requirements)
            except subprocess.CalledProcessError as error:
                print(f"pip ended with {error.returncode}", flush=True)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
