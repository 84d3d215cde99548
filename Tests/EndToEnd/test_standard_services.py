"""The services that gRPC's tools expect of every server, asked by those tools."""

import json
import signal
import subprocess
import time

import google.protobuf.any_pb2
import google.protobuf.duration_pb2
import google.protobuf.empty_pb2
import google.protobuf.field_mask_pb2
import google.protobuf.source_context_pb2
import google.protobuf.struct_pb2
import google.protobuf.timestamp_pb2
import google.protobuf.wrappers_pb2
import google.rpc.error_details_pb2
import google.rpc.status_pb2
import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import proto_reflection_descriptor_database, reflection_pb2

import harness
from certificates import Authority
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs

Status = health_pb2.HealthCheckResponse
VERSIONS = ["v1", "v1alpha"]
SERVICES = [
    "fletch.v1.RelatedProducts",
    "grpc.channelz.v1.Channelz",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


@pytest.fixture(scope="module")
def open_server(store):
    """A server with all its services."""
    with harness.Server(store, "--channelz", name_of_log="open.log") as running:
        yield running


@pytest.fixture
def channel(open_server):
    with grpc.insecure_channel(open_server.address) as channel:
        yield channel


# Health


def watch(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Watch(request, timeout=60)


def test_health_lists_the_server_its_services_and_tables(channel):
    statuses = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=10).statuses
    assert {name: answer.status for name, answer in statuses.items()} == {
        "": Status.SERVING, "fletch.v1.RelatedProducts": Status.SERVING, "table:related": Status.SERVING,
    }  # fmt: skip


def test_health_is_watched_from_the_start_and_through_changes(embeddings, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    with harness.Server(store) as server, grpc.insecure_channel(server.address) as channel:
        table, service, unknown = (watch(channel, name) for name in ("table:related", "fletch.v1.RelatedProducts", "x"))
        assert next(table).status == Status.NOT_SERVING
        assert next(service).status == Status.NOT_SERVING
        assert next(unknown).status == Status.SERVICE_UNKNOWN
        harness.fletch("publish", "--related", embeddings, "--store", store)
        assert next(table).status == Status.SERVING
        assert next(service).status == Status.SERVING

        server.process.send_signal(signal.SIGTERM)
        assert next(table).status == Status.NOT_SERVING
        for call in (table, service, unknown):
            with pytest.raises(grpc.RpcError) as end:
                while True:
                    assert next(call).status in (Status.NOT_SERVING, Status.SERVICE_UNKNOWN)
            assert end.value.code() == grpc.StatusCode.UNAVAILABLE
        channel.close()
        assert server.process.wait(20) == 0


def test_health_is_watched_through_the_lame_duck_delay(store):
    with harness.Server(store, "--lame-duck", 5, name_of_log="watched.log") as server:
        with grpc.insecure_channel(server.address) as channel:
            early = watch(channel, "")
            assert next(early).status == Status.SERVING
            server.process.send_signal(signal.SIGTERM)
            assert next(early).status == Status.NOT_SERVING
            late = watch(channel, "")
            assert next(late).status == Status.NOT_SERVING
            # Both stay, and end when the drain begins.
            assert early.is_active() and late.is_active()
            for call in (early, late):
                with pytest.raises(grpc.RpcError) as end:
                    next(call)
                assert end.value.code() == grpc.StatusCode.UNAVAILABLE
        assert server.process.wait(20) == 0


def test_a_watch_that_is_cancelled_leaves_nothing_behind(store):
    with harness.Server(store, name_of_log="cancelled.log") as server:
        with grpc.insecure_channel(server.address) as channel:
            calls = [watch(channel, "") for _ in range(20)]
            for call in calls:
                assert next(call).status == Status.SERVING
            for call in calls:
                call.cancel()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        log = server.log_path.read_text()
        assert "calls_cancelled=20" in log and "cut_off" not in log


# Reflection


def reflect(channel, version, *requests):
    """The answers to a stream of requests. The messages of both versions are the same on the wire."""
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [reflection_pb2.ServerReflectionRequest(host="here", **request) for request in requests]
    answers = list(call(iter(requests), timeout=20))
    assert [answer.original_request for answer in answers] == requests
    assert {answer.valid_host for answer in answers} == {"here"}
    return answers


def files_of(answer):
    return [descriptor_pb2.FileDescriptorProto.FromString(file) for file in answer.file_descriptor_response.file_descriptor_proto]


@pytest.mark.parametrize("version", VERSIONS)
def test_reflection_lists_services(channel, version):
    (answer,) = reflect(channel, version, {"list_services": "*"})
    assert [service.name for service in answer.list_services_response.service] == SERVICES


@pytest.mark.parametrize("version", VERSIONS)
def test_reflection_finds_files_by_name_and_symbol_each_import_once(channel, version):
    answers = reflect(
        channel, version, {"file_by_filename": "grpc/channelz/v1/channelz.proto"},
        {"file_containing_symbol": "grpc.channelz.v1.Channelz.GetServers"},
        {"file_containing_symbol": "grpc.channelz.v1.Address.TcpIpAddress"},
        {"file_containing_symbol": "google.protobuf.Any"},
    )  # fmt: skip
    first, *others = [[file.name for file in files_of(answer)] for answer in answers]
    assert first[0] == "grpc/channelz/v1/channelz.proto"
    assert sorted(first[1:]) == [f"google/protobuf/{name}.proto" for name in ("any", "duration", "timestamp", "wrappers")]
    assert others == [first[:1], first[:1], ["google/protobuf/any.proto"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_reflection_answers_what_it_does_not_have_and_goes_on(channel, version):
    extension = reflection_pb2.ExtensionRequest(containing_type="fletch.v1.RelatedRequest", extension_number=100)
    answers = reflect(
        channel, version, {"file_by_filename": "x.proto"}, {"file_containing_symbol": "fletch.v1"},
        {"file_containing_extension": extension}, {"all_extension_numbers_of_type": "x.Y"}, {},
        {"all_extension_numbers_of_type": "fletch.v1.RelatedRequest"},
    )  # fmt: skip
    errors = [answer.error_response for answer in answers]
    assert [error.error_code for error in errors] == [5, 5, 5, 5, 3, 0]
    assert errors[0].error_message == "the server knows no file 'x.proto'"
    known = answers[-1].all_extension_numbers_response
    assert (known.base_type_name, list(known.extension_number)) == ("fletch.v1.RelatedRequest", [])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Our schemas as protoc describes them, by file name."""
    path = tmp_path_factory.mktemp("schemas") / "set.binpb"
    root = harness.ROOT / "proto"
    protos = sorted(str(proto.relative_to(root)) for proto in root.rglob("*.proto"))
    subprocess.run(["protoc", f"-I{root}", f"--descriptor_set_out={path}", *protos], check=True)
    return {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file}


def test_reflection_gives_the_files_as_protoc_has_them(channel, compiled):
    reached = set()
    for service in SERVICES:
        (answer,) = reflect(channel, "v1", {"file_containing_symbol": service})
        for served, encoded in zip(files_of(answer), answer.file_descriptor_response.file_descriptor_proto):
            assert served == compiled[served.name]
            assert encoded == compiled[served.name].SerializeToString()
            reached.add(served.name)
    assert len(reached) == 9


def test_a_client_without_schemas_calls_what_reflection_tells_it(channel, table):
    database = proto_reflection_descriptor_database.ProtoReflectionDescriptorDatabase(channel)
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("fletch.v1.RelatedProducts").FindMethodByName("Related")
    request, response = (message_factory.GetMessageClass(type) for type in (method.input_type, method.output_type))
    call = channel.unary_unary(
        "/fletch.v1.RelatedProducts/Related", request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )  # fmt: skip
    answer = call(request(product_id="gimp", limit=3), timeout=10)
    harness.same_answer([(item.product_id, item.score) for item in answer.items], table.related_to("gimp", limit=3))


def grpcurl(*arguments):
    result = subprocess.run(
        [harness.grpcurl_path(), "-plaintext", *arguments], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_grpcurl_lists_describes_and_calls_without_schemas(open_server, table):
    address = open_server.address
    assert grpcurl(address, "list").split() == SERVICES
    assert grpcurl(address, "list", "grpc.health.v1.Health").split() == [
        f"grpc.health.v1.Health.{method}" for method in ("Check", "List", "Watch")
    ]
    assert "rpc Watch ( .grpc.health.v1.HealthCheckRequest ) returns ( stream" in grpcurl(
        address, "describe", "grpc.health.v1.Health")  # fmt: skip
    assert "oneof address {" in grpcurl(address, "describe", "grpc.channelz.v1.Address")
    answer = json.loads(grpcurl(
        "-d", '{"product_id": "gimp", "limit": 3}', address, "fletch.v1.RelatedProducts/Related"))  # fmt: skip
    items = [(item["productId"], item["score"]) for item in answer["items"]]
    harness.same_answer(items, table.related_to("gimp", limit=3))


def test_reflection_and_channelz_are_there_only_where_they_are_wanted(store):
    with harness.Server(store, "--no-reflection", name_of_log="closed.log") as server:
        with grpc.insecure_channel(server.address) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                reflect(channel, "v1", {"list_services": ""})
            assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
            with pytest.raises(grpc.RpcError) as refused:
                channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest(), timeout=10)
            assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


# Channelz


def test_channelz_counts_what_a_connection_did(channel):
    channelz = channelz_pb2_grpc.ChannelzStub(channel)
    related = stubs.RelatedProductsStub(channel)

    def server():
        (server,) = channelz.GetServers(channelz_pb2.GetServersRequest(), timeout=10).server
        assert channelz.GetServer(channelz_pb2.GetServerRequest(server_id=server.ref.server_id), timeout=10).server.ref == server.ref
        return server

    before = server()
    for _ in range(10):
        related.Related(messages.RelatedRequest(product_id="gimp"), timeout=10)
    with pytest.raises(grpc.RpcError):
        related.Related(messages.RelatedRequest(product_id="no such product"), timeout=10)
    after = server()
    # Between the two looks: both GetServer calls of the first, the calls above, and the second's GetServers.
    assert after.data.calls_succeeded - before.data.calls_succeeded == 2 + 10
    assert after.data.calls_failed - before.data.calls_failed == 1
    assert after.data.last_call_started_timestamp.ToSeconds() >= before.data.last_call_started_timestamp.ToSeconds() > 0

    sockets = channelz.GetServerSockets(
        channelz_pb2.GetServerSocketsRequest(server_id=after.ref.server_id), timeout=10)  # fmt: skip
    assert sockets.end
    found = [
        channelz.GetSocket(channelz_pb2.GetSocketRequest(socket_id=reference.socket_id), timeout=10).socket
        for reference in sockets.socket_ref
    ]
    # The connection that these calls came by, among those of other tests that may not have closed yet.
    (own,) = [socket for socket in found if socket.data.streams_started >= 16]
    assert own.data.streams_failed == 0 and own.data.streams_started - own.data.streams_succeeded == 1
    assert own.data.messages_received >= 16 and own.data.messages_sent >= 14
    assert own.remote.tcpip_address.ip_address == bytes([127, 0, 0, 1]) and own.remote.tcpip_address.port > 0
    (listener,) = after.listen_socket
    assert listener.name.endswith(f":{own.local.tcpip_address.port}")


def test_channelz_tells_of_encryption_listeners_and_keepalive(store, tmp_path):
    authority = Authority(tmp_path)
    authority.sign("server")
    listen = (
        "--listen", f"unix:{tmp_path}/socket", "--listen-tls", "127.0.0.1:0",
        "--tls-cert", authority.path("server.pem"), "--tls-key", authority.path("server.key"),
    )  # fmt: skip
    with harness.Server(store, "--channelz", "--keepalive-time", 1, "--loops", 1, listen=listen) as server:
        plain = grpc.insecure_channel(server.addresses[0])
        secure = grpc.secure_channel(server.addresses[1], grpc.ssl_channel_credentials(authority.read("ca.pem")))
        with plain, secure:
            channelz = channelz_pb2_grpc.ChannelzStub(plain)
            (found,) = channelz.GetServers(channelz_pb2.GetServersRequest(), timeout=10).server
            assert [socket.name for socket in found.listen_socket] == server.addresses
            listener = channelz_pb2.GetSocketRequest(socket_id=found.listen_socket[0].socket_id)
            assert channelz.GetSocket(listener, timeout=10).socket.local.uds_address.filename == f"{tmp_path}/socket"

            health_pb2_grpc.HealthStub(secure).Check(health_pb2.HealthCheckRequest(), timeout=10)

            def sockets():
                page = channelz.GetServerSockets(channelz_pb2.GetServerSocketsRequest(server_id=1), timeout=10)
                requests = [channelz_pb2.GetSocketRequest(socket_id=entry.socket_id) for entry in page.socket_ref]
                return [channelz.GetSocket(request, timeout=10).socket for request in requests]

            unix, encrypted = sockets()
            assert not unix.HasField("security") and unix.remote.HasField("uds_address")
            assert encrypted.security.tls.standard_name.startswith("TLS_")
            assert encrypted.remote.tcpip_address.ip_address == bytes([127, 0, 0, 1])
            # The encrypted one has nothing to say and is asked whether it is there.
            until = time.monotonic() + 20
            while sockets()[1].data.keep_alives_sent == 0:
                assert time.monotonic() < until, "no keepalive PING"
                time.sleep(0.2)


def test_channelz_has_no_channels_and_says_what_it_does_not_find(channel):
    channelz = channelz_pb2_grpc.ChannelzStub(channel)
    assert channelz.GetTopChannels(channelz_pb2.GetTopChannelsRequest(), timeout=10).end
    for call, request in [
        (channelz.GetServer, channelz_pb2.GetServerRequest(server_id=7)),
        (channelz.GetServerSockets, channelz_pb2.GetServerSocketsRequest(server_id=7)),
        (channelz.GetSocket, channelz_pb2.GetSocketRequest(socket_id=1 << 40)),
        (channelz.GetChannel, channelz_pb2.GetChannelRequest(channel_id=1)),
        (channelz.GetSubchannel, channelz_pb2.GetSubchannelRequest(subchannel_id=1)),
    ]:
        with pytest.raises(grpc.RpcError) as missing:
            call(request, timeout=10)
        assert missing.value.code() == grpc.StatusCode.NOT_FOUND


# Schemas


def meaning(file):
    """A file without what does not change a message on the wire."""
    file = descriptor_pb2.FileDescriptorProto.FromString(file.SerializeToString())
    for field in ("name", "options", "dependency"):
        file.ClearField(field)

    def sort(parts):
        parts.sort(key=lambda part: part.name)

    def clear(message):
        message.ClearField("reserved_range")
        for field in message.field:
            field.ClearField("json_name")
        for nested in message.nested_type:
            clear(nested)
        sort(message.field), sort(message.nested_type), sort(message.enum_type)

    for message in file.message_type:
        clear(message)
    for service in file.service:
        sort(service.method)
    sort(file.message_type)
    return file


@pytest.mark.parametrize(
    "name, official",
    [
        # Not api.proto and type.proto: those of later releases have fields for editions.
        ("google/protobuf/any.proto", google.protobuf.any_pb2),
        ("google/protobuf/duration.proto", google.protobuf.duration_pb2),
        ("google/protobuf/empty.proto", google.protobuf.empty_pb2),
        ("google/protobuf/field_mask.proto", google.protobuf.field_mask_pb2),
        ("google/protobuf/source_context.proto", google.protobuf.source_context_pb2),
        ("google/protobuf/struct.proto", google.protobuf.struct_pb2),
        ("google/protobuf/timestamp.proto", google.protobuf.timestamp_pb2),
        ("google/protobuf/wrappers.proto", google.protobuf.wrappers_pb2),
        ("google/rpc/error_details.proto", google.rpc.error_details_pb2),
        ("google/rpc/status.proto", google.rpc.status_pb2),
        ("grpc/channelz/v1/channelz.proto", channelz_pb2),
        ("grpc/health/v1/health.proto", health_pb2),
        ("grpc/reflection/v1alpha/reflection.proto", reflection_pb2),
    ],
)
def test_our_schemas_of_others_are_the_official_ones(compiled, name, official):
    published = descriptor_pb2.FileDescriptorProto()
    official.DESCRIPTOR.CopyToProto(published)
    assert meaning(compiled[name]) == meaning(published)


def test_both_versions_of_reflection_are_the_same_but_for_their_name(compiled):
    v1, alpha = (meaning(compiled[f"grpc/reflection/{version}/reflection.proto"]) for version in VERSIONS)
    assert alpha.package == "grpc.reflection.v1alpha" and str(v1) == str(alpha).replace("v1alpha", "v1")
