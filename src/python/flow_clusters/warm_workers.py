"""A fork server for the workers of one cluster, forked from the warm process instead of started anew.

The standard library starts its fork server as a fresh interpreter, which then imports `distributed` again. Ours
is forked from a process that has imported everything, before that process has a second thread. It runs the
library's own loop; only its birth differs, and that touches private names: where they are not as known, the
library starts its own.
"""

import os
import signal
import socket
import subprocess
import sys
import warnings

from . import belongings

_SERVER_NAMES = ("_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid", "_preload_modules")


def prepare(directory):
    """Call before any thread exists. Returns the multiprocessing method that workers shall use."""
    from multiprocessing import forkserver, process, resource_tracker

    process.current_process()._config["tempdir"] = directory  # the library's sockets go where we clean up
    try:
        _fork_tracker(resource_tracker)
        _fork_server(forkserver, directory)
    except (AttributeError, TypeError, OSError) as error:
        print("flow-clusters: using a cold fork server: %r" % error, file=sys.stderr)
        forkserver.set_forkserver_preload(["distributed", "distributed.nanny", "distributed.worker"])
    return "forkserver"


def hide_main():
    """Workers of ours must not import this process's main file again."""
    main = sys.modules["__main__"]
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__


def _fork_tracker(resource_tracker):
    """The tracker removes named semaphores after a kill, so it lives outside of the group that is killed."""
    tracker = resource_tracker._resource_tracker
    if tracker._fd is not None or not hasattr(tracker, "_pid"):
        raise AttributeError("resource tracker is not as known")
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.close(write_fd)
            _close_others({read_fd, 2})
            warnings.simplefilter("ignore")  # that the killed left semaphores is what it is for
            resource_tracker.main(read_fd)
        finally:
            os._exit(0)
    os.close(read_fd)
    tracker._fd, tracker._pid = write_fd, pid


def spawn_tracker():
    """Where workers are spawned: the same tracker, outside of the group that is killed, as a fresh interpreter."""
    from multiprocessing import resource_tracker

    tracker = resource_tracker._resource_tracker
    read_fd, write_fd = os.pipe()
    code = (
        "import warnings; warnings.simplefilter('ignore'); from multiprocessing.resource_tracker import main; main(%d)"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code % read_fd], pass_fds=[read_fd], stdin=subprocess.DEVNULL, start_new_session=True
    )
    os.close(read_fd)
    tracker._fd, tracker._pid = write_fd, started.pid
    started.returncode = 0  # nobody waits for it: it ends when the last of the cluster's processes has


def _fork_server(forkserver, directory):
    server = forkserver._forkserver
    for name in _SERVER_NAMES:
        getattr(server, name)
    listener = socket.socket(socket.AF_UNIX)
    address = os.path.join(directory, "fork")
    listener.bind(address)
    os.chmod(address, 0o600)
    listener.listen()
    alive_r, alive_w = os.pipe()
    authkey = os.urandom(32) if hasattr(server, "_forkserver_authkey") else None
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(alive_w)
            belongings.die_with_parent()
            _serve(forkserver, listener.detach(), alive_r, authkey)
            code = 0
        except SystemExit:
            code = 0
        finally:
            os._exit(code)
    listener.close()
    os.close(alive_r)
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, alive_w, pid
    if authkey is not None:
        server._forkserver_authkey = authkey


def _serve(forkserver, listener_fd, alive_r, authkey):
    own_pid = os.getpid()

    def in_worker():
        if os.getppid() == own_pid:
            belongings.reseed()

    os.register_at_fork(after_in_child=in_worker)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _close_others({0, 1, 2, listener_fd, alive_r})
    if authkey is None:
        forkserver.main(listener_fd, alive_r, [])
    else:
        read_fd, write_fd = os.pipe()
        os.write(write_fd, authkey)
        os.close(write_fd)
        forkserver.main(listener_fd, alive_r, [], authkey_r=read_fd)


def _close_others(keep):
    """Closes every descriptor that this child does not need, so that its parent's ends are its parent's alone."""
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(folder):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass
