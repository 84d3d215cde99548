#!/usr/bin/env python3
"""Memory of idle connections: bytes that the server's process holds for each, before and after one call on each.

    idle_connections.py '.build/release/fletch serve --store STORE --loops 1 --listen 127.0.0.1:{port}' [--tls] [-n 10000]

{port} becomes the port. With --tls the command listens with TLS there. What the kernel holds is not counted.
"""
import argparse
import resource
import shlex
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
SETTINGS_ACK = b"\0\0\0\4\1\0\0\0\0"
END_STREAM, END_HEADERS = 1, 4
RELATED = "/fletch.v1.RelatedProducts/Related"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def call(path, message):
    """A gRPC call on stream 1, with the literals of HPACK that stock clients send: they enter its table."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost:50051"),
              ("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "idle-connections/1.0")]
    block = b"".join(b"\x40" + bytes([len(text)]) + text.encode() if index == 0 else bytes([len(text)]) + text.encode()
                     for field in fields for index, text in enumerate(field))
    body = b"\0" + struct.pack(">I", len(message)) + message
    return frame(1, END_HEADERS, 1, block) + frame(0, END_STREAM, 1, body)


def resident_bytes(pid):
    """RssAnon: what is the process's own, not the files it maps."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def settled_bytes(pid):
    """The same once the server has given back what it can."""
    time.sleep(3)
    return resident_bytes(pid)


def connect(port, context):
    connection = socket.create_connection(("127.0.0.1", port), 30)
    if context:
        connection = context.wrap_socket(connection)
    connection.sendall(PREFACE)
    read_frame(connection, 4)
    connection.sendall(SETTINGS_ACK)
    return connection


def read_exactly(connection, count):
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            sys.exit("the server closed a connection; does it allow as many? (--max-connections)")
        received += piece
    return received


def read_frame(connection, kind, flags=0):
    """Reads up to a frame of this type that has these flags."""
    while True:
        header = read_exactly(connection, 9)
        read_exactly(connection, int.from_bytes(header[:3], "big"))
        if header[3] == kind and header[4] & flags == flags:
            return


def wait_until_ready(server, port):
    for _ in range(600):
        if server.poll() is not None:
            sys.exit("the server ended at once")
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"the server does not listen on 127.0.0.1:{port}; its command needs {{port}}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command")
    parser.add_argument("-n", type=int, default=9900, help="connections")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--path", default=RELATED)
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if limit < arguments.n + 100:
        sys.exit(f"{arguments.n} connections need as many open files, and the limit is {limit}: ulimit -Hn")
    context = None
    if arguments.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
    port = free_port()
    server = subprocess.Popen(
        shlex.split(arguments.command.replace("{port}", str(port))), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(server, port)
        # What the first connections and calls make once is not the others' cost.
        warm = [connect(port, context) for _ in range(20)]
        for connection in warm:
            connection.sendall(call(arguments.path, b"\x0a\x04gimp"))
            read_frame(connection, 1, END_STREAM)
        before = settled_bytes(server.pid)
        connections = [connect(port, context) for _ in range(arguments.n)]
        print(f"idle: {(settled_bytes(server.pid) - before) / arguments.n:,.0f} bytes for each of {arguments.n}", flush=True)
        for connection in connections:
            connection.sendall(call(arguments.path, b"\x0a\x04gimp"))
            read_frame(connection, 1, END_STREAM)
        print(f"after a call: {(settled_bytes(server.pid) - before) / arguments.n:,.0f} bytes for each", flush=True)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    main()
