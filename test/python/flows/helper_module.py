FACTOR = 7


def scaled(x):
    return FACTOR * x
