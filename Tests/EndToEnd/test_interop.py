"""All kinds of calls, against the server of gRPC's interoperability tests: its own client, and grpcio."""

import asyncio
import gzip
import os
import pathlib
import socket
import subprocess
import sys
import time
import zlib

import grpc
import h2.config
import h2.connection
import pytest

import harness
from certificates import Authority
from test_protocol import RawCall, framed

CLIENT_CASES = [
    "empty_unary", "large_unary", "client_compressed_unary", "client_streaming", "client_compressed_streaming",
    "server_streaming", "ping_pong", "empty_stream", "status_code_and_message", "custom_metadata",
    "unimplemented_method", "unimplemented_service", "cancel_after_begin", "cancel_after_first_response",
    "timeout_on_sleeping_server",
]  # fmt: skip

# What the tests' description calls special_status_message.
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"

SECONDS = 60  # for what must happen, on a machine however slow


@pytest.fixture(scope="module", autouse=True)
def stubs(tmp_path_factory):
    """The generated modules, as globals of this one."""
    directory = tmp_path_factory.mktemp("stubs")
    harness.generate_stubs(harness.ROOT / "Tests/Interop/Protos", directory)
    sys.path.insert(0, str(directory))
    global testing, testing_grpc, probe, probe_grpc
    import probe_pb2 as probe
    import probe_pb2_grpc as probe_grpc
    import testing_pb2 as testing
    import testing_pb2_grpc as testing_grpc


@pytest.fixture(scope="module")
def interop(tmp_path_factory):
    with harness.InteropServer(tmp_path_factory.mktemp("interop")) as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that vouches for itself, with its key."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + pathlib.Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, certificate):
    with harness.InteropServer(tmp_path_factory.mktemp("encrypted"), "--tls", certificate) as server:
        yield server


@pytest.fixture
def service(interop):
    with grpc.insecure_channel(interop.address) as channel:
        yield testing_grpc.TestServiceStub(channel)


@pytest.fixture
def observed(tmp_path):
    """A server of the test's own, so that what its handlers did is what the test made them do."""
    with harness.InteropServer(tmp_path) as server:
        yield server


def zeros(count):
    return testing.Payload(body=bytes(count))


def output_request(*sizes, **fields):
    parameters = [testing.ResponseParameters(size=size) for size in sizes]
    return testing.StreamingOutputCallRequest(response_parameters=parameters, **fields)


def sizes(responses):
    return [len(response.payload.body) for response in responses]


def status_of(call, *arguments, **options):
    """The status of a call that must fail; of a stream, once it is read to its end."""
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call(*arguments, timeout=SECONDS, **options):
            pass
    return caught.value


def unary_path(method):
    return f"/grpc.testing.TestService/{method}"


# gRPC's own client


def run_official_client(case, port, *arguments, **environment):
    command = ["ruby", harness.interop_client(), "--server_host=localhost", f"--server_port={port}", *arguments]
    result = subprocess.run(
        [*command, f"--test_case={case}"], capture_output=True, text=True, timeout=SECONDS,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert result.returncode == 0 and f"OK: {case}" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("case", CLIENT_CASES)
def test_the_official_client_passes(interop, case):
    run_official_client(case, interop.port)


@pytest.mark.parametrize("case", CLIENT_CASES)
def test_the_official_client_passes_over_tls(encrypted, certificate, case):
    run_official_client(case, encrypted.port, "--use_tls=true", GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=f"{certificate}.crt")


# The four kinds


def test_empty_unary(service):
    assert service.EmptyCall(testing.Empty(), timeout=SECONDS) == testing.Empty()


def test_large_unary(service):
    request = testing.SimpleRequest(response_size=314_159, payload=zeros(271_828))
    assert service.UnaryCall(request, timeout=SECONDS).payload == zeros(314_159)


def test_cacheable_unary(service):
    response, call = service.CacheableUnaryCall.with_call(testing.SimpleRequest(), timeout=SECONDS)
    assert int(response.payload.body) > 1_500_000_000 * 10**9
    assert "max-age=60" in dict(call.initial_metadata())["cache-control"]


def test_server_streaming(service):
    wanted = [31_415, 9, 2653, 58_979]
    assert sizes(service.StreamingOutputCall(output_request(*wanted), timeout=SECONDS)) == wanted


def test_server_streaming_without_a_response(service):
    call = service.StreamingOutputCall(output_request(), timeout=SECONDS)
    assert list(call) == [] and call.code() == grpc.StatusCode.OK


def test_client_streaming(service):
    requests = [testing.StreamingInputCallRequest(payload=zeros(count)) for count in [27_182, 8, 1828, 45_904]]
    assert service.StreamingInputCall(iter(requests), timeout=SECONDS).aggregated_payload_size == 74_922
    assert service.StreamingInputCall(iter([]), timeout=SECONDS).aggregated_payload_size == 0


def test_ping_pong(interop):
    async def play():
        async with grpc.aio.insecure_channel(interop.address) as channel:
            call = testing_grpc.TestServiceStub(channel).FullDuplexCall(timeout=SECONDS)
            for asked, answered in [(27_182, 31_415), (8, 9), (1828, 2653), (45_904, 58_979)]:
                await call.write(output_request(answered, payload=zeros(asked)))
                assert len((await call.read()).payload.body) == answered
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() == grpc.StatusCode.OK

    asyncio.run(play())


def test_an_empty_stream(service):
    call = service.FullDuplexCall(iter([]), timeout=SECONDS)
    assert list(call) == [] and call.code() == grpc.StatusCode.OK


def test_half_duplex_answers_once_all_requests_are_there(interop):
    async def play():
        async with grpc.aio.insecure_channel(interop.address) as channel:
            call = testing_grpc.TestServiceStub(channel).HalfDuplexCall(timeout=SECONDS)
            for size in [3, 1, 2]:
                await call.write(output_request(size, size))
            await call.done_writing()
            assert [len(response.payload.body) async for response in call] == [3, 3, 1, 1, 2, 2]

    asyncio.run(play())


def test_responses_go_on_after_the_client_has_half_closed(service):
    requests = iter([output_request(*range(500))] * 3)
    assert sizes(service.FullDuplexCall(requests, timeout=SECONDS)) == list(range(500)) * 3


def test_messages_of_megabytes_in_both_directions(interop):
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(interop.address, options) as channel:
        service = testing_grpc.TestServiceStub(channel)
        requests = iter([output_request(10 << 20, payload=zeros(4_000_000))] * 5)
        assert sizes(service.FullDuplexCall(requests, timeout=SECONDS)) == [10 << 20] * 5


def test_a_wait_between_responses_holds_no_other_call(service):
    slow = testing.ResponseParameters(size=1, interval_us=600_000_000)
    request = testing.StreamingOutputCallRequest(response_parameters=[testing.ResponseParameters(size=2), slow])
    call = service.StreamingOutputCall(request, timeout=2 * SECONDS)
    assert len(next(call).payload.body) == 2
    for _ in range(50):
        service.EmptyCall(testing.Empty(), timeout=SECONDS)
    assert call.is_active()
    call.cancel()


def test_intervals_are_waited_for(service):
    parameters = [testing.ResponseParameters(size=1, interval_us=50_000)] * 4
    started = time.monotonic()
    request = testing.StreamingOutputCallRequest(response_parameters=parameters)
    assert sizes(service.StreamingOutputCall(request, timeout=SECONDS)) == [1] * 4
    assert time.monotonic() - started >= 0.2


# Status and metadata


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code != grpc.StatusCode.OK])
def test_every_status_arrives_with_its_message(service, code):
    status = testing.EchoStatus(code=code.value[0], message=SPECIAL_MESSAGE)
    with pytest.raises(grpc.RpcError) as unary:
        service.UnaryCall(testing.SimpleRequest(response_status=status), timeout=SECONDS)
    streamed = status_of(service.FullDuplexCall, iter([output_request(response_status=status)]))
    late = status_of(service.HalfDuplexCall, iter([output_request(5), output_request(5, response_status=status)]))
    for error in (unary.value, streamed, late):
        assert (error.code(), error.details()) == (code, SPECIAL_MESSAGE)


def test_a_status_before_the_client_has_half_closed_ends_the_call(interop):
    async def play():
        async with grpc.aio.insecure_channel(interop.address) as channel:
            call = testing_grpc.TestServiceStub(channel).FullDuplexCall(timeout=SECONDS)
            await call.write(output_request(response_status=testing.EchoStatus(code=10, message="enough")))
            assert (await call.code(), await call.details()) == (grpc.StatusCode.ABORTED, "enough")

    asyncio.run(play())


def test_metadata_is_echoed(service):
    metadata = [("x-grpc-test-echo-initial", "first"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")]
    _, unary = service.UnaryCall.with_call(testing.SimpleRequest(), metadata=metadata, timeout=SECONDS)
    _, collected = service.StreamingInputCall.with_call(iter([]), metadata=metadata, timeout=SECONDS)
    output = service.StreamingOutputCall(output_request(1), metadata=metadata, timeout=SECONDS)
    duplex = service.FullDuplexCall(iter([output_request(1)]), metadata=metadata, timeout=SECONDS)
    silent = service.FullDuplexCall(iter([]), metadata=metadata, timeout=SECONDS)
    for stream in (output, duplex, silent):
        list(stream)
    for call in (unary, collected, output, duplex, silent):
        assert metadata[0] in [tuple(field) for field in call.initial_metadata()]
        assert metadata[1] in [tuple(field) for field in call.trailing_metadata()]


def test_metadata_comes_with_an_error_too(service):
    metadata = [("x-grpc-test-echo-initial", "first"), ("x-grpc-test-echo-trailing-bin", b"\xab")]
    failing = iter([output_request(response_status=testing.EchoStatus(code=5))])
    error = status_of(service.FullDuplexCall, failing, metadata=metadata)
    assert metadata[1] in [tuple(field) for field in error.trailing_metadata()]


@pytest.mark.parametrize("path", ["/grpc.testing.TestService/UnimplementedCall", "/grpc.testing.UnimplementedService/UnimplementedCall"])
def test_what_nobody_implements_is_unimplemented(interop, path):
    with grpc.insecure_channel(interop.address) as channel:
        for kind in (channel.unary_unary, channel.unary_stream):
            with pytest.raises(grpc.RpcError) as caught:
                list(kind(path)(b"", timeout=SECONDS))
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_handler_that_breaks_tells_nobody_why(interop):
    with grpc.insecure_channel(interop.address) as channel:
        error = status_of(probe_grpc.ProbeStub(channel).Fail, probe.FailRequest())
        assert error.code() == grpc.StatusCode.UNKNOWN and "nobody" not in error.details()
        assert testing_grpc.TestServiceStub(channel).EmptyCall(testing.Empty(), timeout=SECONDS) == testing.Empty()


@pytest.mark.parametrize("count", [0, 2])
def test_one_message_is_what_a_single_request_has(interop, count):
    with grpc.insecure_channel(interop.address) as channel:
        for method in ("UnaryCall", "StreamingOutputCall"):
            with pytest.raises(grpc.RpcError) as caught:
                list(channel.stream_stream(unary_path(method))(iter([b""] * count), timeout=SECONDS))
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


# Compression


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(service, compression):
    request = testing.SimpleRequest(
        expect_compressed=testing.BoolValue(value=True), response_size=314_159, payload=zeros(271_828)
    )
    with pytest.raises(grpc.RpcError) as caught:
        service.UnaryCall(request, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(service.UnaryCall(request, compression=compression, timeout=SECONDS).payload.body) == 314_159
    streamed = testing.StreamingInputCallRequest(expect_compressed=testing.BoolValue(value=True), payload=zeros(27_182))
    with pytest.raises(grpc.RpcError) as caught:
        service.StreamingInputCall(iter([streamed]), timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    total = service.StreamingInputCall(iter([streamed] * 3), compression=compression, timeout=SECONDS)
    assert total.aggregated_payload_size == 3 * 27_182


def messages(body):
    """The flags and messages of a response's body."""
    found = []
    while body:
        length = int.from_bytes(body[1:5], "big")
        found.append((body[0], body[5 : 5 + length]))
        body = body[5 + length :]
    return found


UNPACK = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_responses(interop, encoding):
    request = testing.SimpleRequest(response_compressed=testing.BoolValue(value=True), response_size=314_159)
    body = framed(request.SerializeToString())
    call = RawCall(interop.port, body, path=unary_path("UnaryCall"), grpc_accept_encoding=f"identity, {encoding}")
    assert call.headers["grpc-encoding"] == encoding and call.status == 0
    [(flag, message)] = messages(call.body)
    assert flag == 1 and len(message) < 10_000
    assert testing.SimpleResponse.FromString(UNPACK[encoding](message)).payload == zeros(314_159)


@pytest.mark.parametrize("accepted", [None, "identity", "snappy", ""])
def test_no_encoding_is_used_that_the_client_did_not_list(interop, accepted):
    request = testing.SimpleRequest(response_compressed=testing.BoolValue(value=True), response_size=5000)
    body = framed(request.SerializeToString())
    call = RawCall(interop.port, body, path=unary_path("UnaryCall"), grpc_accept_encoding=accepted)
    assert call.status == 0 and call.headers.get("grpc-encoding", "identity") == "identity"
    [(flag, message)] = messages(call.body)
    assert flag == 0 and testing.SimpleResponse.FromString(message).payload == zeros(5000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_each_streamed_response_is_compressed_or_not_as_its_handler_says(interop, encoding):
    parameters = [
        testing.ResponseParameters(size=31_415, compressed=testing.BoolValue(value=True)),
        testing.ResponseParameters(size=926, compressed=testing.BoolValue(value=False)),
        testing.ResponseParameters(size=5000, compressed=testing.BoolValue(value=True)),
    ]
    body = framed(testing.StreamingOutputCallRequest(response_parameters=parameters).SerializeToString())
    call = RawCall(interop.port, body, path=unary_path("StreamingOutputCall"), grpc_accept_encoding=encoding)
    assert call.headers["grpc-encoding"] == encoding and call.status == 0
    received = messages(call.body)
    assert [flag for flag, _ in received] == [1, 0, 1]
    plain = [UNPACK[encoding](message) if flag else message for flag, message in received]
    responses = [testing.StreamingOutputCallResponse.FromString(message) for message in plain]
    assert sizes(responses) == [31_415, 926, 5000]


def test_stock_clients_read_compressed_responses(service):
    """grpcio lists gzip and deflate unasked."""
    yes, no = testing.BoolValue(value=True), testing.BoolValue(value=False)
    for wanted in (yes, no):
        request = testing.SimpleRequest(response_compressed=wanted, response_size=314_159, payload=zeros(271_828))
        assert service.UnaryCall(request, timeout=SECONDS).payload == zeros(314_159)
    parameters = [
        testing.ResponseParameters(size=size, compressed=wanted) for size, wanted in [(31_415, yes), (92_653, no)]
    ]
    request = testing.StreamingOutputCallRequest(response_parameters=parameters)
    assert sizes(service.StreamingOutputCall(request, timeout=SECONDS)) == [31_415, 92_653]


def raw_unary(interop, message, flag=1, encoding="gzip", method="UnaryCall"):
    return RawCall(interop.port, framed(message, flag), path=unary_path(method), grpc_encoding=encoding)


@pytest.mark.parametrize("method", ["UnaryCall", "StreamingOutputCall", "StreamingInputCall", "FullDuplexCall"])
def test_broken_compression_is_refused(interop, method):
    packed = gzip.compress(testing.SimpleRequest(response_size=1).SerializeToString())
    for broken in (b"", packed[:-1], packed + b"x", b"x" + packed, packed[:12] + b"\xff" + packed[13:]):
        assert raw_unary(interop, broken, method=method).status == 13
    assert raw_unary(interop, packed, encoding="identity", method=method).status == 13
    assert raw_unary(interop, packed, encoding=None, method=method).status == 13
    assert raw_unary(interop, packed, flag=2, method=method).status == 13
    assert raw_unary(interop, packed, encoding="deflate", method=method).status == 13
    unknown = raw_unary(interop, packed, encoding="snappy", method=method)
    assert unknown.status == 12 and unknown.headers["grpc-accept-encoding"] == "identity,gzip,deflate,zstd"


@pytest.mark.parametrize("method", ["UnaryCall", "StreamingInputCall"])
def test_a_bomb_is_refused(interop, method):
    for size, status in [(4 << 20, 13), ((4 << 20) + 1, 8), (12 << 20, 8)]:
        # As many bytes as the limit allows are taken, if not for a valid message; one more is too much.
        assert raw_unary(interop, gzip.compress(b"\xff" * size), method=method).status == status


def test_an_uncompressed_message_may_come_under_any_encoding(interop):
    plain = testing.SimpleRequest(response_size=3).SerializeToString()
    call = raw_unary(interop, plain, flag=0, encoding="deflate")
    assert call.status == 0 and len(testing.SimpleResponse.FromString(call.body[5:]).payload.body) == 3


# The end of calls


def observe(channel):
    return probe_grpc.ProbeStub(channel).Observe(probe.ObserveRequest(), timeout=SECONDS)


def wait_until(channel, condition):
    """What the handlers did, once it meets the condition."""
    until = time.monotonic() + SECONDS
    while True:
        seen = observe(channel)
        if condition(seen):
            return seen
        assert time.monotonic() < until, f"the handlers never got there: {seen}"
        time.sleep(0.02)


def test_cancellation_reaches_the_handler(observed):
    with grpc.insecure_channel(observed.address) as channel:
        calls = [probe_grpc.ProbeStub(channel).Wait(probe.WaitRequest()) for _ in range(20)]
        calls += [testing_grpc.TestServiceStub(channel).StreamingInputCall.future(endless(channel)) for _ in range(5)]
        wait_until(channel, lambda seen: seen.started == 25)
        for call in calls:
            call.cancel()
        seen = wait_until(channel, lambda seen: seen.cancelled == 25)
        assert (seen.returned, seen.failed) == (0, 0)


def endless(channel):
    """Requests that never end while the channel is open."""
    while True:
        yield testing.StreamingInputCallRequest(payload=zeros(10))
        time.sleep(0.5)


def test_a_lost_connection_reaches_its_handlers(observed):
    with grpc.insecure_channel(observed.address) as channel, socket.create_connection(("127.0.0.1", observed.port)) as peer:
        connection = h2.connection.H2Connection(h2.config.H2Configuration())
        connection.initiate_connection()
        for stream, path in [(1, "/fletch.testing.Probe/Wait"), (3, unary_path("FullDuplexCall"))]:
            connection.send_headers(
                stream,
                [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path), ("content-type", "application/grpc")],
            )
            connection.send_data(stream, framed(b""), end_stream=stream == 1)
        peer.sendall(connection.data_to_send())
        wait_until(channel, lambda seen: seen.started == 2)
        peer.close()
        assert wait_until(channel, lambda seen: seen.cancelled == 2).failed == 0


def test_a_deadline_reaches_caller_and_handler(observed):
    with grpc.insecure_channel(observed.address) as channel:
        service = testing_grpc.TestServiceStub(channel)
        for call in (
            lambda: probe_grpc.ProbeStub(channel).Wait(probe.WaitRequest(), timeout=0.3),
            lambda: service.FullDuplexCall(endless_output(), timeout=0.3),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                list(call())
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(channel, lambda seen: seen.cancelled == 2)


def endless_output():
    while True:
        yield testing.StreamingOutputCallRequest(payload=zeros(10))
        time.sleep(0.1)


@pytest.mark.parametrize("method", ["Wait", "Produce"])
def test_the_server_ends_a_call_at_its_deadline_itself(observed, method):
    """A caller that does not watch the time: raw frames."""
    body = framed(probe.ProduceRequest(count=1 << 30, size=1000).SerializeToString())
    call = RawCall(observed.port, body, path=f"/fletch.testing.Probe/{method}", grpc_timeout="200m")
    assert call.status == 4 or call.reset == 8


def test_drain_waits_for_streams(observed):
    async def play():
        async with grpc.aio.insecure_channel(observed.address) as channel:
            call = testing_grpc.TestServiceStub(channel).FullDuplexCall(timeout=SECONDS)
            await call.write(output_request(10))
            assert len((await call.read()).payload.body) == 10
            observed.process.terminate()
            await asyncio.sleep(0.3)
            await call.write(output_request(20))
            assert len((await call.read()).payload.body) == 20
            await call.done_writing()
            assert await call.code() == grpc.StatusCode.OK
        assert await asyncio.to_thread(observed.process.wait, SECONDS) == 0

    asyncio.run(play())


# Many and much


def test_a_thousand_streams_at_once(observed):
    async def play():
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(observed.address, options) for _ in range(20)]
        services = [testing_grpc.TestServiceStub(channel) for channel in channels]
        calls = [services[number % len(services)].FullDuplexCall(timeout=3 * SECONDS) for number in range(1000)]

        async def exchange(number, size):
            await calls[number].write(output_request(size))
            assert len((await calls[number].read()).payload.body) == size

        for turn in range(3):
            await asyncio.gather(*(exchange(number, number + turn) for number in range(1000)))
        seen = await probe_grpc.ProbeStub(channels[0]).Observe(probe.ObserveRequest(), timeout=SECONDS)
        assert (seen.started, seen.returned, seen.written) == (1000, 0, 3000)
        for call in calls:
            await call.done_writing()
        assert {await call.code() for call in calls} == {grpc.StatusCode.OK}
        for channel in channels:
            await channel.close()

    asyncio.run(play())
    with grpc.insecure_channel(observed.address) as channel:
        wait_until(channel, lambda seen: seen.returned == 1000)


async def settled(observe):
    """What the handlers did, once they do nothing for a while."""
    seen = await observe()
    quiet = 0
    while quiet < 10:
        await asyncio.sleep(0.1)
        now = await observe()
        quiet = quiet + 1 if (now.written, now.read) == (seen.written, seen.read) else 0
        seen = now
    return seen


def test_a_reader_that_stops_stops_the_writer(observed):
    count, size = 2000, 64 << 10

    async def play():
        options = [("grpc.http2.bdp_probe", 0)]
        async with grpc.aio.insecure_channel(observed.address, options) as channel:
            stub = probe_grpc.ProbeStub(channel)
            observe = lambda: stub.Observe(probe.ObserveRequest(), timeout=SECONDS)
            before = (await observe()).resident_bytes
            call = stub.Produce(probe.ProduceRequest(count=count, size=size), timeout=3 * SECONDS)
            assert (await call.read()).number == 0
            stopped = await settled(observe)
            assert stopped.written < 100, "the handler wrote on though nobody reads"
            assert stopped.resident_bytes - before < 32 << 20
            for number in range(1, count):
                assert (await call.read()).number == number
            assert await call.read() is grpc.aio.EOF
            assert await call.code() == grpc.StatusCode.OK
            assert (await observe()).resident_bytes - before < 64 << 20

    asyncio.run(play())


def test_a_handler_that_does_not_read_stops_the_client(observed):
    count, size = 2000, 64 << 10

    async def play():
        async with grpc.aio.insecure_channel(observed.address) as channel:
            stub = probe_grpc.ProbeStub(channel)
            observe = lambda: stub.Observe(probe.ObserveRequest(), timeout=SECONDS)
            before = (await observe()).resident_bytes
            call = stub.Consume(timeout=3 * SECONDS)
            sent = 0

            async def send():
                nonlocal sent
                for number in range(count):
                    await call.write(probe.Block(number=number, body=bytes(size)))
                    sent += 1
                await call.done_writing()

            sending = asyncio.create_task(send())
            await settled(observe)
            assert 0 < sent < count // 4, "the client could send on though nobody reads"
            assert (await observe()).resident_bytes - before < 32 << 20
            while (await stub.Resume(probe.ResumeRequest(), timeout=SECONDS)).count == 0:
                await asyncio.sleep(0.02)
            await sending
            assert (await call) == probe.ConsumeResponse(count=count, bytes=count * size)
            assert (await observe()).resident_bytes - before < 64 << 20

    asyncio.run(play())


def test_a_stopped_reader_holds_no_other_call(observed):
    with grpc.insecure_channel(observed.address) as channel:
        stuck = [probe_grpc.ProbeStub(channel).Produce(probe.ProduceRequest(count=1 << 30, size=100_000)) for _ in range(8)]
        for call in stuck:
            next(call)
        for _ in range(50):
            testing_grpc.TestServiceStub(channel).EmptyCall(testing.Empty(), timeout=SECONDS)
        for call in stuck:
            call.cancel()
        wait_until(channel, lambda seen: seen.cancelled == 8)


# Who calls


def who_am_i(channel):
    return probe_grpc.ProbeStub(channel).WhoAmI(probe.WhoAmIRequest(), timeout=SECONDS)


def test_handlers_see_the_address_of_the_caller(interop):
    with grpc.insecure_channel(interop.address) as channel:
        caller = who_am_i(channel)
    assert caller.address.startswith("127.0.0.1:") and not caller.subject and not caller.dns_names


def test_handlers_see_the_identity_in_the_clients_certificate(tmp_path):
    authority = Authority(tmp_path)
    authority.sign("server")
    authority.sign("client", "/O=Shop/CN=checkout", "DNS:checkout.shop.example,URI:spiffe://shop.example/checkout")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(authority.read("server.pem") + authority.read("server.key"))
    options = ["--tls", chain, "--tls-client-ca", authority.path("ca.pem")]
    credentials = grpc.ssl_channel_credentials(
        authority.read("ca.pem"), authority.read("client.key"), authority.read("client.pem")
    )
    with harness.InteropServer(tmp_path, *options) as server, grpc.secure_channel(server.address, credentials) as channel:
        caller = who_am_i(channel)
    assert caller.subject == "CN=checkout,O=Shop"
    assert list(caller.dns_names) == ["checkout.shop.example"]
    assert list(caller.uris) == ["spiffe://shop.example/checkout"]
