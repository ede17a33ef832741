"""A caller whose program has a chosen size: opens connections one after the other, prints one JSON line.

usage: path-caller.py SOCKET COUNT

Standard input: the bytes to send first on each connection. A connection is done when a whole gRPC message is there.
"""
import json
import socket
import sys
import time

DATA, END_STREAM = 0, 1


def exactly(connection, length):
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise SystemExit("refused: the connection ended before a message")
        parts += part
    return parts


def first_message(path, request):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    connection.sendall(request)
    message = b""
    while len(message) < 5 or len(message) < 5 + int.from_bytes(message[1:5], "big"):
        header = exactly(connection, 9)
        payload = exactly(connection, int.from_bytes(header[:3], "big"))
        if header[3] == DATA:
            message += payload
        elif header[3] == 1 and header[4] & END_STREAM:
            raise SystemExit("refused: the stream ended without a message")
    connection.close()


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    request = sys.stdin.buffer.read()
    latencies = []
    for _ in range(count):
        started = time.monotonic_ns()
        first_message(path, request)
        latencies.append((time.monotonic_ns() - started) // 1000)
    print(json.dumps(latencies))


main()
