#!/usr/bin/python3
"""A DDP client for the scripts, as small as it can be. Needs Debian's python3-websockets.

  ddp.py URL call METHOD [JSON…]     prints the result as JSON
  ddp.py URL instances               prints id, status, image and hostnames of each app instance, separated by tabs

Exit status: 0, 1 when the launcher answered with an error (which is printed), 2 when it cannot be spoken to.
"""

import asyncio
import json
import sys

import websockets

# A build that installs an app's dependencies takes minutes.
DEADLINE_S = 1800


class Refused(Exception):
    """The launcher's own error object."""


class Connection:
    def __init__(self, socket):
        self.socket = socket
        self.documents = {}

    async def send(self, **message):
        await self.socket.send(json.dumps(message))

    async def until(self, wanted):
        """Reads until `wanted(message)` is true, answering pings and collecting documents meanwhile."""
        while True:
            message = json.loads(await self.socket.recv())
            kind = message.get("msg")
            if kind == "ping":
                pong = {"msg": "pong"}
                if "id" in message:
                    pong["id"] = message["id"]
                await self.send(**pong)
            elif kind in ("added", "changed"):
                document = self.documents.setdefault(message["id"], {})
                document.update(message.get("fields", {}))
                for field in message.get("cleared", []):
                    document.pop(field, None)
            elif kind == "removed":
                self.documents.pop(message["id"], None)
            elif kind in ("failed", "error"):
                raise Refused(message)
            if wanted(message):
                if message.get("error"):
                    raise Refused(message["error"])
                return message

    async def call(self, method, params):
        await self.send(msg="method", id="1", method=method, params=params)
        return (await self.until(lambda m: m.get("msg") == "result" and m["id"] == "1")).get("result")

    async def instances(self):
        await self.send(msg="sub", id="1", name="appInstances", params=[])
        await self.until(lambda m: (m.get("msg") == "ready" and "1" in m["subs"]) or (m.get("msg") == "nosub" and m["id"] == "1"))
        return self.documents


async def main(url, command, *rest):
    async with websockets.connect(url, max_size=None, open_timeout=20) as socket:
        connection = Connection(socket)
        await connection.send(msg="connect", version="1", support=["1"])
        await connection.until(lambda m: m.get("msg") == "connected")
        if command == "call":
            print(json.dumps(await connection.call(rest[0], [json.loads(text) for text in rest[1:]])))
        elif command == "instances":
            for identity, document in (await connection.instances()).items():
                hostnames = " ".join(document.get("hostnames", []))
                print(identity, document.get("status"), document.get("image"), hostnames, sep="\t")
        else:
            raise SystemExit(__doc__)


if len(sys.argv) < 3:
    raise SystemExit(__doc__)
try:
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), DEADLINE_S))
except Refused as refused:
    error = refused.args[0]
    print(error.get("error", ""), error.get("reason", ""), error.get("details", ""), file=sys.stderr)
    sys.exit(1)
except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException) as error:
    print(f"{sys.argv[1]}: {error or type(error).__name__}", file=sys.stderr)
    sys.exit(2)
