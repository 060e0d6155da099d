from distributed import Client


def boom(x):
    raise ValueError("bad row %s" % x)


if __name__ == "__main__":
    client = Client()
    client.submit(boom, 3).result()
