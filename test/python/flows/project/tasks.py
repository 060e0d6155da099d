"""What the flows of each API call on workers."""

import library
from library import Row
from library.rows import described


def double(n):
    return Row(n).doubled()


def tell(row):
    return described(row)


async def tell_later(row):
    from library import late

    return "%s %d" % (described(row), late.factor())


def version():
    import helper
    import library.late

    return "%s %s %s" % (library.VERSION, helper.TWO, library.late.factor())


def locked():
    with library.rows.LOCK:
        return "got it"
