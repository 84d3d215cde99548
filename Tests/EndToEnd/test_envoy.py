"""All kinds of calls through Envoy, as many deployments have it: plaintext and TLS to the server, and health checks."""

import shutil
import time

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import harness
from certificates import Authority
from envoy_proxy import Envoy, cluster
from fletch.v1 import related_products_pb2 as products
from fletch.v1 import related_products_pb2_grpc as product_stubs

TIMEOUT = 30


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.sign("server")
    both = authority.path("both.pem")
    both.write_bytes(authority.read("server.pem") + authority.read("server.key"))
    return authority


@pytest.fixture(scope="module", params=["plaintext", "tls"])
def channel(request, authority, tmp_path_factory):
    """A client's connection to Envoy, which has one to the server."""
    directory = tmp_path_factory.mktemp(request.param)
    arguments = ("--tls", authority.path("both.pem")) if request.param == "tls" else ()
    with harness.InteropServer(directory, *arguments) as server:
        upstream = cluster(server.port, ca=authority.path("ca.pem") if arguments else None)
        with Envoy(directory, upstream) as proxy, grpc.insecure_channel(proxy.address) as channel:
            yield channel


@pytest.fixture(scope="module")
def protos(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stubs")
    harness.generate_stubs(harness.ROOT / "Tests/Interop/Protos", directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory))
        import probe_pb2
        import probe_pb2_grpc
        import testing_pb2
        import testing_pb2_grpc

        yield testing_pb2, testing_pb2_grpc, probe_pb2, probe_pb2_grpc


def test_all_four_kinds_of_calls(channel, protos):
    messages, stubs, *_ = protos
    service = stubs.TestServiceStub(channel)
    request = messages.SimpleRequest(response_size=314_159, payload=messages.Payload(body=bytes(271_828)))
    assert len(service.UnaryCall(request, timeout=TIMEOUT).payload.body) == 314_159
    sizes = [31_415, 9, 2_653, 58_979, 0, 300_000]
    parameters = [messages.ResponseParameters(size=size) for size in sizes]
    answers = service.StreamingOutputCall(
        messages.StreamingOutputCallRequest(response_parameters=parameters), timeout=TIMEOUT
    )
    assert [len(answer.payload.body) for answer in answers] == sizes
    blocks = (messages.StreamingInputCallRequest(payload=messages.Payload(body=bytes(size))) for size in sizes)
    assert service.StreamingInputCall(blocks, timeout=TIMEOUT).aggregated_payload_size == sum(sizes)
    asked = (messages.StreamingOutputCallRequest(response_parameters=[parameter]) for parameter in parameters)
    assert [len(answer.payload.body) for answer in service.FullDuplexCall(asked, timeout=TIMEOUT)] == sizes


def test_errors_and_metadata_arrive_as_they_were_sent(channel, protos):
    messages, stubs, *_ = protos
    service = stubs.TestServiceStub(channel)
    metadata = [("x-grpc-test-echo-initial", "first"), ("x-grpc-test-echo-trailing-bin", b"\x00\xab")]
    _, call = service.UnaryCall.with_call(messages.SimpleRequest(), metadata=metadata, timeout=TIMEOUT)
    assert ("x-grpc-test-echo-initial", "first") in call.initial_metadata()
    assert ("x-grpc-test-echo-trailing-bin", b"\x00\xab") in call.trailing_metadata()
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    status = messages.EchoStatus(code=2, message=text)
    with pytest.raises(grpc.RpcError) as caught:
        service.UnaryCall(messages.SimpleRequest(response_status=status), timeout=TIMEOUT)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNKNOWN, text)
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/grpc.testing.TestService/NoSuchMethod")(b"", timeout=TIMEOUT)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_cancelled_and_a_late_call_end_their_handlers(channel, protos):
    _, _, messages, stubs = protos
    probe = stubs.ProbeStub(channel)

    def cancelled():
        return probe.Observe(messages.ObserveRequest(), timeout=TIMEOUT).cancelled

    def wait_for(count):
        until = time.monotonic() + TIMEOUT
        while cancelled() < count:
            assert time.monotonic() < until, "the handler goes on"
            time.sleep(0.05)

    before = cancelled()
    with pytest.raises(grpc.RpcError) as caught:
        next(probe.Wait(messages.WaitRequest(), timeout=0.5))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(before + 1)
    blocks = probe.Produce(messages.ProduceRequest(count=1_000_000, size=10_000))
    next(blocks)
    blocks.cancel()
    wait_for(before + 2)


def test_health_checks_follow_the_server(store, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    with harness.Server(copy, "--lame-duck", 20) as server:
        with Envoy(tmp_path, cluster(server.port, health_service="fletch.v1.RelatedProducts")) as proxy:
            proxy.wait_for(proxy.is_healthy, "healthy")
            with grpc.insecure_channel(proxy.address) as channel:
                service = product_stubs.RelatedProductsStub(channel)
                assert len(service.Related(products.RelatedRequest(product_id="gimp"), timeout=TIMEOUT).items) == 10
                with pytest.raises(grpc.RpcError) as caught:
                    service.Related(products.RelatedRequest(limit=1_000_000), timeout=TIMEOUT)
                details = rpc_status.from_call(caught.value).details
                assert any(detail.Is(error_details_pb2.BadRequest.DESCRIPTOR) for detail in details)
                server.process.terminate()
                proxy.wait_for(lambda: not proxy.is_healthy(), "told of the end")
                with pytest.raises(grpc.RpcError) as caught:
                    service.Related(products.RelatedRequest(product_id="gimp"), timeout=TIMEOUT)
                assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        server.process.terminate()
