"""Prefect 2 and 3 read all certificate authorities for each API client: 16 ms and more, at the start of every task.

The host reads them once; the processes forked from it find the same context. It verifies exactly as before.
"""

import os
import ssl


class _Ssl:
    """The `ssl` module as Prefect's client sees it: contexts for one file of authorities are made once."""

    def __init__(self):
        self._kept = {}

    def __getattr__(self, name):
        return getattr(ssl, name)

    def create_default_context(self, *args, **kwargs):
        cafile = kwargs.get("cafile")
        if args or set(kwargs) != {"cafile"} or not isinstance(cafile, str):
            return ssl.create_default_context(*args, **kwargs)
        key = (cafile, os.stat(cafile).st_mtime_ns)
        if key not in self._kept:
            self._kept[key] = ssl.create_default_context(cafile=cafile)
        return self._kept[key]


def keep_authorities():
    """Once, in the host. Does nothing where Prefect's client is not as known."""
    try:
        import certifi
        from prefect.client import orchestration

        if orchestration.ssl is not ssl:
            return
        shared = _Ssl()
        shared.create_default_context(cafile=certifi.where())
        orchestration.ssl = shared
    except (ImportError, AttributeError, OSError):
        pass
