"""The Python client's side of identity.ts: each line on stdin is a number of calls, answered by their times in ms."""

import asyncio
import json
import sys
from time import perf_counter

from distributed import Client


async def main(address):
    loop = asyncio.get_running_loop()
    async with Client(address, asynchronous=True) as client:
        print(json.dumps("ready"), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            times = []
            for _ in range(int(line)):
                start = perf_counter()
                await client.scheduler.identity()
                times.append((perf_counter() - start) * 1000)
            print(json.dumps(times), flush=True)


asyncio.run(main(sys.argv[1]))
