"""Attacks on a server, each with raw frames, and what becomes of the server meanwhile.

    python Tests/EndToEnd/attacks.py STORE

runs them all against a `fletch serve` of its own and prints a table: how the server ended the attack, how much memory it
took at its peak, and how many calls of an honest client were answered meanwhile.
"""

import contextlib
import dataclasses
import pathlib
import sys
import threading
import time
import typing

if __name__ == "__main__":
    sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).resolve().parents[2] / "clients/python")]

import grpc

import harness
from fletch.v1 import related_products_pb2_grpc as stubs
from raw_peer import *

# The server's patience, in seconds, so that the slow attacks end within a test.
PATIENCE = 2
MAX_CONNECTIONS = 200
SERVER_ARGUMENTS = [
    "--loops", 1, "--max-connections", MAX_CONNECTIONS, "--preface-timeout", PATIENCE, "--headers-timeout", PATIENCE,
    "--request-timeout", PATIENCE, "--stall-timeout", PATIENCE,
]  # fmt: skip


# How an attack ended, as the attacker sees it.
CALMED = "GOAWAY ENHANCE_YOUR_CALM"
CLOSED = "closed"
# So many streams in one read that more were open than may be before the first was reset.
TOO_MANY_AT_ONCE = "GOAWAY PROTOCOL_ERROR"


def ending(peer: RawPeer) -> str:
    """How the server ends the connection, read to its end."""
    peer.read_until(lambda: peer.closed)
    code = peer.goaways[-1][0] if peer.goaways else None
    return {None: CLOSED, ENHANCE_YOUR_CALM: CALMED, PROTOCOL_ERROR: TOO_MANY_AT_ONCE}.get(code, f"GOAWAY {code}")


def flood(peer: RawPeer, pieces: typing.Iterable[bytes], batch: int = 64) -> str:
    """Sends the pieces, reading meanwhile, until the server has had enough; how it said so."""
    reader = threading.Thread(target=lambda: peer.read_until(lambda: peer.closed), daemon=True)
    reader.start()
    waiting = []
    for piece in pieces:
        waiting.append(piece)
        if len(waiting) < batch:
            continue
        if peer.closed or not peer.send(*waiting):
            break
        waiting = []
    else:
        peer.send(*waiting)
    reader.join(10)
    return ending(peer)


def streams(first: int = 1, count: int = 100_000):
    return range(first, first + 2 * count, 2)


# The attacks. Each takes the port and returns how the server ended it.


def rapid_reset(port):
    with RawPeer(port) as peer:
        return flood(peer, (headers(id) + reset(id) for id in streams()))


def made_you_reset_by_window(port):
    with RawPeer(port) as peer:
        for first in range(1, 2000, 100):
            peer.send(*(headers(id) + window_update(id, 0x7FFF_FFFF) for id in streams(first, count=50)))
            # Further streams only once those are reset: there are never too many.
            last = streams(first, count=50)[-1]
            peer.read_until(lambda: peer.goaways or last in peer.answers and peer.answers[last].reset is not None)
            if peer.goaways:
                break
        return ending(peer)


def made_you_reset_by_malformed_requests(port):
    with RawPeer(port) as peer:
        return flood(peer, (headers(id, request_fields(added=[("X-Upper", "case")])) for id in streams()))


def made_you_reset_by_content_length(port):
    fields = request_fields(added=[("content-length", "3")])
    with RawPeer(port) as peer:
        return flood(peer, (headers(id, fields) + data(id, b"12345") for id in streams()))


def hpack_bomb(port):
    with RawPeer(port) as peer:
        value = b"a" * 4000
        first = literal(request_fields()) + b"\x40\x01x" + b"\x7f" + bytes([(4000 - 127) & 127 | 128, (4000 - 127) >> 7]) + value
        peer.send(headers(1, block=first))
        return flood(peer, (headers(id, block=literal(request_fields()) + b"\xbe" * 16_000) for id in streams(3)), batch=1)


def large_header_lists(port):
    """Lists above the limit, answered with 431: none is kept."""
    with RawPeer(port) as peer:
        fields = request_fields(added=[(f"x-{number}", "v" * 1000) for number in range(30)])
        block = literal(fields)
        for id in streams(count=200):
            peer.send(frame(HEADERS, id, block[:16_000], END_STREAM) + frame(CONTINUATION, id, block[16_000:], END_HEADERS))
            assert peer.answer(id)[":status"] == "431"
        return "every list answered with 431"


def large_trailers(port):
    with RawPeer(port) as peer:
        block = literal([(f"x-{number}", "v" * 1000) for number in range(100)])
        pieces = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]

        def trailers(id):
            return frame(HEADERS, id, pieces[0], END_STREAM) + b"".join(
                frame(CONTINUATION, id, piece, END_HEADERS if piece is pieces[-1] else 0) for piece in pieces[1:])

        return flood(peer, (headers(id) + data(id, b"", 0) + trailers(id) for id in streams()), batch=1)


def endless(piece):
    def attack(port):
        with RawPeer(port) as peer:
            peer.send(headers(1))
            return flood(peer, (piece for _ in range(200_000)), batch=512)

    return attack


def settings_churn(port):
    """Window and table sizes that change with every frame."""
    with RawPeer(port) as peer:
        peer.send(*(headers(id) for id in streams(count=100)))
        entries = [(4, 0), (4, 0x7FFF_0000), (1, 0), (1, 1 << 30)] * 8
        return flood(peer, (settings(*entries) for _ in range(20_000)))


def many_settings(port):
    with RawPeer(port) as peer:
        peer.send(settings(*[(0xff, number) for number in range(2000)]))
        return ending(peer)


def continuation_flood(port):
    with RawPeer(port) as peer:
        peer.send(headers(1, flags=0))
        return flood(peer, (frame(CONTINUATION, 1, literal([("x", "y" * 100)])) for _ in range(100_000)))


def empty_continuation_flood(port):
    with RawPeer(port) as peer:
        peer.send(headers(1, flags=0))
        return flood(peer, (frame(CONTINUATION, 1) for _ in range(100_000)))


def pings_without_reading(port):
    """The answers pile up at the server, which ends the connection."""
    with RawPeer(port, receive_buffer=4096) as peer:
        peer.socket.settimeout(PATIENCE + 8)
        ping = frame(PING, 0, b"\0" * 8) * 1000
        try:
            while peer.send(ping):
                pass
            return CLOSED
        except TimeoutError:
            return "blocked"


def too_many_streams(port):
    """Streams above the limit, by a peer that never acknowledges the limit."""
    with RawPeer(port, handshake=False) as peer:
        peer.send(PREFACE + settings())
        return flood(peer, (headers(id) for id in streams()))


def data_after_our_reset(port):
    with RawPeer(port) as peer:
        peer.send(headers(1, request_fields("/no/such")))
        peer.read_until(lambda: 1 in peer.answers and peer.answers[1].reset is not None)
        return flood(peer, (data(1, b"", 0) for _ in range(100_000)))


def resets_of_closed_streams(port):
    with RawPeer(port) as peer:
        peer.send(headers(1) + reset(1))
        return flood(peer, (reset(1) for _ in range(100_000)))


def answers_without_a_window(port):
    """Calls whose answers the peer never lets through."""
    with RawPeer(port, (4, 0)) as peer:
        peer.send(*(call(id) for id in streams(count=200)))
        return ending(peer)


def answers_byte_by_byte(port):
    with RawPeer(port, (4, 1)) as peer:
        peer.send(*(call(id) for id in streams(count=200)))
        return flood(peer, (window_update(id, 1) for _ in range(1000) for id in streams(count=200)))


def answers_by_a_turning_window(port):
    """One SETTINGS frame draws a byte of each of many answers."""
    with RawPeer(port, (4, 0)) as peer:
        peer.send(*(call(id) for id in streams(count=200)))
        return flood(peer, (settings((4, size)) for size in range(1, 5000)), batch=8)


def answers_drop_by_drop(port):
    """A byte every now and then: too slow to be a reader."""
    with RawPeer(port, (4, 0)) as peer:
        peer.send(call(1))
        until = time.monotonic() + 4 * PATIENCE
        while not peer.closed and time.monotonic() < until:
            peer.send(window_update(1, 1))
            peer.read_for(0.3)
        return CLOSED if peer.closed else "kept"


def answers_never_read(port):
    """A wide window, and a socket that nobody reads."""
    with RawPeer(port, (4, 0x7FFF_FFFF), receive_buffer=4096) as peer:
        peer.send(window_update(0, 0x7FFF_0000))
        peer.socket.settimeout(PATIENCE + 8)
        body = framed(messages.RelatedRequest(product_id="gimp", limit=100).SerializeToString())
        try:
            for first in range(1, 1 << 30, 200):
                if not peer.send(*(call(id, body=body) for id in streams(first, count=100))):
                    return CLOSED
        except TimeoutError:
            return "blocked"


def half_sent_requests(port):
    """As many requests as a connection may have, each with a large message that never ends."""
    peers = [RawPeer(port) for _ in range(4)]
    body = b"\0" + (1 << 20).to_bytes(4, "big") + b"x" * 16_000
    for peer in peers:
        for id in streams(count=256):
            peer.send(headers(id) + data(id, body, 0))
    statuses = set()
    for peer in peers:
        statuses |= {peer.answer(id).status for id in streams(count=256)}
        peer.socket.close()
    assert statuses <= {4, 8, 13}, statuses
    return "every call answered in time"


def claimed_length(port):
    """A prefix that claims 4 GiB."""
    with RawPeer(port) as peer:
        for id in streams(count=200):
            peer.send(headers(id) + data(id, b"\0\xff\xff\xff\xff", 0))
            assert peer.answer(id).status == 8
        return "every call answered with RESOURCE_EXHAUSTED"


def deep_nesting(port):
    """Groups and messages within messages."""
    with RawPeer(port) as peer:
        nested = b""
        for _ in range(10_000):
            nested = b"\x0a" + varint(len(nested)) + nested
        for id, message in zip(streams(), [nested[:60_000], b"\x0b" * 50_000, b"\x0a\x00" * 30_000]):
            for piece in (headers(id, request_fields(RELATED + "Batch")), *(
                data(id, part, END_STREAM if last else 0) for part, last in parts(framed(message)))):
                peer.send(piece)
            assert peer.answer(id).status in (3, 8, 13)
        return "every call refused"


def varint(value):
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded) + bytes([value])


def parts(body, size=16_000):
    return [(body[start : start + size], start + size >= len(body)) for start in range(0, len(body), size)]


def slow(*pieces: bytes, every: float = 0.3):
    """Sends what is not whole, a byte now and then, until the server closes."""

    def attack(port):
        with RawPeer(port, handshake=False) as peer:
            for piece in pieces[:-1]:
                peer.send(piece)
            until = time.monotonic() + 5 * PATIENCE
            for byte in pieces[-1]:
                if peer.closed or time.monotonic() > until or not peer.send(bytes([byte])):
                    break
                peer.read_for(every)
            else:
                with contextlib.suppress(AssertionError):
                    return ending(peer)
            return ending(peer) if peer.closed else "kept"

    return attack


def slow_body(port):
    """Requests that begin and do not end: each is answered once its time is over."""
    with RawPeer(port) as peer:
        peer.send(*(headers(id) + data(id, REQUEST[:5], 0) for id in streams(count=256)))
        assert {peer.answer(id).status for id in streams(count=256)} == {4}
        return "every call answered with DEADLINE_EXCEEDED"


def many_connections(port):
    """More connections than the server holds: those above are closed, the rest when they say nothing."""
    peers = [RawPeer(port, handshake=False) for _ in range(3 * MAX_CONNECTIONS)]
    for peer in peers:
        peer.read_until(lambda: peer.closed)
        peer.socket.close()
    return CLOSED


@dataclasses.dataclass
class Attack:
    name: str
    run: typing.Callable[[int], str]
    ends: typing.Collection[str] = (CALMED,)
    # Bytes that the server may need for it at most, beyond what it had.
    most_memory: int = 16 << 20


ATTACKS = [
    Attack("rapid reset", rapid_reset),
    Attack("MadeYouReset: window overflow", made_you_reset_by_window, [CALMED, TOO_MANY_AT_ONCE]),
    Attack("MadeYouReset: malformed requests", made_you_reset_by_malformed_requests, [CALMED, TOO_MANY_AT_ONCE]),
    Attack("MadeYouReset: wrong content-length", made_you_reset_by_content_length, [CALMED, TOO_MANY_AT_ONCE]),
    Attack("HPACK bomb", hpack_bomb),
    Attack("header lists over the limit", large_header_lists, ["every list answered with 431"]),
    Attack("trailers over the limit", large_trailers),
    Attack("PING flood", endless(frame(PING, 0, b"\0" * 8))),
    Attack("PING acknowledgement flood", endless(frame(PING, 0, b"\0" * 8, ACK))),
    Attack("PING flood, not read", pings_without_reading, [CLOSED]),
    Attack("SETTINGS flood", endless(settings())),
    Attack("SETTINGS churn", settings_churn),
    Attack("SETTINGS of many entries", many_settings),
    Attack("PRIORITY flood", endless(frame(PRIORITY, 1, b"\0\0\0\0\1"))),
    Attack("WINDOW_UPDATE flood", endless(window_update(0, 1))),
    Attack("flood of an unknown type", endless(frame(0x42, 0, b"\0"))),
    Attack("GOAWAY flood", endless(frame(GOAWAY, 0, b"\0" * 8))),
    Attack("empty DATA flood", endless(data(1, b"", 0))),
    Attack("tiny DATA flood", endless(data(1, b"x", 0))),
    Attack("padding flood", endless(frame(DATA, 1, b"\xff" + b"\0" * 255, PADDED))),
    Attack("DATA on a stream that was reset", data_after_our_reset),
    Attack("resets of closed streams", resets_of_closed_streams),
    Attack("CONTINUATION flood", continuation_flood),
    Attack("empty CONTINUATION flood", empty_continuation_flood),
    Attack("streams above the limit", too_many_streams),
    Attack("answers without a window", answers_without_a_window, [CLOSED]),
    Attack("answers byte by byte", answers_byte_by_byte),
    Attack("answers by a turning window", answers_by_a_turning_window),
    Attack("answers drop by drop", answers_drop_by_drop, [CLOSED]),
    Attack("answers never read", answers_never_read, [CLOSED]),
    Attack("half-sent requests", half_sent_requests, ["every call answered in time"], 64 << 20),
    Attack("claimed length of 4 GiB", claimed_length, ["every call answered with RESOURCE_EXHAUSTED"]),
    Attack("deep nesting", deep_nesting, ["every call refused"]),
    Attack("slowloris: preface", slow(PREFACE), [CLOSED]),
    Attack("slowloris: SETTINGS", slow(PREFACE, settings((4, 1))), [CLOSED]),
    Attack("slowloris: headers", slow(PREFACE + settings(), headers(1)), [CLOSED]),
    Attack("slowloris: CONTINUATION", slow(PREFACE + settings() + headers(1, flags=0), frame(CONTINUATION, 1, b"\0" * 100)), [CLOSED]),
    Attack("slowloris: control frame", slow(PREFACE + settings(), frame(GOAWAY, 0, b"\0" * 100)), [CLOSED]),
    Attack("slowloris: body", slow_body, ["every call answered with DEADLINE_EXCEEDED"]),
    Attack("more connections than there may be", many_connections, [CLOSED]),
]  # fmt: skip


class HonestClient:
    """A stock client that asks all the time, on a connection of its own: `with HonestClient(...) as client: ...`."""

    def __init__(self, address: str, expected):
        self.address, self.expected = address, expected
        self.right, self.wrong, self.stop = 0, [], threading.Event()

    def __enter__(self):
        self.connect()
        self.ask()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def connect(self):
        self.channel = grpc.insecure_channel(self.address)
        self.stub = stubs.RelatedProductsStub(self.channel)

    def ask(self):
        answer = self.stub.Related(messages.RelatedRequest(product_id="gimp", limit=3), timeout=10)
        found = [(item.product_id, item.score) for item in answer.items]
        harness.same_answer(found, self.expected)
        self.right += 1

    def _run(self):
        while not self.stop.wait(0.002):
            try:
                self.ask()
            except (grpc.RpcError, AssertionError) as error:
                self.wrong.append(error)

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.channel.close()


class Memory:
    """Resident memory of a process, in bytes."""

    def __init__(self, pid: int):
        self.path = pathlib.Path(f"/proc/{pid}")

    def _read(self, name: str) -> int:
        line = next(line for line in (self.path / "status").read_text().splitlines() if line.startswith(name + ":"))
        return int(line.split()[1]) << 10

    @property
    def now(self) -> int:
        return self._read("VmRSS")

    @property
    def peak(self) -> int:
        return self._read("VmHWM")

    def forget_peak(self):
        (self.path / "clear_refs").write_text("5")


@dataclasses.dataclass
class Report:
    attack: str
    ending: str
    seconds: float
    before: int
    peak: int
    after: int
    right: int
    wrong: list

    def __str__(self):
        sizes = " ".join(f"{size / 1e6:8.1f}" for size in (self.before, self.peak, self.after))
        return f"{self.attack:38} {self.ending:44} {self.seconds:6.1f} {sizes} {self.right:7}"

    HEADER = f"{'attack':38} {'how it ended':44} {'s':>6} {'MB':>8} {'peak':>8} {'after':>8} {'honest':>7}"


def carry_out(attack: Attack, server, honest: typing.Callable, bound: typing.Callable[[int], int]) -> Report:
    """Attacks while an honest client asks; waits until memory is within its bound again, as long as that may take."""
    memory = Memory(server.process.pid)
    with honest() as client:
        before = memory.now
        memory.forget_peak()
        started = time.monotonic()
        ended = attack.run(server.port)
        seconds = time.monotonic() - started
        peak = memory.peak
        client.ask()
        until = time.monotonic() + 10
        while memory.now > bound(before) and time.monotonic() < until:
            time.sleep(0.1)
        after = memory.now
    return Report(attack.name, ended, seconds, before, peak, after, client.right, client.wrong)


def memory_bound(before: int) -> int:
    """What memory may be after an attack: a tenth more, and room for what allocators keep of a small process."""
    return before + before // 10 + (4 << 20)


def main():
    store = sys.argv[1] if len(sys.argv) == 2 else sys.exit("usage: attacks.py STORE")
    expected = harness.PublishedTable(max((pathlib.Path(store) / "related").glob("[0-9]*"))).related_to("gimp", limit=3)
    print(Report.HEADER)
    with harness.Server(store, *SERVER_ARGUMENTS) as server:
        for attack in ATTACKS:
            print(carry_out(attack, server, lambda: HonestClient(server.address, expected), memory_bound), flush=True)


if __name__ == "__main__":
    main()
