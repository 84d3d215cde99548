"""`--plain-endpoint`: what testers of HTTP/2 frames find at `/`, and that nothing is there by default."""

import subprocess

import pytest

import harness
from raw_peer import *

TEXT = "This is a gRPC server.\n"
PLAIN = request_fields("/", replaced={"content-type": None, "te": None})


@pytest.fixture(scope="module")
def plain(store):
    with harness.Server(store, "--plain-endpoint", name_of_log="plain.log") as running:
        yield running


def curl(server, *arguments):
    command = ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--write-out", "%{http_code}"]
    result = subprocess.run([*command, *arguments, f"http://{server.address}/"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("arguments", [(), ("--data", "x=1"), ("--data", "", "--header", "content-type: text/html")])
def test_curl_is_answered(plain, arguments):
    assert curl(plain, *arguments) == TEXT + "200"


def test_nghttp_is_answered(plain):
    result = subprocess.run(["nghttp", f"http://{plain.address}/"], capture_output=True, text=True, timeout=60)
    assert result.stdout == TEXT


def test_by_default_nothing_is_there(server):
    assert curl(server) == "405"
    # Not by curl: it may take the reset behind an answer that came before its body for an error.
    with RawPeer(server.port) as peer:
        peer.send(headers(1, PLAIN), data(1, b"x=1"))
        assert peer.answer(1)[":status"] == "415"


def test_calls_go_on_beside_it(plain):
    with RawPeer(plain.port) as peer:
        peer.send(headers(1, PLAIN), call(3), data(1, b"abc"))
        assert peer.answer(3).status == 0
        assert (peer.answer(1)[":status"], peer.answer(1).body.decode()) == ("200", TEXT)


@pytest.mark.parametrize(
    "sent, code",
    [
        pytest.param(headers(1, PLAIN) + frame(DATA, 1, b"\x05abc", PADDED), PROTOCOL_ERROR, id="6.1 too much padding"),
        pytest.param(headers(1, PLAIN) + data(1) + data(1), STREAM_CLOSED, id="5.1 DATA after the end"),
        pytest.param(headers(2, PLAIN), PROTOCOL_ERROR, id="5.1.1 an even stream"),
        pytest.param(headers(1, PLAIN) + frame(PING, 1, b"\0" * 8), PROTOCOL_ERROR, id="6.7 PING on a stream"),
    ],
)
def test_frames_are_judged_as_everywhere(plain, sent, code):
    with RawPeer(plain.port) as peer:
        peer.send(sent)
        assert peer.goaway() == code
