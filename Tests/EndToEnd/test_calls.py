"""What serve watches of its calls and grants to them: log, metrics, tokens, limits."""

import signal

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

import harness
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs

TOKEN = "a-token-of-a-caller-0123456789"
METHOD = "/fletch.v1.RelatedProducts/Related"


def serve(store, tmp_path, *arguments):
    return harness.Server(store, "--loops", 1, *arguments, name_of_log=f"{tmp_path.name}.log")


def ask(address, token=None, product="gimp"):
    with grpc.insecure_channel(address) as channel:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id=product), timeout=5, metadata=metadata)


def refusal(address, token=None):
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, token)
    return caught.value


def health(address):
    with grpc.insecure_channel(address) as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status


def test_tokens_are_asked_for_and_replaced_at_sighup(store, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# callers\n{TOKEN}\n")
    with serve(store, tmp_path, "--auth-token-file", tokens) as server:
        assert ask(server.address, TOKEN).items
        missing = refusal(server.address)
        assert missing.code() == grpc.StatusCode.UNAUTHENTICATED and "authorization" in missing.details()
        info = error_details_pb2.ErrorInfo()
        assert rpc_status.from_call(missing).details[0].Unpack(info) and info.reason == "TOKEN_MISSING"
        assert refusal(server.address, TOKEN + "x").code() == grpc.StatusCode.UNAUTHENTICATED
        assert health(server.address) == health_pb2.HealthCheckResponse.SERVING

        query = ("query", "related", "--server", server.address, "--product", "gimp")
        assert "gimp" in harness.fletch(*query, "--auth-token-file", tokens).stdout
        assert "UNAUTHENTICATED" in harness.refusal(*query)
        assert "--auth-token-file" in harness.refusal(*query, "--auth-token-file", tmp_path / "none")

        tokens.write_text("short\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("refused new bearer tokens")
        assert ask(server.address, TOKEN).items
        tokens.write_text("another-token-0123456789\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("using 1 bearer tokens")
        assert refusal(server.address, TOKEN).code() == grpc.StatusCode.UNAUTHENTICATED
        assert ask(server.address, "another-token-0123456789").items


def test_a_client_is_held_to_its_rate_and_told_when_to_come_back(store, tmp_path):
    with serve(store, tmp_path, "--max-calls-per-second", 1) as server:
        assert ask(server.address).items
        error = refusal(server.address)
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        pushback = dict(error.trailing_metadata()).get("grpc-retry-pushback-ms")
        retry = error_details_pb2.RetryInfo()
        assert rpc_status.from_call(error).details[0].Unpack(retry)
        assert 0 < int(pushback) <= 1001 and retry.retry_delay.ToMilliseconds() == int(pushback)
        assert health(server.address) == health_pb2.HealthCheckResponse.SERVING


def test_the_access_log_has_a_line_for_each_call(store, tmp_path):
    with serve(store, tmp_path, "--access-log") as server:
        ask(server.address)
        line = next(line for line in server.wait_for_log(f"{METHOD} OK").splitlines() if f"{METHOD} OK" in line)
        assert "peer=127.0.0.1:" in line and "request_messages=1" in line and "response_messages=1" in line


def test_the_metrics_of_each_method_are_logged(store, tmp_path):
    with serve(store, tmp_path, "--metrics") as server:
        for _ in range(3):
            ask(server.address)
        with pytest.raises(grpc.RpcError):
            ask(server.address, product="no-such-package")
        server.process.send_signal(signal.SIGUSR1)
        log = server.wait_for_log(f"metrics of {METHOD}: ")
        assert f"metrics of {METHOD}: grpc.server.call.started=4 ok=3 not_found=1 " in log


def test_an_operator_sets_the_largest_request_of_a_method(store, tmp_path):
    with serve(store, tmp_path, "--max-request-bytes", f"{METHOD}=50") as server:
        assert ask(server.address).items
        with pytest.raises(grpc.RpcError) as caught:
            ask(server.address, product="x" * 100)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "50" in caught.value.details()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--auth-token-file", "/nowhere/tokens"], ["--auth-token-file", "/nowhere/tokens", "No such file"]),
        (["--max-calls-per-second", "0"], ["--max-calls-per-second", "at least 1"]),
        (["--max-concurrent-calls", "-1"], ["--max-concurrent-calls"]),
        (["--max-bytes-in-flight", "1000"], ["--max-bytes-in-flight", "at least"]),
        (["--max-request-bytes", "/fletch.v1.RelatedProducts/Nothing=5"], ["--max-request-bytes", "Nothing"]),
        (["--max-request-bytes", METHOD], ["--max-request-bytes", METHOD]),
    ],
)
def test_a_wrong_flag_is_named(store, arguments, words):
    error = harness.refusal("serve", "--store", store, "--listen", "127.0.0.1:0", *arguments)
    assert all(word in error for word in words), error
