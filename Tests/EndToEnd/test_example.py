"""The example of codegen/README.md, built as its users build: outside the repository, on a clone of it."""

import pathlib
import re
import shutil
import signal
import subprocess

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import harness
from harness import run
from fingerprint import fingerprint_of

EXAMPLE = harness.ROOT / "codegen/example"
PROTOS = ["example/v1/greeter.proto", "example/v2/greeter.proto"]


@pytest.fixture(scope="module")
def package(dependency, tmp_path_factory) -> pathlib.Path:
    """A copy of the example that depends on a clone of the repository."""
    directory = tmp_path_factory.mktemp("outside")
    package = pathlib.Path(shutil.copytree(EXAMPLE, directory / "greeter", ignore=shutil.ignore_patterns(".*")))
    manifest = (package / "Package.swift").read_text()
    neighbour = '.package(name: "fletch", path: "../..")'
    assert neighbour in manifest
    (package / "Package.swift").write_text(manifest.replace(neighbour, dependency))
    return package


@pytest.fixture(scope="module")
def greeter(package):
    scratch = harness.OUTSIDE_BUILD
    run("swift", "build", "--package-path", package, "--scratch-path", scratch, "--disable-dependency-cache")
    return scratch / "debug/greeter"


@pytest.fixture(scope="module")
def server(greeter, tmp_path_factory):
    log = tmp_path_factory.mktemp("example") / "greeter.log"
    with harness.ServerProcess([greeter, "serve", "127.0.0.1:0"], log) as server:
        yield server


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The stock clients of both versions: messages and stubs of each."""
    directory = tmp_path_factory.mktemp("stubs")
    harness.generate_stubs(EXAMPLE / "proto", directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory))
        from example.v1 import greeter_pb2 as v1, greeter_pb2_grpc as v1_grpc
        from example.v2 import greeter_pb2 as v2, greeter_pb2_grpc as v2_grpc

        yield (v1, v1_grpc.GreeterStub), (v2, v2_grpc.GreeterStub)


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def test_its_code_is_what_the_plugin_makes(package):
    run("swift", "build", "--product", "protoc-gen-fletch", cwd=harness.ROOT)
    bin_path = run("swift", "build", "--product", "protoc-gen-fletch", "--show-bin-path", cwd=harness.ROOT)
    target = package / "Sources/Server"
    committed = {path.name: path.read_text() for path in target.glob("*.fletch*.swift")}
    for name in committed:
        (target / name).unlink()
    # As codegen/README.md tells users to.
    run("protoc", f"--plugin=protoc-gen-fletch={bin_path}/protoc-gen-fletch", "-I", "proto",
        "--fletch_out=FileNaming=PathToUnderscores:Sources/Server", *PROTOS, cwd=package)
    assert {path.name: path.read_text() for path in target.glob("*.fletch*.swift")} == committed


def test_both_versions_are_served_by_one_implementation(stubs, channel):
    (v1, V1Stub), (v2, V2Stub) = stubs
    old, new = V1Stub(channel), V2Stub(channel)
    first = old.Greet(v1.GreetRequest(name="Ada"), timeout=10)
    assert first.text == "Hello, Ada!"
    person = v2.Person(given_name="Grace", family_name="Hopper")
    second = new.Greet(v2.GreetRequest(person=person, tone=v2.TONE_FORMAL), timeout=10)
    assert second.text == "Good day, Grace Hopper." and second.person == person and second.tone == v2.TONE_FORMAL
    assert second.count == first.count + 1, "one guest book for both"


def test_both_versions_stream(stubs, channel):
    (v1, V1Stub), (v2, V2Stub) = stubs
    names = [f"guest {number}" for number in range(100)]
    old = list(V1Stub(channel).GreetEach((v1.GreetRequest(name=name) for name in names), timeout=10))
    people = [v2.Person(given_name=name) for name in names]
    new = list(V2Stub(channel).GreetEach((v2.GreetRequest(person=person) for person in people), timeout=10))
    expected = [f"Hello, {name}!" for name in names]
    assert [greeting.text for greeting in old] == [response.text for response in new] == expected
    assert [greeting.count - old[0].count for greeting in old] == list(range(100))


def test_errors_speak_of_the_fields_of_their_version(stubs, channel):
    (v1, V1Stub), (v2, V2Stub) = stubs
    for stub, request, field in [
        (V1Stub, v1.GreetRequest(), "name"), (V2Stub, v2.GreetRequest(), "person.given_name")]:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel).Greet(request, timeout=10)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        violation = error_details_pb2.BadRequest()
        assert rpc_status.from_call(caught.value).details[0].Unpack(violation)
        assert violation.field_violations[0].field == field


def test_responses_say_which_schema_answered(stubs, channel, tmp_path):
    (v1, V1Stub), (v2, V2Stub) = stubs
    expected = fingerprint_of(EXAMPLE / "proto", PROTOS, tmp_path / "set.binpb")
    calls = {
        PROTOS[0]: V1Stub(channel).Greet.with_call(v1.GreetRequest(name="Ada"), timeout=10)[1],
        PROTOS[1]: V2Stub(channel).Greet.with_call(
            v2.GreetRequest(person=v2.Person(given_name="Ada")), timeout=10)[1],
    }
    assert {name: dict(call.initial_metadata())["fletch-schema"] for name, call in calls.items()} == expected


def test_the_log_tells_operators_who_calls_the_old_version(greeter, stubs, tmp_path):
    (v1, V1Stub), (v2, V2Stub) = stubs
    with harness.ServerProcess([greeter, "serve", "127.0.0.1:0"], tmp_path / "greeter.log") as server:
        with grpc.insecure_channel(server.address) as channel:
            for _ in range(3):
                V1Stub(channel).Greet(v1.GreetRequest(name="Ada"), timeout=10)
            V2Stub(channel).Greet(v2.GreetRequest(person=v2.Person(given_name="Ada")), timeout=10)
        log = server.wait_for_log("/example.v1.Greeter/Greet OK", times=3)
        assert re.search(r"peer=127\.0\.0\.1:\d+.* /example\.v1\.Greeter/Greet OK", log), log
        server.wait_for_log("/example.v2.Greeter/Greet OK")
        # The counts of each method, whatever the log left out.
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for_log("/example.v1.Greeter/Greet", times=4)


def test_a_new_client_of_a_server_that_was_not_updated(greeter, stubs, tmp_path):
    (v1, V1Stub), (v2, V2Stub) = stubs
    with harness.ServerProcess([greeter, "serve", "127.0.0.1:0", "v1"], tmp_path / "greeter.log") as server:
        with grpc.insecure_channel(server.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                V2Stub(channel).Greet(v2.GreetRequest(person=v2.Person(given_name="Ada")), timeout=10)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
            assert caught.value.details() == "the server has no such service"
            # What such a client can fall back to.
            assert V1Stub(channel).Greet(v1.GreetRequest(name="Ada"), timeout=10).text == "Hello, Ada!"


def test_the_generated_client_calls_it(greeter, server):
    result = subprocess.run(
        [greeter, "ask", server.address, "Bob", "Dylan"], capture_output=True, text=True, timeout=20)
    assert result.stdout == "Hello, Bob Dylan!\n", result.stderr


def test_grpcurl_needs_no_schema(server):
    command = [harness.grpcurl_path(), "-plaintext", "-d", '{"person": {"givenName": "Cy"}}', server.address]
    result = subprocess.run([*command, "example.v2.Greeter/Greet"], capture_output=True, text=True, timeout=20)
    assert '"Hello, Cy!"' in result.stdout, result.stderr


# MARK: Callers whose schema of the same version is newer or older than the server's

NEWER = [
    ("message Person {", "message Person { string nickname = 7;"),
    ("TONE_FORMAL = 2;", "TONE_FORMAL = 2; TONE_SHOUTING = 3;"),
    ("Tone tone = 2;", "Tone tone = 2; repeated string languages = 9;"),
    ("message GreetResponse {", "message GreetResponse { string language = 8;"),
    ("service Greeter {", "service Greeter { rpc Part(GreetRequest) returns (GreetResponse);"),
]
OLDER = [
    ("  string family_name = 2;\n", ""),
    ("  Person person = 3;\n", ""),
    ("  // Who was greeted, as the request said it.\n", ""),
    ("  Tone tone = 4;\n", ""),
]


class Caller:
    """A client of example.v2 whose schema differs from the server's by some replacements."""

    def __init__(self, channel, directory, changes):
        text = (EXAMPLE / "proto" / PROTOS[1]).read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.channel = channel
        self.types = harness.message_types(text, directory)

    def __getattr__(self, name):
        return self.types[f"example.v2.{name}"]

    def call(self, method, request):
        call = self.channel.unary_unary(
            f"/example.v2.Greeter/{method}", request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=self.GreetResponse.FromString)
        return call(request, timeout=10)


def test_what_only_the_caller_knows_does_no_harm_and_comes_back(channel, tmp_path):
    caller = Caller(channel, tmp_path, NEWER)
    person = caller.Person(given_name="Ada", family_name="Lovelace", nickname="Enchantress")
    request = caller.GreetRequest(person=person, tone=3, languages=["en", "de"])
    response = caller.call("Greet", request)
    assert response.text == "Hello, Ada Lovelace!"
    assert response.tone == 1, "a tone that the server does not know is none"
    assert response.language == "", "the server says nothing of what it does not know"
    assert response.person == person, "what is passed on keeps its unknown fields"


def test_a_method_that_only_the_caller_knows(channel, tmp_path):
    caller = Caller(channel, tmp_path, NEWER)
    with pytest.raises(grpc.RpcError) as caught:
        caller.call("Part", caller.GreetRequest())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details().startswith("the service has no such method here")
    # It says how old the server is.
    metadata = dict([*caught.value.initial_metadata(), *caught.value.trailing_metadata()])
    assert metadata["fletch-schema"] == fingerprint_of(EXAMPLE / "proto", PROTOS, tmp_path / "set.binpb")[PROTOS[1]]


def test_what_only_the_server_knows_survives_its_caller(stubs, channel, tmp_path):
    """An older caller keeps what it cannot read, and hands it on to who can."""
    (_, _), (v2, V2Stub) = stubs
    caller = Caller(channel, tmp_path, OLDER)
    person = v2.Person(given_name="Ada", family_name="Lovelace")
    # From a newer program, through the older caller, to the server, and all the way back.
    request = caller.GreetRequest.FromString(v2.GreetRequest(person=person, tone=v2.TONE_FORMAL).SerializeToString())
    request.person.given_name = "Augusta Ada"
    response = caller.call("Greet", request)
    assert response.text == "Good day, Augusta Ada Lovelace."
    newer = v2.GreetResponse.FromString(response.SerializeToString())
    assert newer.person.family_name == "Lovelace" and newer.tone == v2.TONE_FORMAL
