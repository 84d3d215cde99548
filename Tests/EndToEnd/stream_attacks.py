"""Attacks on streaming methods and on TLS listeners, in the manner of attacks.py.

    python Tests/EndToEnd/stream_attacks.py

runs them all against servers for interoperability tests, whose service fletch.testing.Probe has handlers that write
without end, wait, and do not read.
"""

import contextlib
import gzip
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

if __name__ == "__main__":
    sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).resolve().parents[2] / "clients/python")]

import grpc

import attacks
import harness
from attacks import CALMED, CLOSED, PATIENCE, Attack, ending, flood, parts, slow, streams, varint
from certificates import Authority
from raw_peer import *

# Few bytes, so that the attacks reach the end of them.
BYTES_IN_FLIGHT = 64 << 20
SERVER_ARGUMENTS = ["--loops", 1, "--patience", PATIENCE, "--max-bytes-in-flight", BYTES_IN_FLIGHT]
# Beside them: the sessions, tasks and pooled calls of some 1,600 streams.
MOST_MEMORY = BYTES_IN_FLIGHT + (24 << 20)
CONNECTIONS = 8
# Streams of one connection that these attacks use: fewer than there may be.
STREAMS = 200

# What messages of 4 MiB leave in the allocator while they are unpacked; a bomb would take twice as much.
BOMB_MEMORY = 32 << 20

BOUNDED = "bounded"


def path(method):
    return request_fields(f"/fletch.testing.Probe/{method}")


def produce(stream, count=1 << 30, size=60_000):
    """Asks for messages almost without end."""
    return call(stream, path("Produce"), framed(b"\x08" + varint(count) + b"\x10" + varint(size)))


@contextlib.contextmanager
def peers(port, *entries, count=CONNECTIONS, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawPeer(port, *entries, **options)) for _ in range(count)]


def in_background(work, items):
    """Runs `work` with each item at the same time, and waits for all."""
    threads = [threading.Thread(target=work, args=(item,), daemon=True) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return not any(thread.is_alive() for thread in threads)


def streams_never_read(port):
    """Big streams on many connections whose sockets nobody reads."""
    with peers(port, (4, 0x7FFF_FFFF), receive_buffer=4096) as all_peers:
        for peer in all_peers:
            peer.send(window_update(0, 0x7FFF_0000), *(produce(id) for id in streams(count=STREAMS)))
        time.sleep(2 * PATIENCE)
        assert in_background(lambda peer: peer.read_until(lambda: peer.closed), all_peers)
        return CLOSED


def streams_without_a_window(port):
    """The same by windows that are never opened."""
    with peers(port, (4, 0)) as all_peers:
        for peer in all_peers:
            peer.send(*(produce(id) for id in streams(count=STREAMS)))
        assert in_background(lambda peer: peer.read_until(lambda: peer.closed), all_peers)
        return CLOSED


def stalled_beside_a_moving_stream(port):
    """One stream of each connection is read, which keeps the connection; what the others hold must leave others some."""
    until = time.monotonic() + 2.5 * PATIENCE
    with peers(port, (4, 0)) as all_peers:

        def play(peer):
            peer.send(window_update(0, 1 << 30), *(produce(id) for id in streams(count=STREAMS)))
            while not peer.closed and time.monotonic() < until:
                peer.send(window_update(1, 1 << 16))
                peer.read_for(0.2)

        assert in_background(play, all_peers)
        # Those that found no room were told so as soon as they would listen.
        shed = 0
        for peer in all_peers:
            peer.send(*(window_update(id, 1 << 20) for id in streams(3, count=STREAMS - 1)))
            peer.read_for(0.3)
            shed += sum(answer.status == 8 for answer in peer.answers.values())
        assert shed > 0, "the attack did not reach the limit"
        return BOUNDED


def streams_byte_by_byte(port):
    with RawPeer(port, (4, 1)) as peer:
        peer.send(*(produce(id) for id in streams(count=STREAMS)))
        return flood(peer, (window_update(id, 1) for _ in range(1000) for id in streams(count=STREAMS)))


def requests_nobody_takes(port):
    """Requests streamed to handlers that do not read."""
    body = framed(b"\x12" + varint(15_000) + b"x" * 15_000)
    with peers(port) as all_peers:

        def play(peer):
            for id in streams(count=STREAMS):
                if not peer.send(headers(id, path("Consume")), *(data(id, body, 0) for _ in range(14))):
                    break
                peer.read_for(0.01)

        assert in_background(play, all_peers)
        statuses = {answer.status for peer in all_peers for answer in peer.answers.values()}
        assert 8 in statuses, f"the attack did not reach the limit: {statuses}"
        return BOUNDED


def half_open_streams(port):
    """Streams that begin and say nothing more: they stay as long as their connection, as many as there may be."""
    with peers(port) as all_peers:
        for peer in all_peers:
            peer.send(*(headers(id, path("Consume")) for id in streams(count=256)))
        time.sleep(1.5 * PATIENCE)
        assert all(peer.is_alive() for peer in all_peers)
        return BOUNDED


def streams_reset(port):
    """Rapid reset of calls whose handlers wait."""
    with RawPeer(port) as peer:
        return flood(peer, (headers(id, path("Wait")) + data(id, framed(b"")) + reset(id) for id in streams()))


def compressed(encoding, bomb):
    fields = request_fields("/grpc.testing.TestService/StreamingInputCall", added=[("grpc-encoding", encoding)])

    def attack(port):
        """Messages of 64 MiB in a few kilobytes, one after the other on a stream."""
        with RawPeer(port) as peer:
            for id in streams(count=50):
                peer.send(headers(id, fields), *(data(id, part, 0) for part, _ in parts(framed(bomb, flag=1) * 2)))
                assert peer.answer(id).status == 8, peer.answer(id).fields
            return "every call answered with RESOURCE_EXHAUSTED"

    return attack


def zstandard_bomb(blocks=512):
    """A frame (RFC 8878) of blocks that each repeat a byte 128 Ki times; its window is 1 MiB."""
    repeated = lambda last: ((128 << 10) << 3 | 1 << 1 | last).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x50" + repeated(0) * (blocks - 1) + repeated(1)


STREAM_ATTACKS = [
    Attack("streams never read", streams_never_read, [CLOSED], MOST_MEMORY),
    Attack("streams without a window", streams_without_a_window, [CLOSED], MOST_MEMORY),
    Attack("stalled beside a moving stream", stalled_beside_a_moving_stream, [BOUNDED], MOST_MEMORY),
    Attack("streams byte by byte", streams_byte_by_byte, most_memory=MOST_MEMORY),
    Attack("requests nobody takes", requests_nobody_takes, [BOUNDED], MOST_MEMORY),
    Attack("half-open streams", half_open_streams, [BOUNDED], 32 << 20),
    Attack("rapid reset of streams", streams_reset),
    Attack("gzip bombs in a stream", compressed("gzip", gzip.compress(bytes(64 << 20))),
           ["every call answered with RESOURCE_EXHAUSTED"], BOMB_MEMORY),
    Attack("zstd bombs in a stream", compressed("zstd", zstandard_bomb()),
           ["every call answered with RESOURCE_EXHAUSTED"], BOMB_MEMORY),
]  # fmt: skip


# Attacks on TLS.


def client_context():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    session = client_context().wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def silent_handshakes(port):
    """As many connections as it likes, none of which says a word."""
    sockets = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(100)]
    for each in sockets:
        assert each.recv(1) == b""
        each.close()
    return CLOSED


def plaintext(port):
    with RawPeer(port, handshake=False) as peer:
        peer.send(PREFACE + settings())
        with contextlib.suppress(Exception):
            # An alert, which is no frame.
            peer.read_until(lambda: peer.closed)
        peer.socket.settimeout(10)
        while not peer.closed and peer.socket.recv(1000):
            pass
        return CLOSED


def tiny_records(port):
    """PINGs in records of a byte each."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    with client_context().wrap_socket(raw) as peer:
        peer.sendall(PREFACE + settings())
        ping = frame(PING, 0, b"\0" * 8)
        until = time.monotonic() + 5 * PATIENCE
        try:
            while time.monotonic() < until:
                for byte in ping:
                    peer.send(bytes([byte]))
            return "kept"
        except OSError:
            return CLOSED


def commands(letter, *arguments):
    """What `openssl s_client` does at a letter on its input: K updates keys, R renegotiates."""

    def attack(port):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", "h2", *arguments]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, bufsize=0
        ) as client:
            until = time.monotonic() + 5 * PATIENCE
            with contextlib.suppress(BrokenPipeError):
                client.stdin.write((PREFACE + settings()) if letter == b"K" else b"")
                while client.poll() is None and time.monotonic() < until:
                    # One at a time: it takes what it reads at once for one command.
                    time.sleep(0.002)
                    client.stdin.write(letter + b"\n")
            try:
                client.wait(1)
                return CLOSED
            except subprocess.TimeoutExpired:
                client.kill()
                return "kept"

    return attack


TLS_ATTACKS = [
    Attack("TLS: silent handshakes", silent_handshakes, [CLOSED]),
    Attack("TLS: slowloris in the handshake", slow(client_hello()), [CLOSED]),
    Attack("TLS: plaintext", plaintext, [CLOSED]),
    Attack("TLS: PINGs in tiny records", tiny_records, [CLOSED]),
    Attack("TLS: key updates", commands(b"K"), [CLOSED]),
    Attack("TLS: renegotiation", commands(b"R", "-tls1_2"), [CLOSED]),
]


class HonestClient(attacks.HonestClient):
    """A stock client of calls that hold bytes of the budget, unary and streamed."""

    SIZE = 20_000

    def __init__(self, address, certificates=None):
        super().__init__(address, None)
        self.credentials = certificates and grpc.ssl_channel_credentials(certificates.read("ca.pem"))

    def connect(self):
        self.channel = (
            grpc.secure_channel(self.address, self.credentials) if self.credentials
            else grpc.insecure_channel(self.address)
        )  # fmt: skip
        self.unary = self.channel.unary_unary("/grpc.testing.TestService/UnaryCall")
        self.stream = self.channel.unary_stream("/fletch.testing.Probe/Produce")

    def ask(self):
        answer = self.unary(b"\x10" + varint(self.SIZE), timeout=10)
        assert len(answer) > self.SIZE and answer.count(0) >= self.SIZE
        blocks = list(self.stream(b"\x08\x03\x10" + varint(self.SIZE), timeout=10))
        assert len(blocks) == 3 and all(block.count(7) >= self.SIZE for block in blocks)
        self.right += 1


@contextlib.contextmanager
def plain_target(directory):
    with harness.InteropServer(directory, *SERVER_ARGUMENTS) as server:
        server.honest = lambda: HonestClient(server.address)
        yield server


@contextlib.contextmanager
def tls_target(directory):
    authority = Authority(pathlib.Path(directory))
    authority.sign("server")
    both = authority.path("both.pem")
    both.write_bytes(authority.read("server.pem") + authority.read("server.key"))
    with harness.InteropServer(directory, *SERVER_ARGUMENTS, "--tls", both) as server:
        server.honest = lambda: HonestClient(server.address, authority)
        yield server


def main():
    print(attacks.Report.HEADER)
    for target, its_attacks in [(plain_target, STREAM_ATTACKS), (tls_target, TLS_ATTACKS)]:
        with tempfile.TemporaryDirectory() as directory, target(directory) as server:
            for attack in its_attacks:
                if len(sys.argv) < 2 or sys.argv[1] in attack.name:
                    print(attacks.carry_out(attack, server, server.honest, attacks.memory_bound), flush=True)


if __name__ == "__main__":
    main()
