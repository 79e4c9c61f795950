# SPDX-License-Identifier: MIT
"""coap_client.py PORT - talks CoAP (RFC 7252) to a server on loopback: put, get, delete, observe."""
import random
import socket
import sys

GET, PUT, DELETE = 1, 3, 4
OBSERVE, URI_PATH, URI_QUERY = 6, 11, 15

rng = random.Random(10)
sockets = []
for _ in range(8):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", int(sys.argv[1])))
    client.settimeout(0.5)
    sockets.append(client)


def option(delta, value):
    extended = bytes([len(value) - 13]) if len(value) >= 13 else b""
    return bytes([delta << 4 | min(len(value), 13)]) + extended + value


def request(number, code, path, options=b"", last=0, payload=b""):
    token = number.to_bytes(4, "big")
    message = bytes([0x44, code]) + (number & 0xFFFF).to_bytes(2, "big") + token + options
    for part in path:
        message += option(URI_PATH - last, part.encode())
        last = URI_PATH
    return message + (b"\xff" + payload if payload else b"")


answers = 0
for number in range(1, 6001):
    path = ["store", f"{rng.choice('abcdefgh')}{rng.randrange(12)}"]
    kind = rng.random()
    if kind < 0.35:
        message = request(number, PUT, path, payload=b"v" * rng.randrange(1, 900))
    elif kind < 0.8:
        message = request(number, GET, path)
    elif kind < 0.88:
        message = request(number, DELETE, path)
    elif kind < 0.94:
        message = request(number, GET, [".well-known", "core"])
    else:
        message = request(number, GET, path, option(OBSERVE, bytes([rng.randrange(2)])), OBSERVE)
    client = rng.choice(sockets)
    client.send(message)
    try:
        while True:
            answer = client.recv(2048)
            if answer[0] >> 4 & 3 == 0:  # confirmable: a notification wants an answer
                client.send(bytes([0x60, 0]) + answer[2:4])
            if answer[4:8] == message[4:8]:
                answers += 1
                break
    except TimeoutError:
        pass
print(answers)
