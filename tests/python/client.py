"""python-meteor, driven line by line: see tests/support/foreign/process.mjs for the messages."""

import json
import os
import sys
import threading

from MeteorClient import MeteorClient

writing = threading.Lock()


def tell(message):
    with writing:
        sys.stdout.write(json.dumps(message, default=str) + "\n")
        sys.stdout.flush()


class Client(MeteorClient):
    """Reconnects without a login, too: the library sets `connected` again only when it has one."""

    def __init__(self, url, **options):
        MeteorClient.__init__(self, url, **options)
        connect = self.ddp_client.connect

        def connect_again():
            # The library says so only after it has connected. The server's first message can be there before, and is then taken for
            # that of a first connection, on which nothing is subscribed to again.
            self.ddp_client._is_reconnecting = self.ddp_client._session is not None
            connect()

        self.ddp_client.connect = connect_again

    def _reconnected(self):
        self.connected = True
        MeteorClient._reconnected(self)


class Driver:
    def __init__(self, url, follow):
        self.follow = follow
        self.client = Client(url, auto_reconnect_timeout=0.1)
        self.client.on("added", self.put)
        self.client.on("changed", lambda collection, key, fields, cleared: self.put(collection, key))
        self.client.on("removed", self.drop)
        self.client.on("connected", lambda: tell({"connected": {}}))
        self.client.on("reconnected", lambda: tell({"connected": {}}))

    def put(self, collection, key, _fields=None):
        if collection in self.follow:
            document = dict(self.client.collection_data.data[collection][key], _id=key)
            tell({"collection": collection, "document": document})

    def drop(self, collection, key):
        if collection in self.follow:
            tell({"collection": collection, "removed": key})

    def call(self, answer, name, *params):
        self.client.call(name, list(params), callback=answer)

    def subscribe(self, answer, name, *params):
        # Of an error the library passes on the reason only.
        self.client.subscribe(name, list(params), callback=lambda reason: answer({"reason": reason} if reason else None, name))

    def unsubscribe(self, answer, name):
        self.client.unsubscribe(name)
        answer(None, None)

    def login(self, answer, username, password):
        self.client.login(username, password.encode(), callback=answer)

    def resume(self, answer, token):
        self.client.login("", b"", token=token, callback=answer)


def serve(driver):
    for line in sys.stdin:
        asked = json.loads(line)

        def answer(error, result, key=asked["id"]):
            tell({"id": key, "error": error} if error else {"id": key, "result": result})

        try:
            getattr(driver, asked["op"])(answer, *asked["params"])
        except Exception as error:  # whatever the library throws is an answer
            answer({"error": "client", "reason": repr(error)}, None)


def main():
    driver = Driver(sys.argv[1], json.loads(os.environ["FOREIGN_CLIENT"])["follow"])
    opened = threading.Event()
    driver.client.on("connected", opened.set)
    driver.client.connect()
    opened.wait()
    tell({"opened": True})
    serve(driver)
    os._exit(0)


main()
