"""The peer of preflight.ts: for each line on stdin connects a Dask client, compares versions, and tells the ms."""

import json
import sys
import warnings
from time import perf_counter

from distributed import Client


def main(address):
    warnings.simplefilter("ignore")
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        start = perf_counter()
        with Client(address, set_as_default=False) as client:
            client.get_versions(check=True)
            taken = (perf_counter() - start) * 1000
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
