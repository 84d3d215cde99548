"""gRPC as stock clients and raw frames see it."""

import gzip
import socket
import time

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import harness
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs

RELATED = "/fletch.v1.RelatedProducts/Related"


def framed(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


GIMP = framed(messages.RelatedRequest(product_id="gimp").SerializeToString())


class RawCall:
    """One call made of raw HTTP/2: the response's headers, body and trailers, or the code that reset it."""

    def __init__(self, port, body=GIMP, end=True, **replaced):
        headers = {
            ":method": "POST", ":scheme": "http", ":authority": "test", ":path": RELATED,
            "content-type": "application/grpc", "te": "trailers",
        }  # fmt: skip
        for name, value in replaced.items():
            name = {"method": ":method", "path": ":path"}.get(name, name.replace("_", "-"))
            headers[name] = value
        headers = [(name, value) for name, value in headers.items() if value is not None]
        self.headers, self.trailers, self.body, self.reset = {}, {}, b"", None
        with socket.create_connection(("127.0.0.1", port), 5) as peer:
            connection = h2.connection.H2Connection(
                h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
            )
            connection.initiate_connection()
            connection.send_headers(1, headers, end_stream=end and not body)
            if body:
                connection.send_data(1, body, end_stream=end)
            peer.sendall(connection.data_to_send())
            self._read(connection, peer)

    def _read(self, connection, peer):
        while True:
            data = peer.recv(65536)
            if not data:
                return
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self.headers = {k.decode(): v.decode() for k, v in event.headers}
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers = {k.decode(): v.decode() for k, v in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    self.body += event.data
                elif isinstance(event, h2.events.StreamReset):
                    self.reset = event.error_code
                    return
                elif isinstance(event, (h2.events.StreamEnded, h2.events.ConnectionTerminated)):
                    return

    @property
    def status(self) -> int:
        """grpc-status, from the trailers or from a trailers-only response."""
        return int(self.trailers.get("grpc-status", self.headers.get("grpc-status", -1)))


def test_a_plain_call_has_headers_one_message_and_trailers(server):
    call = RawCall(server.port)
    assert call.headers[":status"] == "200" and call.headers["content-type"].startswith("application/grpc")
    assert "grpc-status" not in call.headers and call.trailers["grpc-status"] == "0"
    assert call.body[0] == 0 and int.from_bytes(call.body[1:5], "big") == len(call.body) - 5


def test_proto_content_types_are_taken_and_te_is_not_demanded(server):
    assert RawCall(server.port, content_type="application/grpc+proto").status == 0
    assert RawCall(server.port, te=None).status == 0


@pytest.mark.parametrize("content_type", [None, "application/json", "text/html"])
def test_other_content_types_are_answered_with_http_415(server, content_type):
    assert RawCall(server.port, content_type=content_type).headers[":status"] == "415"


def test_get_is_answered_with_http_405(server):
    call = RawCall(server.port, method="GET", body=b"")
    assert call.headers[":status"] == "405" and call.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/fletch.v1.RelatedProducts/Nothing", "/no.Service/Related", "/fletch.v1.RelatedProducts//Related", "/"])
def test_an_unknown_method_is_unimplemented(server, path):
    assert RawCall(server.port, path=path).status == 12


def test_an_unknown_codec_is_unimplemented(server):
    assert RawCall(server.port, content_type="application/grpc+thrift").status == 12


@pytest.mark.parametrize("timeout", ["", "1", "123456789S", "1x", "-1S", "1.5S"])
def test_a_malformed_timeout_is_http_400_internal(server, timeout):
    call = RawCall(server.port, grpc_timeout=timeout)
    assert (call.headers[":status"], call.status) == ("400", 13)


def test_a_timeout_of_zero_has_passed(server):
    assert RawCall(server.port, grpc_timeout="0S").status == 4


def test_a_call_whose_body_never_ends_meets_its_deadline(server):
    assert RawCall(server.port, end=False, grpc_timeout="100m").status == 4


def test_malformed_binary_metadata_is_http_400_internal(server):
    call = RawCall(server.port, **{"trace_bin": "!!!"})
    assert (call.headers[":status"], call.status) == ("400", 13)
    assert RawCall(server.port, **{"trace_bin": "AAE"}).status == 0
    assert RawCall(server.port, **{"trace_bin": "AAE=,AAEC"}).status == 0


def test_an_unknown_compression_is_unimplemented_and_names_what_is_known(server):
    call = RawCall(server.port, grpc_encoding="snappy", body=framed(b"x", flag=1))
    assert call.status == 12 and call.headers["grpc-accept-encoding"] == "identity,gzip,deflate,zstd"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_answered(server, table, compression):
    with grpc.insecure_channel(server.address, compression=compression) as channel:
        answer = stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id="gimp", limit=3), timeout=10)
        harness.same_answer([(item.product_id, item.score) for item in answer.items], table.related_to("gimp", limit=3))


def test_responses_are_compressed_where_the_server_is_told_to_and_the_caller_takes_it(store, table):
    request = framed(messages.RelatedRequest(product_id="gimp", limit=100).SerializeToString())
    with harness.Server(store, "--compress", "deflate,gzip:500", name_of_log="compress.log") as server:
        packed = RawCall(server.port, request, grpc_accept_encoding="identity,gzip")
        assert packed.headers["grpc-encoding"] == "gzip" and packed.body[0] == 1 and packed.status == 0
        answer = messages.RelatedResponse.FromString(gzip.decompress(packed.body[5:]))
        harness.same_answer([(item.product_id, item.score) for item in answer.items], table.related_to("gimp", limit=100))
        assert len(packed.body) < len(RawCall(server.port, request).body)
        small = framed(messages.RelatedRequest(product_id="gimp", limit=1).SerializeToString())
        assert RawCall(server.port, small, grpc_accept_encoding="gzip").body[0] == 0
    with harness.Server(store, name_of_log="plain.log") as server:
        assert RawCall(server.port, request, grpc_accept_encoding="gzip").body[0] == 0


@pytest.mark.parametrize(
    "body, status",
    [
        (framed(b"\x0a\x04gimp", flag=1), 13),
        (framed(b"\x0a\x04gimp", flag=2), 13),
        (framed(b"\x0a\x04gi"), 13),
        (framed(b"\x0a\x04\xff\xfe\xfd\xfc"), 13),
        (GIMP[:-1], 13),
        (GIMP[:3], 13),
        (b"", 12),
        (GIMP + GIMP, 12),
        (b"\x00\x7f\xff\xff\xff", 8),
    ],
)
def test_a_broken_body_is_refused(server, body, status):
    assert RawCall(server.port, body=body).status == status


def test_a_large_request_is_refused_before_it_is_read(server):
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id="x" * (5 << 20)), timeout=10)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 200, b"\xff" * 5000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xaa" * 300])
def test_garbage_costs_its_connection_and_nothing_else(server, garbage):
    with socket.create_connection(("127.0.0.1", server.port), 5) as peer:
        peer.settimeout(5)
        peer.sendall(garbage)
        try:
            while peer.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert RawCall(server.port).status == 0


def test_health(server):
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ["", "fletch.v1.RelatedProducts"]:
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="no.Service"), timeout=5)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_many_calls_at_once_on_one_connection(server, table):
    products = table.ids[:2000]
    with grpc.insecure_channel(server.address) as channel:
        stub = stubs.RelatedProductsStub(channel)
        calls = [stub.Related.future(messages.RelatedRequest(product_id=name, limit=3), timeout=30) for name in products]
        for name, call in zip(products, calls):
            harness.same_answer([(item.product_id, item.score) for item in call.result().items], table.related_to(name, limit=3))


def test_an_idle_connection_costs_other_clients_nothing(server):
    idle = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(200)]
    started = time.monotonic()
    assert RawCall(server.port).status == 0
    assert time.monotonic() - started < 5
    for peer in idle:
        peer.close()
