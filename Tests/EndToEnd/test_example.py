"""The example of codegen/README.md: a package of its own that depends on Fletch's libraries, built as its users build."""

import subprocess

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import harness

EXAMPLE = harness.ROOT / "codegen/example"


@pytest.fixture(scope="module")
def greeter():
    scratch = harness.ROOT / ".build-example"
    command = ["swift", "build", "--package-path", EXAMPLE, "--scratch-path", scratch]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return scratch / "debug/greeter"


@pytest.fixture(scope="module")
def server(greeter, tmp_path_factory):
    log = tmp_path_factory.mktemp("example") / "greeter.log"
    with harness.ServerProcess([greeter, "serve", "127.0.0.1:0"], log) as server:
        yield server


@pytest.fixture(scope="module")
def stub(server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("stubs")
    harness.generate_stubs(EXAMPLE, directory)
    with pytest.MonkeyPatch.context() as patch, grpc.insecure_channel(server.address) as channel:
        patch.syspath_prepend(str(directory))
        import greeter_pb2
        import greeter_pb2_grpc

        yield greeter_pb2, greeter_pb2_grpc.GreeterStub(channel)


def test_stock_clients_call_it(stub):
    messages, greeter = stub
    assert greeter.Greet(messages.GreetRequest(name="Ada"), timeout=10).text == "Hello, Ada!"
    names = [f"guest {number}" for number in range(100)]
    greetings = list(greeter.GreetEach((messages.GreetRequest(name=name) for name in names), timeout=10))
    assert [greeting.text for greeting in greetings] == [f"Hello, {name}!" for name in names]
    assert [greeting.count - greetings[0].count for greeting in greetings] == list(range(100))


def test_its_errors_have_details(stub):
    messages, greeter = stub
    with pytest.raises(grpc.RpcError) as caught:
        greeter.Greet(messages.GreetRequest(), timeout=10)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    violation = error_details_pb2.BadRequest()
    assert rpc_status.from_call(caught.value).details[0].Unpack(violation)
    assert violation.field_violations[0].field == "name"


def test_the_generated_client_calls_it(greeter, server):
    result = subprocess.run([greeter, "ask", server.address, "Bob"], capture_output=True, text=True, timeout=20)
    assert result.stdout == "Hello, Bob!\n", result.stderr


def test_grpcurl_needs_no_schema(server):
    command = [harness.grpcurl_path(), "-plaintext", "-d", '{"name": "Cy"}', server.address, "example.v1.Greeter/Greet"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert '"Hello, Cy!"' in result.stdout, result.stderr
