"""The host's side of Prefect 2 and 3: which API the user's settings name, and a server of ours when none."""

import os

from .lines import LineReader
from .processes import Spawned


class PrefectHost:
    def __init__(self, host):
        self._host = host
        self.process = None
        self._last = {}

    @property
    def installed(self):
        """Whether there is a Prefect with an API, 2 or 3."""
        return not self._host.packages.get("prefect", "1.").startswith(("0.", "1."))

    @property
    def url(self):
        """Of our server, once it is ready."""
        return self._last.get("url") if self.process is not None else None

    def tell_profile(self):
        """Emits `prefect.profile`. Returns `(api_url, home, database)`."""
        from .prefect_server import profile

        url, home, database = profile()
        self._host.say("prefect.profile", api_url=url, home=home)
        return url, home, database

    def start(self):
        """Answers `prefect.start`: repeats the last word about a server that is there, else starts one."""
        if not self.installed:
            raise ValueError("Prefect 2 or 3 is not installed")
        url, home, database = self.tell_profile()
        if url:
            self._host.say("prefect.server", state="ready", url=url)
        elif self.process is not None:
            self._host.say(**self._last)
        else:
            self._start(home, database)

    def _start(self, home, database):
        import json

        environment = dict(os.environ, PREFECT_HOME=home)
        self.process = Spawned("--server", json.dumps({"home": home, "database": database}), environment)
        self._last = {"event": "prefect.server", "state": "starting"}
        self._host.adopt(self.process)
        reader = LineReader(self._hear, lambda text: None)
        self._host.loop.watch(self.process.read_fd, reader.feed)
        self._host.loop.watch_process(self.process, self._exited)

    def _hear(self, message):
        self._last = message
        self._host.say(**message)

    def _exited(self):
        process, self.process = self.process, None
        self._host.loop.unwatch(process.read_fd)
        process.kill()
        process.reap()
        self._host.forget(process)
        self._host.leave_when_alone()
        if self._last["state"] != "failed":
            url = {"url": self._last["url"]} if "url" in self._last else {}
            self._host.say("prefect.server", state="ended", message="The Prefect API server has ended.", **url)

    def kill(self):
        if self.process is not None:
            self.process.kill()
