"""The pod's end of sessions, by itself; says its port, and ends with stdin.

sessions_bed.py TARGET LIFE_SECONDS KEPT_BYTES
"""

import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "python"))

from flow_clusters.sessions import Sessions


async def main(target, life_seconds, kept_bytes):
    port = await Sessions((int(target),), float(life_seconds), int(kept_bytes)).listen(0)
    sys.stdout.write("%d\n" % port)
    sys.stdout.flush()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    await ended.wait()


asyncio.run(main(*sys.argv[1:]))
