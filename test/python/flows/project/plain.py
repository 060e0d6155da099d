import os

import dask
import tasks
from distributed import Client, get_worker
from library.rows import Size


def alone():
    """Whether the worker has no copy of the workspace."""
    import importlib.util

    return importlib.util.find_spec("library") is None and bool(get_worker())


if __name__ == "__main__":
    client = Client()
    print("alone", client.submit(alone).result())
    row = client.submit(tasks.double, 21).result()
    print("row", row, row.size is Size.LARGE)
    print("told", client.submit(tasks.tell, row).result())
    print("later", client.submit(tasks.tell_later, row).result())
    print("graph", dask.delayed(tasks.tell)(dask.delayed(tasks.double)(4)).compute())
    print("module", client.submit(lambda: tasks.library.VERSION).result())
    print("version", client.submit(tasks.version, pure=False).result())
    if os.environ.get("NAMED"):
        import stubborn

        print("named", client.submit(stubborn.named).result())
    if os.environ.get("LOCKED"):
        print("locked", client.submit(tasks.locked).result())
