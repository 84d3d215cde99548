"""A client of raw HTTP/2 frames, which may break every rule: what it sends is said frame by frame."""

import socket
import struct
import time

import hpack
from hyperframe import frame as frames

from fletch.v1 import related_products_pb2 as messages

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
RELATED = "/fletch.v1.RelatedProducts/Related"

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
PROTOCOL_ERROR, ENHANCE_YOUR_CALM = 1, 11

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 0x1, 0x1, 0x4, 0x8, 0x20


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    """One frame; nothing in it is checked."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def framed(message: bytes, flag: int = 0) -> bytes:
    """A gRPC message with its prefix."""
    return struct.pack(">BI", flag, len(message)) + message


REQUEST = framed(messages.RelatedRequest(product_id="gimp", limit=3).SerializeToString())


def settings(*entries, flags: int = 0) -> bytes:
    return frame(SETTINGS, 0, b"".join(struct.pack(">HI", *entry) for entry in entries), flags)


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, stream, struct.pack(">I", increment))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, stream, struct.pack(">I", code))


def request_fields(path: str = RELATED, replaced=(), added=()) -> list:
    """The fields of a gRPC request; `replaced` maps names to other values, or to None to leave one out."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
              ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip
    replaced = dict(replaced)
    fields = [(name, replaced.get(name, value)) for name, value in fields]
    return [field for field in fields if field[1] is not None] + list(added)


def literal(fields) -> bytes:
    """A header list in HPACK without tables or Huffman codes: it stands for itself on every connection."""

    def text(value):
        value = value.encode("latin-1") if isinstance(value, str) else value
        return hpack.hpack.encode_integer(len(value), 7) + value

    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def headers(stream: int, fields=None, flags: int = END_HEADERS, block: bytes = None) -> bytes:
    return frame(HEADERS, stream, literal(fields or request_fields()) if block is None else block, flags)


def data(stream: int, payload: bytes = REQUEST, flags: int = END_STREAM) -> bytes:
    return frame(DATA, stream, payload, flags)


def call(stream: int, fields=None, body: bytes = REQUEST) -> bytes:
    return headers(stream, fields) + data(stream, body)


class Answer:
    """What has come on one stream."""

    def __init__(self):
        self.fields, self.body, self.ended, self.reset, self.data_lengths = [], b"", False, None, []

    def __getitem__(self, name):
        return next((value for field, value in self.fields if field == name), None)

    @property
    def status(self):
        return None if self["grpc-status"] is None else int(self["grpc-status"])


class RawPeer:
    """A connection; the handshake is made unless told otherwise. `with RawPeer(port) as peer: ...`"""

    def __init__(self, port: int, *entries, handshake: bool = True, timeout: float = 10, receive_buffer: int = None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = hpack.Decoder()
        self.pending = b""
        self.answers, self.goaways, self.pings, self.acknowledged, self.closed = {}, [], [], 0, False
        self.settings = {}
        self.window_granted = 0
        if handshake:
            self.send(PREFACE + settings(*entries))
            self.read_until(lambda: self.settings)
            self.send(settings(flags=ACK))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *pieces: bytes) -> bool:
        """Sends the pieces; False where the server has closed the connection."""
        try:
            self.socket.sendall(b"".join(pieces))
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def receive(self) -> bool:
        """Reads once and takes the frames in; False at the end of the connection."""
        try:
            received = self.socket.recv(1 << 16)
        except ConnectionResetError:
            received = b""
        if not received:
            self.closed = True
            return False
        self.pending += received
        while len(self.pending) >= 9:
            length = int.from_bytes(self.pending[:3], "big")
            if len(self.pending) < 9 + length:
                break
            parsed, _ = frames.Frame.parse_frame_header(memoryview(self.pending[:9]))
            parsed.parse_body(memoryview(self.pending[9 : 9 + length]))
            self.pending = self.pending[9 + length :]
            self._take(parsed)
        return True

    def _take(self, parsed):
        answer = self.answers.setdefault(parsed.stream_id, Answer())
        if isinstance(parsed, frames.HeadersFrame):
            answer.fields += [(str(name), str(value)) for name, value in self.decoder.decode(parsed.data)]
        elif isinstance(parsed, frames.DataFrame):
            answer.body += parsed.data
            answer.data_lengths.append(len(parsed.data))
        elif isinstance(parsed, frames.RstStreamFrame):
            answer.reset = parsed.error_code
        elif isinstance(parsed, frames.GoAwayFrame):
            self.goaways.append((parsed.error_code, parsed.last_stream_id))
        elif isinstance(parsed, frames.WindowUpdateFrame):
            self.window_granted += parsed.window_increment
        elif isinstance(parsed, frames.PingFrame) and "ACK" in parsed.flags:
            self.pings.append(parsed.opaque_data)
        elif isinstance(parsed, frames.SettingsFrame):
            if "ACK" in parsed.flags:
                self.acknowledged += 1
            else:
                self.settings = dict(parsed.settings)
        if "END_STREAM" in parsed.flags:
            answer.ended = True

    def read_until(self, condition) -> bool:
        """Reads until the condition holds; False where the connection ends before. Fails where the server is silent."""
        while not condition():
            try:
                if not self.receive():
                    return bool(condition())
            except TimeoutError:
                raise AssertionError(f"the server is silent; goaways {self.goaways}, answers {self.answers}") from None
        return True

    def read_for(self, seconds: float):
        """Reads whatever comes in that time."""
        before, until = self.socket.gettimeout(), time.monotonic() + seconds
        while not self.closed and (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                self.receive()
            except TimeoutError:
                break
        self.socket.settimeout(before)

    def answer(self, stream: int) -> Answer:
        """The answer on a stream once it is over, by its end, a reset, or that of the connection."""
        over = lambda: stream in self.answers and (self.answers[stream].ended or self.answers[stream].reset is not None)
        self.read_until(lambda: over() or self.goaways)
        return self.answers.get(stream, Answer())

    def is_alive(self) -> bool:
        """Whether the connection still answers a PING."""
        self.send(frame(PING, 0, b"are you?"))
        return self.read_until(lambda: b"are you?" in self.pings or self.goaways) and not self.goaways

    def goaway(self) -> int:
        """The error code by which the server ends the connection; None where it closes without one."""
        self.read_until(lambda: self.goaways)
        return self.goaways[-1][0] if self.goaways else None
