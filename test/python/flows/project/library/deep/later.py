from .. import units
from ..rows import Size


def base():
    import helper

    assert units.UNIT == "km" and Size.LARGE.value == 2
    return helper.TWO
