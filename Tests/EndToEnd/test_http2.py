"""RFC 9113 and RFC 7541 as a server must hold them: every error case, each named by its section."""

import struct

import pytest

from raw_peer import *

BLOCK = literal(request_fields())


def expect_goaway(*codes):
    def check(peer):
        assert peer.goaway() in codes
        peer.read_until(lambda: peer.closed)

    return check


def expect_stream_error(stream, *codes):
    """A server may end the connection for what is an error of a stream (RFC 9113, 5.4.1)."""

    def check(peer):
        answer = peer.answer(stream)
        assert (peer.goaways[-1][0] if peer.goaways else answer.reset) in codes

    return check


def expect_reset(stream, code):
    """An error of a stream that must cost no other stream of the connection."""

    def check(peer):
        assert peer.answer(stream).reset == code
        peer.send(call(stream + 100))
        assert peer.answer(stream + 100).status == 0

    return check


def expect_answer(stream, status=0):
    def check(peer):
        answer = peer.answer(stream)
        assert answer.status == status, (answer.reset, peer.goaways)
        assert peer.is_alive()

    return check


def expect_alive(peer):
    assert peer.is_alive()


def pairs(*cases):
    return [pytest.param(*rest, id=name) for name, *rest in cases]


LARGE = b"\0" * 16_385
LARGEST = framed(messages.RelatedRequest(product_id="x" * 16_376).SerializeToString())
assert len(LARGEST) == 16_384
# A stream that is open (its request has not ended) and one that is closed on both sides.
OPEN = headers(1)


CASES = [
    # 4. Frames
    ("4.1 unknown type is ignored", frame(0x16, 0, b"\0" * 8), expect_alive),
    ("4.1 unknown flags are ignored", frame(PING, 0, b"flagged!", 0x16), expect_alive),
    ("4.1 reserved bit is ignored", frame(PING, 0x8000_0000, b"reserved"), expect_alive),
    ("4.2 DATA of the largest size", OPEN + data(1, LARGEST), expect_answer(1, 5)),
    ("4.2 DATA beyond the largest size", OPEN + data(1, LARGE), expect_stream_error(1, FRAME_SIZE_ERROR)),
    ("4.2 HEADERS beyond the largest size", frame(HEADERS, 1, LARGE, END_HEADERS), expect_goaway(FRAME_SIZE_ERROR)),
    ("4.2 PING beyond the largest size", frame(PING, 0, LARGE), expect_goaway(FRAME_SIZE_ERROR)),
    ("4.3 header block that cannot be decoded", headers(1, block=b"\x40\xff"), expect_goaway(COMPRESSION_ERROR)),
    ("4.3 PRIORITY within a header block", headers(1, flags=0) + frame(PRIORITY, 1, b"\0\0\0\0\1"), expect_goaway(PROTOCOL_ERROR)),
    ("4.3 HEADERS of another stream within a header block", headers(1, flags=0) + headers(3), expect_goaway(PROTOCOL_ERROR)),
    ("4.3 unknown type within a header block", headers(1, flags=0) + frame(0x16, 1), expect_goaway(PROTOCOL_ERROR)),
    # 5.1 Stream states
    ("5.1 idle: DATA", data(1), expect_goaway(PROTOCOL_ERROR)),
    ("5.1 idle: RST_STREAM", reset(1), expect_goaway(PROTOCOL_ERROR)),
    ("5.1 idle: WINDOW_UPDATE", window_update(1, 100), expect_goaway(PROTOCOL_ERROR)),
    ("5.1 idle: CONTINUATION", frame(CONTINUATION, 1, BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR)),
    ("5.1 idle: PRIORITY is allowed", frame(PRIORITY, 1, b"\0\0\0\0\1"), expect_alive),
    ("5.1 half-closed: DATA", call(1) + data(1), expect_goaway(STREAM_CLOSED)),
    ("5.1 half-closed: HEADERS", call(1) + headers(1, flags=END_HEADERS | END_STREAM), expect_goaway(STREAM_CLOSED)),
    ("5.1 half-closed: CONTINUATION", call(1) + frame(CONTINUATION, 1, BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR, STREAM_CLOSED)),
    ("5.1 half-closed: WINDOW_UPDATE and PRIORITY are allowed", call(1) + window_update(1, 1) + frame(PRIORITY, 1, b"\0\0\0\0\1"), expect_answer(1)),
    ("5.1 half-closed: RST_STREAM is allowed", call(1) + reset(1), expect_alive),
    ("5.1 reset by the peer: DATA", OPEN + reset(1) + data(1), expect_goaway(STREAM_CLOSED)),
    ("5.1 reset by the peer: HEADERS", OPEN + reset(1) + headers(1), expect_goaway(STREAM_CLOSED)),
    ("5.1 reset by the peer: CONTINUATION", OPEN + reset(1) + frame(CONTINUATION, 1, BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR, STREAM_CLOSED)),
    ("5.1 reset by the peer: WINDOW_UPDATE, PRIORITY, RST_STREAM are allowed", OPEN + reset(1) + window_update(1, 1) + frame(PRIORITY, 1, b"\0\0\0\0\1") + reset(1), expect_alive),
    # 5.1.1 Stream identifiers
    ("5.1.1 even number", headers(2), expect_goaway(PROTOCOL_ERROR)),
    ("5.1.1 number that was passed over", headers(5) + headers(3), expect_goaway(PROTOCOL_ERROR)),
    ("5.1.1 first number that was passed over", headers(7) + headers(1), expect_goaway(PROTOCOL_ERROR)),
    ("5.1.1 DATA on a number that was passed over", headers(5) + data(3), expect_goaway(PROTOCOL_ERROR)),
    ("5.1.1 numbers may be passed over", call(1) + call(9), expect_answer(9)),
    # 5.3 Priority, deprecated
    ("5.3 PRIORITY on itself is ignored", frame(PRIORITY, 1, b"\0\0\0\1\1") + call(1), expect_answer(1)),
    ("5.3 HEADERS with a priority", headers(1, flags=END_HEADERS | PRIORITY_FLAG, block=b"\0\0\0\0\1" + BLOCK) + data(1), expect_answer(1)),
    # 5.5 Extensions
    ("5.5 unknown type between frames of a request", OPEN + frame(0xfe, 1, b"x" * 100) + data(1), expect_answer(1)),
    ("5.5 unknown setting is ignored", settings((0xff, 7)), expect_alive),
    # 6.1 DATA
    ("6.1 DATA on stream 0", data(0), expect_goaway(PROTOCOL_ERROR)),
    ("6.1 padding as long as the payload", OPEN + frame(DATA, 1, b"\x06hello", END_STREAM | PADDED), expect_goaway(PROTOCOL_ERROR)),
    ("6.1 padded flag without a payload", OPEN + frame(DATA, 1, b"", END_STREAM | PADDED), expect_goaway(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    ("6.1 padded DATA", OPEN + data(1, b"\x07" + REQUEST + b"\0" * 7, END_STREAM | PADDED), expect_answer(1)),
    # 6.2 HEADERS
    ("6.2 HEADERS on stream 0", headers(0), expect_goaway(PROTOCOL_ERROR)),
    ("6.2 padding as long as the payload", frame(HEADERS, 1, b"\xff" + BLOCK[:60], END_HEADERS | PADDED), expect_goaway(PROTOCOL_ERROR)),
    ("6.2 padded HEADERS", frame(HEADERS, 1, b"\x09" + BLOCK + b"\0" * 9, END_HEADERS | PADDED) + data(1), expect_answer(1)),
    ("6.2 priority flag without priority", frame(HEADERS, 1, b"\0\0", END_HEADERS | PRIORITY_FLAG), expect_goaway(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    # 6.3 PRIORITY
    ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, b"\0\0\0\0\1"), expect_goaway(PROTOCOL_ERROR)),
    ("6.3 PRIORITY of four bytes", frame(PRIORITY, 1, b"\0\0\0\0"), expect_stream_error(1, FRAME_SIZE_ERROR)),
    # 6.4 RST_STREAM
    ("6.4 RST_STREAM on stream 0", reset(0), expect_goaway(PROTOCOL_ERROR)),
    ("6.4 RST_STREAM of three bytes", OPEN + frame(RST_STREAM, 1, b"\0\0\0"), expect_goaway(FRAME_SIZE_ERROR)),
    ("6.4 unknown error code", OPEN + reset(1, 0xabcd) + call(3), expect_answer(3)),
    # 6.5 SETTINGS
    ("6.5 acknowledgement with a payload", settings((1, 1), flags=ACK), expect_goaway(FRAME_SIZE_ERROR)),
    ("6.5 SETTINGS on a stream", frame(SETTINGS, 1), expect_goaway(PROTOCOL_ERROR)),
    ("6.5 length that is no multiple of six", frame(SETTINGS, 0, b"\0\1\0"), expect_goaway(FRAME_SIZE_ERROR)),
    ("6.5.2 ENABLE_PUSH of 2", settings((2, 2)), expect_goaway(PROTOCOL_ERROR)),
    ("6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1", settings((4, 0x8000_0000)), expect_goaway(FLOW_CONTROL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE below 2^14", settings((5, 16_383)), expect_goaway(PROTOCOL_ERROR)),
    ("6.5.2 MAX_FRAME_SIZE beyond 2^24-1", settings((5, 1 << 24)), expect_goaway(PROTOCOL_ERROR)),
    ("6.5.3 acknowledgement of nothing", settings(flags=ACK), expect_goaway(PROTOCOL_ERROR)),
    # 6.6 PUSH_PROMISE
    ("6.6 PUSH_PROMISE by a client", OPEN + frame(PUSH_PROMISE, 1, b"\0\0\0\2" + BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR)),
    # 6.7 PING
    ("6.7 acknowledgement of nothing", frame(PING, 0, b"not sent", ACK), expect_alive),
    ("6.7 PING on a stream", frame(PING, 1, b"\0" * 8), expect_goaway(PROTOCOL_ERROR)),
    ("6.7 PING of six bytes", frame(PING, 0, b"\0" * 6), expect_goaway(FRAME_SIZE_ERROR)),
    # 6.8 GOAWAY
    ("6.8 GOAWAY on a stream", frame(GOAWAY, 1, b"\0" * 8), expect_goaway(PROTOCOL_ERROR)),
    ("6.8 GOAWAY of four bytes", frame(GOAWAY, 0, b"\0" * 4), expect_goaway(FRAME_SIZE_ERROR)),
    ("6.8 calls go on after the client's GOAWAY", frame(GOAWAY, 0, struct.pack(">II", 0, 0xabcd)) + call(1), lambda peer: None),
    # 6.9 WINDOW_UPDATE
    ("6.9 increment of 0", window_update(0, 0), expect_goaway(PROTOCOL_ERROR)),
    ("6.9 increment of 0 on a stream", OPEN + window_update(1, 0), expect_stream_error(1, PROTOCOL_ERROR)),
    ("6.9 WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, b"\0\0\1"), expect_goaway(FRAME_SIZE_ERROR)),
    ("6.9.1 window of the connection beyond 2^31-1", window_update(0, 0x7FFF_FFFF) * 2, expect_goaway(FLOW_CONTROL_ERROR)),
    ("6.9.1 window of a stream beyond 2^31-1", OPEN + window_update(1, 0x7FFF_FFFF) * 2, expect_reset(1, FLOW_CONTROL_ERROR)),
    ("6.9.2 window beyond 2^31-1 by SETTINGS", OPEN + window_update(1, 0x7FFF_FFFF - 65_535) + settings((4, 65_536)), expect_goaway(FLOW_CONTROL_ERROR)),
    # 6.10 CONTINUATION
    ("6.10 header block in pieces", headers(1, flags=0, block=BLOCK[:9]) + frame(CONTINUATION, 1, BLOCK[9:20]) + frame(CONTINUATION, 1, BLOCK[20:], END_HEADERS) + data(1), expect_answer(1)),
    ("6.10 empty CONTINUATION", headers(1, flags=0) + frame(CONTINUATION, 1, b"", END_HEADERS) + data(1), expect_answer(1)),
    ("6.10 CONTINUATION after the end of the headers", OPEN + frame(CONTINUATION, 1, BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION of another stream", headers(1, flags=0) + frame(CONTINUATION, 3, BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION on stream 0", headers(1, flags=0) + frame(CONTINUATION, 0, BLOCK, END_HEADERS), expect_goaway(PROTOCOL_ERROR)),
    ("6.10 CONTINUATION after DATA", OPEN + data(1, REQUEST, 0) + frame(CONTINUATION, 1, b"", END_HEADERS), expect_goaway(PROTOCOL_ERROR)),
    # RFC 7541
    ("RFC 7541 2.3.3 index beyond the tables", headers(1, block=BLOCK + b"\xff\x00"), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 4.2 size update at the end of a block", headers(1, block=BLOCK + b"\x21"), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 5.1 integer without an end", headers(1, block=b"\x7f" + b"\xff" * 12), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 5.2 Huffman padding of eight bits", headers(1, block=BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 5.2 Huffman padding of zeros", headers(1, block=BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 5.2 Huffman end of string", headers(1, block=BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 6.1 index 0", headers(1, block=BLOCK + b"\x80"), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 6.3 table beyond the setting", headers(1, block=b"\x3f\xe1\xff\x03" + BLOCK), expect_goaway(COMPRESSION_ERROR)),
    ("RFC 7541 6.3 smaller table", headers(1, block=b"\x20" + BLOCK) + data(1), expect_answer(1)),
]  # fmt: skip


@pytest.mark.parametrize("sent, check", pairs(*CASES))
def test_frames(server, sent, check):
    with RawPeer(server.port) as peer:
        peer.send(sent)
        check(peer)


@pytest.mark.parametrize("sent, check", pairs(*CASES))
def test_frames_byte_by_byte_end_alike(server, sent, check):
    """The same bytes in small pieces: what is decided must not depend on how they arrive."""
    if len(sent) > 1000:
        sent_pieces = [sent[i : i + 997] for i in range(0, len(sent), 997)]
    else:
        sent_pieces = [sent[i : i + 1] for i in range(len(sent))]
    with RawPeer(server.port) as peer:
        for piece in sent_pieces:
            if not peer.send(piece):
                break
        check(peer)


MALFORMED = [
    # 8.1 and 8.1.1
    ("8.1 HEADERS in the middle of a request", OPEN + headers(1, [("a", "b")]) + data(1)),
    ("8.1 pseudo-header in trailers", OPEN + data(1, REQUEST, 0) + headers(1, [(":path", "/")], END_HEADERS | END_STREAM)),
    ("8.1 upper case in trailers", OPEN + data(1, REQUEST, 0) + headers(1, [("A", "b")], END_HEADERS | END_STREAM)),
    ("8.1.1 content-length too large", headers(1, request_fields(added=[("content-length", "999")])) + data(1)),
    ("8.1.1 content-length too small", headers(1, request_fields(added=[("content-length", "1")])) + data(1)),
    ("8.1.1 content-length too small for two frames", headers(1, request_fields(added=[("content-length", "6")])) + data(1, REQUEST[:5], 0) + data(1, REQUEST[5:])),
    ("8.1.1 content-length without a body", headers(1, request_fields(added=[("content-length", "5")]), END_HEADERS | END_STREAM)),
    ("8.1.1 two content-lengths", headers(1, request_fields(added=[("content-length", str(len(REQUEST)))] * 2)) + data(1)),
    ("8.1.1 content-length that is no number", headers(1, request_fields(added=[("content-length", "+9")])) + data(1)),
    ("8.1.1 empty content-length", headers(1, request_fields(added=[("content-length", "")])) + data(1)),
    ("8.1.1 content-length of forty digits", headers(1, request_fields(added=[("content-length", "9" * 40)])) + data(1)),
]  # fmt: skip


def malformed_head(fields):
    return headers(1, fields) + data(1)


MALFORMED_HEADS = [
    ("8.2.1 upper case", request_fields(added=[("X-Test", "ok")])),
    ("8.2.1 empty name", request_fields(added=[("", "ok")])),
    ("8.2.1 space in a name", request_fields(added=[("x test", "ok")])),
    ("8.2.1 colon in a name", request_fields(added=[("x:test", "ok")])),
    ("8.2.1 NUL in a name", request_fields(added=[("x\0", "ok")])),
    ("8.2.1 DEL in a name", request_fields(added=[("x\x7f", "ok")])),
    ("8.2.1 8-bit name", request_fields(added=[("x\xe9", "ok")])),
    ("8.2.1 NUL in a value", request_fields(added=[("x-test", "a\0b")])),
    ("8.2.1 line feed in a value", request_fields(added=[("x-test", "a\nb")])),
    ("8.2.1 carriage return in a value", request_fields(added=[("x-test", "0123456789a\rb")])),
    ("8.2.1 DEL in a value", request_fields(added=[("x-test", "\x7f")])),
    ("8.2.2 connection", request_fields(added=[("connection", "keep-alive")])),
    ("8.2.2 proxy-connection", request_fields(added=[("proxy-connection", "keep-alive")])),
    ("8.2.2 keep-alive", request_fields(added=[("keep-alive", "1")])),
    ("8.2.2 transfer-encoding", request_fields(added=[("transfer-encoding", "chunked")])),
    ("8.2.2 upgrade", request_fields(added=[("upgrade", "h2c")])),
    ("8.2.2 te: trailers, deflate", request_fields(replaced={"te": "trailers, deflate;q=0.5"})),
    ("8.3 unknown pseudo-header", [(":test", "ok")] + request_fields()),
    ("8.3 pseudo-header of responses", request_fields()[:4] + [(":status", "200")] + request_fields()[4:]),
    ("8.3 pseudo-header without a name", [(":", "ok")] + request_fields()),
    ("8.3 pseudo-header after a field", request_fields()[:3] + [("x", "y")] + request_fields()[3:]),
    ("8.3.1 no method", request_fields(replaced={":method": None})),
    ("8.3.1 no scheme", request_fields(replaced={":scheme": None})),
    ("8.3.1 no path", request_fields(replaced={":path": None})),
    ("8.3.1 neither authority nor host", request_fields(replaced={":authority": None})),
    ("8.3.1 empty method", request_fields(replaced={":method": ""})),
    ("8.3.1 method that is no token", request_fields(replaced={":method": "PO ST"})),
    ("8.3.1 empty scheme", request_fields(replaced={":scheme": ""})),
    ("8.3.1 scheme that is none", request_fields(replaced={":scheme": "1http"})),
    ("8.3.1 empty path", request_fields(replaced={":path": ""})),
    ("8.3.1 space in a path", request_fields(replaced={":path": "/a b"})),
    ("8.3.1 authority with a space", request_fields(replaced={":authority": "a b"})),
    ("8.3.1 two methods", request_fields()[:1] + request_fields()),
    ("8.3.1 two schemes", request_fields()[1:2] + request_fields()),
    ("8.3.1 two paths", request_fields()[2:3] + request_fields()),
    ("8.3.1 two authorities", request_fields()[3:4] + request_fields()),
    ("8.3.1 two hosts", request_fields(added=[("host", "test")] * 2)),
    ("8.4 extended CONNECT without being asked to", [(":protocol", "websocket")] + request_fields(replaced={":method": "CONNECT"})),
    ("8.5 CONNECT with a path", request_fields(replaced={":method": "CONNECT"})),
    ("8.5 CONNECT without an authority", [(":method", "CONNECT")]),
]  # fmt: skip


@pytest.mark.parametrize("sent", pairs(*MALFORMED, *((name, malformed_head(fields)) for name, fields in MALFORMED_HEADS)))
def test_a_malformed_request_is_reset_and_costs_no_other(server, sent):
    with RawPeer(server.port) as peer:
        peer.send(sent)
        expect_reset(1, PROTOCOL_ERROR)(peer)


WELL_FORMED = [
    ("8.1.1 content-length that is right", request_fields(added=[("content-length", str(len(REQUEST)))]), 0),
    ("8.2.1 space around a value is cut off (gRPC)", request_fields(added=[("trace-bin", " AAE=\t")]), 0),
    ("8.2.1 tab within a value", request_fields(added=[("x-test", "a\tb\tc\td\te")]), 0),
    ("8.2.1 8-bit value", request_fields(added=[("x-test", "\xe9" * 20)]), 0),
    ("8.2.1 empty value", request_fields(added=[("x-test", "")]), 0),
    ("8.2.2 te: Trailers", request_fields(replaced={"te": "Trailers"}), 0),
    ("8.3.1 host in place of authority", request_fields(replaced={":authority": None}, added=[("host", "test")]), 0),
    ("8.3.1 IPv6 authority", request_fields(replaced={":authority": "[::1]:50051"}), 0),
    ("8.3.1 other scheme", request_fields(replaced={":scheme": "custom+x"}), 0),
    ("8.3.1 path without a slash (gRPC)", request_fields(replaced={":path": RELATED[1:]}), 12),
    ("8.3.1 path of a star (gRPC)", request_fields(replaced={":path": "*"}), 12),
    ("8.3.1 path of an URI (gRPC)", request_fields(replaced={":path": "http://test" + RELATED}), 12),
]


@pytest.mark.parametrize("fields, status", pairs(*WELL_FORMED))
def test_a_well_formed_request_is_answered(server, fields, status):
    with RawPeer(server.port) as peer:
        peer.send(call(1, fields))
        expect_answer(1, status)(peer)


def test_8_1_trailers_of_a_request_are_taken(server):
    with RawPeer(server.port) as peer:
        peer.send(OPEN + data(1, REQUEST, 0) + headers(1, [("checksum", "abc")], END_HEADERS | END_STREAM))
        expect_answer(1)(peer)


def test_8_5_connect_is_no_method_of_grpc(server):
    with RawPeer(server.port) as peer:
        peer.send(headers(1, [(":method", "CONNECT"), (":authority", "test:80")], END_HEADERS | END_STREAM))
        assert peer.answer(1)[":status"] == "405"


@pytest.mark.parametrize("more", [data(1), headers(1), headers(1, flags=END_HEADERS | END_STREAM)], ids=["DATA", "HEADERS", "trailers"])
def test_5_1_frames_after_both_ends_of_a_stream_are_an_error(server, more):
    with RawPeer(server.port) as peer:
        peer.send(call(1))
        assert peer.answer(1).status == 0
        peer.send(more)
        expect_goaway(STREAM_CLOSED)(peer)


def test_5_1_frames_under_way_when_we_reset_are_nobodys_fault(server):
    with RawPeer(server.port) as peer:
        peer.send(headers(1, request_fields("/no/such")))
        assert peer.answer(1).status == 12
        peer.read_until(lambda: peer.answers[1].reset is not None)
        peer.send(data(1, b"x" * 1000, 0) + window_update(1, 5) + headers(1, [("a", "b")], END_HEADERS | END_STREAM))
        peer.send(call(3))
        expect_answer(3)(peer)


def test_5_1_2_streams_above_the_limit_are_refused_before_it_was_acknowledged(server):
    with RawPeer(server.port, handshake=False) as peer:
        peer.send(PREFACE + settings())
        peer.read_until(lambda: peer.settings)
        limit = peer.settings[3]
        peer.send(*(headers(2 * call + 1) for call in range(limit + 1)))
        refused = 2 * limit + 1
        assert peer.answer(refused).reset == REFUSED_STREAM
        # What was under way on the refused stream, and the others, go on.
        peer.send(data(refused) + data(1))
        expect_answer(1)(peer)


def test_5_1_2_streams_above_an_acknowledged_limit_are_an_error(server):
    with RawPeer(server.port) as peer:
        limit = peer.settings[3]
        peer.send(*(headers(2 * call + 1) for call in range(limit + 1)))
        expect_stream_error(2 * limit + 1, PROTOCOL_ERROR, REFUSED_STREAM)(peer)


def test_6_5_settings_are_acknowledged(server):
    with RawPeer(server.port) as peer:
        peer.read_until(lambda: peer.acknowledged == 1)
        peer.send(settings((1, 0)) + settings((4, 100_000)))
        assert peer.read_until(lambda: peer.acknowledged == 3)


def test_6_5_3_values_take_effect_in_their_order(server):
    with RawPeer(server.port, (4, 100), (4, 1)) as peer:
        peer.send(call(1))
        peer.read_until(lambda: peer.answers.get(1) and peer.answers[1].body)
        assert peer.answers[1].data_lengths == [1]


def test_6_9_1_no_more_is_sent_than_the_window_allows(server):
    with RawPeer(server.port, (4, 1)) as peer:
        peer.send(call(1))
        peer.read_until(lambda: peer.answers.get(1) and peer.answers[1].body)
        peer.send(window_update(1, 2))
        peer.read_until(lambda: len(peer.answers[1].body) == 3)
        assert peer.answers[1].data_lengths == [1, 2]
        peer.send(window_update(1, 1 << 20))
        expect_answer(1)(peer)


def test_6_9_2_a_change_of_the_initial_window_changes_open_streams(server):
    with RawPeer(server.port, (4, 0)) as peer:
        peer.send(call(1))
        peer.read_until(lambda: 1 in peer.answers and peer.answers[1].fields)
        assert peer.is_alive() and not peer.answers[1].body
        peer.send(settings((4, 1)))
        peer.read_until(lambda: peer.answers[1].body)
        assert peer.answers[1].data_lengths == [1]


def test_6_9_2_a_window_may_become_negative(server):
    with RawPeer(server.port, (4, 3)) as peer:
        peer.send(call(1))
        peer.read_until(lambda: 1 in peer.answers and len(peer.answers[1].body) == 3)
        peer.send(settings((4, 2)) + window_update(1, 1))
        assert peer.is_alive() and len(peer.answers[1].body) == 3
        peer.send(window_update(1, 1))
        peer.read_until(lambda: len(peer.answers[1].body) == 4)


@pytest.mark.parametrize("preface", [b"INVALID CONNECTION PREFACE\r\n\r\n", PREFACE[:-1] + b"\0", b"GET / HTTP/1.1\r\n\r\n"])
def test_3_4_a_wrong_preface_ends_the_connection(server, preface):
    with RawPeer(server.port, handshake=False) as peer:
        peer.send(preface)
        peer.read_until(lambda: peer.closed)


def test_3_4_the_preface_must_be_followed_by_settings(server):
    with RawPeer(server.port, handshake=False) as peer:
        peer.send(PREFACE + frame(PING, 0, b"\0" * 8))
        expect_goaway(PROTOCOL_ERROR)(peer)


def test_5_4_1_an_error_of_the_connection_names_the_last_stream(server):
    with RawPeer(server.port) as peer:
        peer.send(call(1) + call(7))
        assert peer.answer(7).status == 0
        peer.send(frame(PING, 1, b"\0" * 8))
        assert peer.goaway() == PROTOCOL_ERROR and peer.goaways[-1][1] == 7
