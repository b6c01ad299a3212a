"""Speaks HTTP with python-h11 and python-h2, which know nothing of each other nor of hyper.

http_client.py PORT HOSTNAME: asks for /headers and sends a body to /upload by both, and prints what came
back as one line of JSON.
"""

import json
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h11

PORT, HOST = int(sys.argv[1]), sys.argv[2]
BODY = [b"first ", b"second"]


def connect():
    return socket.create_connection(("127.0.0.1", PORT), timeout=60)


def by_h11():
    """Two requests over one connection, the second with a body in chunks; the client refuses bad framing."""
    connection, stream, answers = h11.Connection(h11.CLIENT), connect(), []
    for method, path, headers, body in [
        ("GET", "/headers", [], []),
        ("POST", "/upload", [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")], BODY),
    ]:
        request = h11.Request(method=method, target=path, headers=[("Host", HOST), *headers])
        stream.sendall(connection.send(request))
        for piece in body:
            stream.sendall(connection.send(h11.Data(data=piece)))
        stream.sendall(connection.send(h11.EndOfMessage()))
        text, status = b"", None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(stream.recv(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                text += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise SystemExit("the proxy closed")
        answers.append({"status": status, "text": text.decode()})
        connection.start_next_cycle()
    return answers


def by_h2():
    """The same as two streams at once; the client checks frames, flow control and headers."""
    connection = h2.connection.H2Connection(config=h2.config.H2Configuration(header_encoding="utf-8"))
    stream = connect()
    connection.initiate_connection()
    pseudo = [(":scheme", "http"), (":authority", HOST)]
    connection.send_headers(1, [(":method", "GET"), (":path", "/headers"), *pseudo], end_stream=True)
    connection.send_headers(3, [(":method", "POST"), (":path", "/upload"), *pseudo])
    connection.send_data(3, BODY[0])
    connection.send_data(3, BODY[1], end_stream=True)
    stream.sendall(connection.data_to_send())
    answers, open_streams = {1: {"text": ""}, 3: {"text": ""}}, {1, 3}
    while open_streams:
        received = stream.recv(65536)
        if not received:
            raise SystemExit("the proxy closed")
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                answers[event.stream_id]["status"] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                answers[event.stream_id]["text"] += event.data.decode()
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                open_streams.discard(event.stream_id)
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise SystemExit(f"the proxy ended it: {event}")
        stream.sendall(connection.data_to_send())
    return [answers[1], answers[3]]


print(json.dumps({"h11": by_h11(), "h2": by_h2()}))
