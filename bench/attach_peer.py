"""The Python client's side of attach.ts: each line on stdin is answered by the ms from an address to the workers."""

import asyncio
import json
import sys
from time import perf_counter

from distributed import Client
from distributed.security import Security


async def main(address, files):
    loop = asyncio.get_running_loop()
    security = {}
    if files:
        ca, cert, key = files
        tls = Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)
        security = {"security": tls}
    print(json.dumps("ready"), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        start = perf_counter()
        async with Client(address, asynchronous=True, **security) as client:
            await client.scheduler.identity()
            took = (perf_counter() - start) * 1000
        print(json.dumps(took), flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
