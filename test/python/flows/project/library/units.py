UNIT = "km"


def shown(value):
    return "%d %s" % (value, UNIT)
