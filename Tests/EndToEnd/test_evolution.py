"""Schemas that change: what identifies them, what may change, and what callers and tables of other versions meet."""

import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys

import grpc
import pytest
import xxhash
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import harness
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs
from fingerprint import fingerprint_of

BUF = pathlib.Path(sys.executable).parent / "buf"
DEBIAN_PROTOC = ["protoc"]
# Another version than Debian's.
PYTHON_PROTOC = [sys.executable, "-m", "grpc_tools.protoc"]


def tracked(pattern) -> list[pathlib.Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", pattern], cwd=harness.ROOT, capture_output=True, text=True, check=True)
    return [harness.ROOT / path for path in listed.stdout.split("\0") if path]


def generated_fingerprints() -> set[tuple[str, str]]:
    """What generated code of the repository says: names of files, with their fingerprints."""
    pattern = re.compile(r'static let file = FileDescriptor\(\s*name: "(.*?)",\s*fingerprint: "([0-9a-f]{16})"')
    return {found for path in tracked("*.fletch.swift") for found in pattern.findall(path.read_text())}


@pytest.mark.parametrize("protoc", [DEBIAN_PROTOC, PYTHON_PROTOC], ids=["debian", "python"])
def test_generated_code_has_the_fingerprint_of_the_definition(tmp_path, protoc):
    generated = generated_fingerprints()
    schemas = tracked("*.proto")
    roots = {
        (str(path).removesuffix(name), name) for name, _ in generated for path in schemas
        if str(path).endswith("/" + name)
    }  # fmt: skip
    expected = set()
    for root in {root for root, _ in roots}:
        names = [name for other, name in roots if other == root]
        expected |= set(fingerprint_of(root, names, tmp_path / "set.binpb", protoc).items())
    assert len(generated) > 20 and generated - expected == set()


# MARK: What the released schemas allow (make lint)

RELATED = "fletch/v1/related_products.proto"
MANIFEST = "fletch/tables/v1/manifest.proto"

BREAKING = {
    "renumber a field": (RELATED, "uint32 limit = 4;", "uint32 limit = 99;", "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "retype a field": (RELATED, "uint32 limit = 4;", "string limit = 4;", "FIELD_SAME_TYPE"),
    "retype a field alike on the wire": (RELATED, "uint32 limit = 4;", "uint64 limit = 4;", "FIELD_SAME_TYPE"),
    "rename a field": (RELATED, "float score = 2;", "float rank = 2;", "FIELD_SAME_NAME"),
    "repeat a field": (RELATED, "string product_id = 1;", "repeated string product_id = 1;", "FIELD_SAME_CARDINALITY"),
    "give a field presence": (RELATED, "uint32 limit = 4;", "optional uint32 limit = 4;", "FIELD_SAME_CARDINALITY"),
    "change a JSON name": (RELATED, "uint32 limit = 4;", 'uint32 limit = 4 [json_name = "n"];', "FIELD_SAME_JSON_NAME"),
    "put a field into a oneof": (
        RELATED, "uint32 limit = 4;", "oneof bound { uint32 limit = 4; }", "FIELD_SAME_ONEOF"),
    "remove a field": (MANIFEST, "string build_id = 6;", "", "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "reserve the number alone": (
        MANIFEST, "string build_id = 6;", "reserved 6;", "FIELD_NO_DELETE_UNLESS_NAME_RESERVED"),
    "remove an enum value": (
        RELATED, "RETRIEVAL_PATH_SCAN = 2;", "", "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "renumber an enum value": (
        RELATED, "RETRIEVAL_PATH_SCAN = 2;", "RETRIEVAL_PATH_SCAN = 99;", "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED"),
    "rename an enum value": (RELATED, "RETRIEVAL_PATH_SCAN", "RETRIEVAL_PATH_FULL", "ENUM_VALUE_SAME_NAME"),
    "stream responses": (RELATED, "returns (RelatedResponse)", "returns (stream RelatedResponse)",
                         "RPC_SAME_SERVER_STREAMING"),
    "stream requests": (RELATED, "Related(RelatedRequest)", "Related(stream RelatedRequest)",
                        "RPC_SAME_CLIENT_STREAMING"),
    "change a request's type": (RELATED, "Related(RelatedRequest)", "Related(RelatedBatchRequest)",
                                "RPC_SAME_REQUEST_TYPE"),
    "change a response's type": (RELATED, "returns (RelatedResponse)", "returns (RelatedBatchResponse)",
                                 "RPC_SAME_RESPONSE_TYPE"),
    "remove a method": (RELATED, "rpc Related(RelatedRequest) returns (RelatedResponse);", "", "RPC_NO_DELETE"),
    "rename a method": (RELATED, "rpc Related(", "rpc Similar(", "RPC_NO_DELETE"),
    "rename a service": (RELATED, "service RelatedProducts", "service SimilarProducts", "SERVICE_NO_DELETE"),
    "rename a message": (MANIFEST, "Metric ", "Measure ", "MESSAGE_NO_DELETE"),
    "rename a package": (RELATED, "package fletch.v1;", "package fletch.v2;", "FILE_SAME_PACKAGE"),
    "remove a file": (MANIFEST, None, None, "FILE_NO_DELETE"),
    "rename generated Swift": (RELATED, 'swift_prefix = ""', 'swift_prefix = "F"', "FILE_SAME_SWIFT_PREFIX"),
}

COMPATIBLE = {
    "nothing": (RELATED, "", ""),
    "add a field": (RELATED, "uint32 limit = 4;", "uint32 limit = 4; string reason = 99;"),
    "add a field with presence": (RELATED, "uint32 limit = 4;", "uint32 limit = 4; optional bool all = 99;"),
    "add a oneof": (RELATED, "uint32 limit = 4;", "uint32 limit = 4; oneof by { string a = 98; string b = 99; }"),
    "add a method": (
        RELATED, "service RelatedProducts {",
        "service RelatedProducts { rpc Explain(ExplainRequest) returns (ExplainResponse);"),
    "add an enum value": (RELATED, "RETRIEVAL_PATH_SCAN = 2;", "RETRIEVAL_PATH_SCAN = 2; RETRIEVAL_PATH_TREE = 99;"),
    "deprecate a field": (RELATED, "uint32 limit = 4;", "uint32 limit = 4 [deprecated = true];"),
    "remove a field and reserve it": (MANIFEST, "string build_id = 6;", 'reserved 6; reserved "build_id";'),
    "remove an enum value and reserve it": (
        RELATED, "RETRIEVAL_PATH_SCAN = 2;", 'reserved 2; reserved "RETRIEVAL_PATH_SCAN";'),
    "change comments": (RELATED, "// Best first", "// From the best"),
    "reorder": (
        MANIFEST, "string name = 1;\n  double value = 2;", "double value = 2;\n  string name = 1;"),
}


@pytest.fixture
def schemas(tmp_path) -> pathlib.Path:
    """A copy of proto/ to change."""
    return pathlib.Path(shutil.copytree(harness.ROOT / "proto", tmp_path / "proto"))


def change(schemas, path, old, new):
    if old is None:
        return (schemas / path).unlink()
    text = (schemas / path).read_text()
    assert old in text, f"{path} has no {old!r} to change"
    # A method that comes to be needs its messages.
    messages = "\nmessage ExplainRequest {}\nmessage ExplainResponse {}\n" if "ExplainRequest" in new else ""
    (schemas / path).write_text((text.replace(old, new) if old else text) + messages)


def breaking(schemas) -> str:
    """What `make lint` says of a change against proto/baseline.txtpb; nothing where it is compatible."""
    result = subprocess.run(
        [BUF, "breaking", "--against", "baseline.txtpb", "--error-format", "json"],
        cwd=schemas, capture_output=True, text=True)
    assert result.stderr == "" and (result.returncode != 0) == (result.stdout != ""), result.stderr
    return result.stdout


@pytest.mark.parametrize("name", BREAKING)
def test_breaking_changes_are_refused(schemas, name):
    path, old, new, rule = BREAKING[name]
    change(schemas, path, old, new)
    assert f'"type":"{rule}"' in breaking(schemas)


@pytest.mark.parametrize("name", COMPATIBLE)
def test_compatible_changes_are_accepted(schemas, name):
    change(schemas, *COMPATIBLE[name])
    assert breaking(schemas) == ""


def test_lint_compares_with_the_baseline():
    makefile = (harness.ROOT / "Makefile").read_text()
    lint = makefile[makefile.index("\nlint:") :].split("\n\n")[0]
    assert "buf breaking --against baseline.txtpb" in lint


# MARK: What responses say


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> dict[str, str]:
    """The fingerprints of the schemas in proto/."""
    names = [str(path.relative_to(harness.ROOT / "proto")) for path in (harness.ROOT / "proto").rglob("*.proto")]
    return fingerprint_of(harness.ROOT / "proto", names, tmp_path_factory.mktemp("set") / "set.binpb")


def schema_of(call) -> str:
    """What the metadata of a call says, wherever the library puts the fields of an answer that is an error alone."""
    (value,) = [value for name, value in [*call.initial_metadata(), *call.trailing_metadata()] if name == "fletch-schema"]
    return value


def error(call) -> grpc.Call:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


# The second is as little as a client can be told to take.
@pytest.mark.parametrize("options", [[], [("grpc.max_metadata_size", 256), ("grpc.absolute_max_metadata_size", 512)]])
def test_every_response_says_which_schema_answered(store, tmp_path, released, options):
    own_store = shutil.copytree(store, tmp_path / "store")
    with harness.Server(own_store, "--channelz") as server:
        with grpc.insecure_channel(server.address, options=options) as channel:
            related = stubs.RelatedProductsStub(channel)
            health = health_pb2_grpc.HealthStub(channel)
            watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=20)
            next(watch)
            reflection = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=20)
            assert len(list(reflection)) == 1
            channelz = channelz_pb2_grpc.ChannelzStub(channel).GetServers
            unknown_method = channel.unary_unary("/fletch.v1.RelatedProducts/FromTheFuture")
            unknown_service = channel.unary_unary("/fletch.v9.RelatedProducts/Related")
            answers = [
                (related.Related.with_call(messages.RelatedRequest(product_id="gimp"), timeout=20)[1], RELATED),
                (related.RelatedBatch.with_call(messages.RelatedBatchRequest(), timeout=20)[1], RELATED),
                (error(lambda: related.Related(messages.RelatedRequest(), timeout=20)), RELATED),
                (error(lambda: unknown_method(b"", timeout=20)), RELATED),
                (health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=20)[1], "grpc/health/v1/health.proto"),
                (watch, "grpc/health/v1/health.proto"),
                (reflection, "grpc/reflection/v1alpha/reflection.proto"),
                (channelz.with_call(channelz_pb2.GetServersRequest(), timeout=20)[1], "grpc/channelz/v1/channelz.proto"),
            ]
            initial = dict(watch.initial_metadata())
            watch.cancel()
            assert initial["fletch-schema"] == released["grpc/health/v1/health.proto"], "before the stream ends"
            for call, name in answers:
                if call is not watch:
                    assert schema_of(call) == released[name], name
            refused = error(lambda: unknown_service(b"", timeout=20))
            assert "fletch-schema" not in dict([*refused.initial_metadata(), *refused.trailing_metadata()])


# MARK: Tables under older and newer schemas


def rewrite_manifest(store, directory, changes=(), change=lambda manifest: None):
    """Rewrites the manifest of version 1 as a program would whose schema has these replacements."""
    text = (harness.ROOT / "proto" / MANIFEST).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = store / "related/1/manifest.binpb"
    manifest = harness.message_types(text, directory)["fletch.tables.v1.Manifest"].FromString(path.read_bytes())
    change(manifest)
    manifest.ClearField("checksum")
    data = manifest.SerializeToString()
    path.unlink()
    # The checksum is the last field, after any that its schema does not name.
    path.write_bytes(data + b"\x59" + xxhash.xxh3_64_intdigest(data).to_bytes(8, "little"))


def write_as_older(manifest):
    for field in ["schema_fingerprint", "build_id", "metrics", "attributes"]:
        manifest.ClearField(field)


def write_as_newer(manifest):
    manifest.schema_fingerprint = "fedcba9876543210"
    manifest.build_id = "fletch 99"
    manifest.licence = "CC0"
    manifest.files[0].origin = "elsewhere"
    manifest.tensors[0].labels.extend(["source", "normalised"])


NEWER_MANIFEST = [
    ("message Manifest {", "message Manifest { string licence = 1000;"),
    ("message File {", "message File { string origin = 1000;"),
    ("message Tensor {", "message Tensor { repeated string labels = 1000;"),
]


@pytest.mark.parametrize(
    "changes, change, written_under",
    [
        ([], write_as_older, "a schema that it does not name"),
        (NEWER_MANIFEST, write_as_newer, "schema 'fedcba9876543210' by 'fletch 99'"),
    ],
    ids=["older", "newer"],
)
def test_tables_of_other_schemas_are_served(store, tmp_path, released, changes, change, written_under):
    own_store = shutil.copytree(store, tmp_path / "store")
    rewrite_manifest(own_store, tmp_path, changes, change)
    expected = f"written under {written_under}, this build has '{released[MANIFEST]}'"
    with harness.Server(own_store) as server:
        with grpc.insecure_channel(server.address) as channel:
            response = stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id="gimp"), timeout=20)
        assert response.items and response.table_version == "1"
        log = server.wait_for_log("so it is served like any other")
        assert f"version 1, was {expected}" in log
        assert all(" info " in line for line in log.splitlines() if "table" in line), log
    assert f"table related/1: {expected}" in harness.fletch("schema", "--store", own_store).stdout
    assert expected in harness.fletch("tables", "inspect", "--store", own_store).stdout
    assert harness.fletch("tables", "verify", "--store", own_store).stdout == "related/1: ok\n"


def test_a_newer_format_is_refused(store, tmp_path):
    own_store = shutil.copytree(store, tmp_path / "store")

    def change(manifest):
        manifest.format_version = 2

    rewrite_manifest(own_store, tmp_path, change=change)
    text = harness.refusal("serve", "--store", own_store, "--listen", "127.0.0.1:0")
    assert text.endswith("related/1/manifest.binpb: has format 2, this program reads format 1; update Fletch")


def test_the_command_lists_its_schemas_and_compares(store, server, released):
    lines = harness.fletch("schema", "--store", store, "--server", server.address).stdout.splitlines()
    listed = {name: value for value, name in (line.split() for line in lines if line.endswith(".proto"))}
    assert listed == {name: released[name] for name in listed} and {RELATED, MANIFEST} <= set(listed)
    assert lines[len(listed) :] == [
        "table related/1: written under the same schema",
        "server fletch.v1.RelatedProducts: the same schema",
        "server grpc.health.v1.Health: the same schema",
        "server grpc.reflection.v1.ServerReflection: the same schema",
        "server grpc.reflection.v1alpha.ServerReflection: the same schema",
        "server grpc.channelz.v1.Channelz: not served, or its schema not said",
    ]


class OtherSchema(grpc.GenericRpcHandler):
    """A server of another schema; it has none of the methods that it is asked for."""

    def service(self, details):
        def refuse(_, context):
            context.send_initial_metadata([("fletch-schema", "fedcba9876543210")])
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")

        return grpc.unary_unary_rpc_method_handler(refuse) if "RelatedProducts" in details.method else None


def test_the_command_tells_a_server_of_another_schema(released):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1), handlers=[OtherSchema()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    lines = harness.fletch("schema", "--server", f"127.0.0.1:{port}").stdout.splitlines()
    server.stop(None)
    assert (
        f"server fletch.v1.RelatedProducts: schema 'fedcba9876543210', this build has '{released[RELATED]}'" in lines)
    assert harness.refusal("schema", "--server", f"127.0.0.1:{port}").startswith("Error: UNAVAILABLE")
