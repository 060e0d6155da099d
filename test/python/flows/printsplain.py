import os

from distributed import Client


def say(x):
    print("task says %s" % x, flush=True)
    return x


if __name__ == "__main__":
    client = Client()
    client.gather(client.map(say, [os.environ["WHO"]], pure=False))
