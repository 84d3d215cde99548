"""The Swift client in gRPC's interoperability tests, against our server, grpcio's and Ruby's."""

import concurrent.futures
import socket
import subprocess
import sys
import time

import grpc
import pytest

import harness
from certificates import Authority

CASES = [
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
    "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service",
    "server_compressed_unary", "server_compressed_streaming",
]  # fmt: skip
# A server must see whether requests are compressed, which grpcio and Ruby hide.
COMPRESSED_CASES = ["client_compressed_unary", "client_compressed_streaming"]
# What Ruby's server does not do.
RUBY_LACKS = {"custom_metadata", "special_status_message", "server_compressed_unary", "server_compressed_streaming"}

SECONDS = 60  # for what must happen, on a machine however slow


def run(port, cases, *arguments):
    """Runs the client; the cases that passed."""
    command = [harness.INTEROP_CLIENT, "--server_port", port, "--test_case", *cases, *arguments]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS)
    assert result.returncode == 0, result.stdout + result.stderr
    return [line.removeprefix("passed ") for line in result.stdout.splitlines()]


def test_against_our_server(tmp_path):
    with harness.InteropServer(tmp_path) as server:
        assert run(server.port, CASES + COMPRESSED_CASES) == CASES + COMPRESSED_CASES


def test_against_our_server_over_tls(tmp_path):
    authority = Authority(tmp_path)
    authority.sign("server")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.read("server.pem") + authority.read("server.key"))
    Authority(tmp_path, "stranger")
    with harness.InteropServer(tmp_path, "--tls", both) as server:
        assert run(server.port, CASES, "--ca_file", authority.path("ca.pem")) == CASES
        with pytest.raises(AssertionError, match="the server's certificate is refused"):
            run(server.port, ["empty_unary"], "--ca_file", authority.path("stranger.pem"))


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stubs")
    harness.generate_stubs(harness.ROOT / "Tests/Interop/Protos", directory)
    sys.path.insert(0, str(directory))
    import testing_pb2
    import testing_pb2_grpc

    return testing_pb2, testing_pb2_grpc


def servicer(testing, testing_grpc):
    """The interoperability service as grpcio has it."""

    def echo(context):
        metadata = dict(context.invocation_metadata())
        initial, trailing = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
        if initial in metadata:
            context.send_initial_metadata([(initial, metadata[initial])])
        if trailing in metadata:
            context.set_trailing_metadata([(trailing, metadata[trailing])])

    def check(status, context):
        if status.code:
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            context.abort(code, status.message)

    class Servicer(testing_grpc.TestServiceServicer):
        def EmptyCall(self, request, context):
            return testing.Empty()

        def UnaryCall(self, request, context):
            echo(context)
            check(request.response_status, context)
            if request.response_compressed.value:
                context.set_compression(grpc.Compression.Gzip)
            return testing.SimpleResponse(payload={"body": bytes(request.response_size)})

        def StreamingOutputCall(self, request, context):
            if any(parameters.compressed.value for parameters in request.response_parameters):
                context.set_compression(grpc.Compression.Deflate)
            yield from self.answers(request, context)

        def StreamingInputCall(self, requests, context):
            size = sum(len(request.payload.body) for request in requests)
            return testing.StreamingInputCallResponse(aggregated_payload_size=size)

        def FullDuplexCall(self, requests, context):
            echo(context)
            for request in requests:
                yield from self.answers(request, context)

        def answers(self, request, context):
            check(request.response_status, context)
            for parameters in request.response_parameters:
                time.sleep(parameters.interval_us / 1e6)
                yield testing.StreamingOutputCallResponse(payload={"body": bytes(parameters.size)})

    return Servicer()


@pytest.fixture(scope="module")
def grpcio_server(stubs):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    stubs[1].add_TestServiceServicer_to_server(servicer(*stubs), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


def test_against_grpcio(grpcio_server):
    assert run(grpcio_server, CASES) == CASES


def test_against_ruby(tmp_path):
    script = harness.interop_client().replace("/client.rb", "/server.rb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = open(tmp_path / "ruby.log", "w")
    process = subprocess.Popen(["ruby", script, f"--port={port}"], stdout=log, stderr=log)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(SECONDS)
        cases = [case for case in CASES if case not in RUBY_LACKS]
        assert run(port, cases) == cases
    finally:
        process.kill()
        process.wait()
        log.close()
