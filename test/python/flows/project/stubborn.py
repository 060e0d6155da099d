from library.rows import LOCK


def named():
    with LOCK:
        return "by name"
