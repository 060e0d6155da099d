"""What bench/forwards.ts talks to in a pod: on 8000 a byte D is answered by many, U takes many and says so, E echoes.

forwarded_server.py MEGABYTES, with the text of flow_clusters/sessions.py in the environment.
"""

import asyncio
import os
import socketserver
import sys
import types

MEGABYTE = 1024 * 1024
PORT = 8000


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        megabytes = int(sys.argv[1])
        what = self.request.recv(1)
        if what == b"D":
            for _ in range(megabytes):
                self.request.sendall(b"x" * MEGABYTE)
        elif what == b"U":
            left = megabytes * MEGABYTE
            while left:
                left -= len(self.request.recv(MEGABYTE))
            self.request.sendall(b".")
            self.request.recv(1)
        else:
            while True:
                data = self.request.recv(100)
                if not data:
                    return
                self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


async def carry(sessions):
    await sessions.Sessions((PORT,)).listen(sessions.PORT)
    await asyncio.Event().wait()


if os.fork():
    Server(("127.0.0.1", PORT), Handler).serve_forever()
else:
    module = types.ModuleType("sessions")
    exec(os.environ["SESSIONS"], module.__dict__)
    asyncio.run(carry(module))
