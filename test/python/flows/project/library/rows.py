import dataclasses
import enum
import threading

import library
from library import units

LOCK = threading.Lock()  # cannot be sent anywhere
CALLS = []


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


@dataclasses.dataclass
class Row:
    value: int
    size: Size = Size.SMALL

    def doubled(self):
        from .late import factor

        return Row(factor() * self.value, Size.LARGE)


def is_large(row):
    return isinstance(row, Row) and row.size is Size.LARGE


def described(row):
    CALLS.append(row)
    return "%s %s %s" % (library.VERSION, units.shown(row.value), is_large(row))
