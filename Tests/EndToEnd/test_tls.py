"""Connections over TLS and Unix domain sockets, as stock clients see them."""

import shutil
import signal
import socket
import ssl
import subprocess
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import harness
from certificates import Authority
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.sign("server")
    authority.sign("client", "/O=Shop/CN=checkout", "DNS:checkout.shop.example")
    return authority


def tls(authority, *arguments, address="127.0.0.1:0"):
    """How a server listens with the authority's certificate of it."""
    return (
        "--listen-tls", address, "--tls-cert", authority.path("server.pem"), "--tls-key", authority.path("server.key"),
        *arguments,
    )  # fmt: skip


def channel_to(server_address, authority, client=None):
    key, chain = (authority.read(f"{client}.key"), authority.read(f"{client}.pem")) if client else (None, None)
    return grpc.secure_channel(server_address, grpc.ssl_channel_credentials(authority.read("ca.pem"), key, chain))


def ask(channel):
    stub = stubs.RelatedProductsStub(channel)
    return stub.Related(messages.RelatedRequest(product_id="gimp", limit=5), timeout=10).items


def refused(channel):
    """The reason why no connection comes about."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    return caught.value.details()


def s_client(address, *arguments):
    command = ["openssl", "s_client", "-connect", address, *arguments]
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=20)


def serial_served(address) -> int:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10) as plain, context.wrap_socket(plain) as peer:
        der = peer.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial"], input=der, capture_output=True)
    return int(text.stdout.split(b"=")[1], 16)


def await_another_serial(address, than):
    until = time.monotonic() + 15
    while (serial := serial_served(address)) == than:
        assert time.monotonic() < until, "the new certificate is not served"
        time.sleep(0.1)
    return serial


def test_stock_clients_call_over_tls(store, authority):
    with harness.Server(store, listen=tls(authority)) as server, channel_to(server.address, authority) as channel:
        assert len(ask(channel)) == 5
        # A large batch and many calls at once, over as many records.
        batch = messages.RelatedBatchRequest(requests=[messages.RelatedRequest(product_id="gimp", limit=100)] * 100)
        answer = stubs.RelatedProductsStub(channel).RelatedBatch(batch, timeout=30)
        assert len(answer.results) == 100
        calls = [
            stubs.RelatedProductsStub(channel).Related.future(messages.RelatedRequest(product_id="gimp"), timeout=30)
            for _ in range(500)
        ]
        assert len({call.result().SerializeToString() for call in calls}) == 1


def test_fletch_query_asks_over_tls_and_unix_sockets(store, authority, tmp_path):
    def query(address, *arguments, ask=harness.fletch):
        return ask("query", "related", "--server", address, "--product", "gimp", "--limit", 3, *arguments)

    ca, client = authority.path("ca.pem"), ("--tls-cert", authority.path("client.pem"), "--tls-key", authority.path("client.key"))
    listen = ("--listen", f"unix:{tmp_path}/s", *tls(authority, "--tls-client-ca", ca))
    with harness.Server(store, listen=listen) as server:
        plain, encrypted = server.addresses
        answer = query(plain).stdout
        assert answer.startswith("gimp leads to")
        assert query(encrypted, "--tls-ca", ca, *client).stdout == answer
        assert "certificate" in query(encrypted, "--tls-ca", ca, ask=harness.refusal)
        assert "hostname mismatch" in query(
            encrypted, "--tls-ca", ca, *client, "--tls-server-name", "elsewhere.example", ask=harness.refusal)
        assert "certificate is refused" in query(encrypted, "--tls-ca", "system", *client, ask=harness.refusal)
        assert "--tls-key" in query(encrypted, "--tls-ca", ca, "--tls-cert", authority.path("client.pem"), ask=harness.refusal)
        assert "--tls-ca" in query(encrypted, *client, ask=harness.refusal)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_agrees_on_http2(store, authority, version):
    with harness.Server(store, listen=tls(authority)) as server:
        result = s_client(server.address, version, "-alpn", "http/1.1,h2", "-CAfile", authority.path("ca.pem"))
        assert "ALPN protocol: h2" in result.stdout
        assert "Verify return code: 0 (ok)" in result.stdout
        assert "Compression: NONE" in result.stdout


@pytest.mark.parametrize(
    "arguments, alert",
    [
        (("-tls1_1", "-alpn", "h2", "-cipher", "DEFAULT@SECLEVEL=0"), "alert protocol version"),
        (("-tls1_2", "-alpn", "h2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"), "alert handshake failure"),
        (("-alpn", "http/1.1"), "alert no application protocol"),
        ((), "alert no application protocol"),
    ],
)
def test_refuses_what_http2_forbids(store, authority, arguments, alert):
    with harness.Server(store, listen=tls(authority)) as server:
        assert alert in s_client(server.address, *arguments).stderr


def test_client_certificates_are_required(store, authority, tmp_path):
    strangers = Authority(tmp_path)
    strangers.sign("client", "/CN=stranger", "DNS:stranger.example")
    arguments = tls(authority, "--tls-client-ca", authority.path("ca.pem"))
    with harness.Server(store, listen=arguments) as server:
        with channel_to(server.address, authority, "client") as channel:
            assert len(ask(channel)) == 5
        with channel_to(server.address, authority) as channel:
            refused(channel)
        key, chain = strangers.read("client.key"), strangers.read("client.pem")
        credentials = grpc.ssl_channel_credentials(authority.read("ca.pem"), key, chain)
        with grpc.secure_channel(server.address, credentials) as channel:
            refused(channel)


def test_client_certificates_may_be_requested(store, authority):
    arguments = tls(authority, "--tls-client-ca", authority.path("ca.pem"), "--tls-client-auth", "request")
    with harness.Server(store, listen=arguments) as server:
        for client in ("client", None):
            with channel_to(server.address, authority, client) as channel:
                assert len(ask(channel)) == 5


def test_certificates_are_replaced_under_live_connections(store, tmp_path):
    authority = Authority(tmp_path)
    authority.sign("server")
    with harness.Server(store, listen=tls(authority)) as server, channel_to(server.address, authority) as channel:
        first = serial_served(server.address)
        assert len(ask(channel)) == 5
        authority.sign("server")
        second = await_another_serial(server.address, than=first)
        # A key that belongs to no certificate: refused by name, and the certificate stays.
        shutil.copy(authority.path("ca.key"), authority.path("server.key"))
        log = server.wait_for_log("refused new TLS files")
        assert f"{authority.path('server.key')}' does not belong to the first certificate" in log
        assert serial_served(server.address) == second
        authority.sign("server")
        assert await_another_serial(server.address, than=second) != first
        # The connection from before has outlived all of it.
        assert len(ask(channel)) == 5


def test_a_hangup_reads_the_certificates_again(store, authority):
    with harness.Server(store, listen=tls(authority)) as server:
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("using the certificate of", times=2)
        with channel_to(server.address, authority) as channel:
            assert len(ask(channel)) == 5


def test_a_handshake_that_does_not_end_is_cut_off(store, authority):
    with harness.Server(store, listen=tls(authority)) as server:
        with socket.create_connection(("127.0.0.1", server.port), 30) as peer:
            peer.sendall(bytes([22, 3, 1, 2]))
            assert peer.recv(1) == b""
        with channel_to(server.address, authority) as channel:
            assert len(ask(channel)) == 5


def test_listens_on_several_addresses_at_once(store, authority, tmp_path):
    path = tmp_path / "fletch.sock"
    listen = ("--listen", "127.0.0.1:0", "--listen", f"unix:{path}", "--listen", "[::1]:0", *tls(authority, address="[::1]:0"))
    with harness.Server(store, "--loops", "2", listen=listen) as server:
        assert server.addresses[1] == f"unix:{path}"
        for address in server.addresses[:3]:
            with grpc.insecure_channel(address) as channel:
                assert len(ask(channel)) == 5
        with channel_to(server.addresses[3], authority) as channel:
            assert len(ask(channel)) == 5
        assert f"listening on {server.addresses[3]} with TLS" in server.log_path.read_text()
        error = harness.refusal("serve", "--store", store, "--listen", f"unix:{path}")
        assert error.endswith(f"cannot listen on unix:{path}: a running server listens there")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    assert not path.exists()


def test_the_socket_of_a_killed_server_is_replaced(store, tmp_path):
    path = tmp_path / "fletch.sock"
    with harness.Server(store, listen=("--listen", f"unix:{path}")) as server:
        server.process.kill()
        server.process.wait()
    assert path.exists()
    with harness.Server(store, listen=("--listen", f"unix:{path}")) as server:
        with grpc.insecure_channel(server.address) as channel:
            assert len(ask(channel)) == 5
            request = health_pb2.HealthCheckRequest()
            assert health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status == health_pb2.HealthCheckResponse.SERVING


def test_draining_over_tls_loses_no_call(store, authority):
    with harness.Server(store, listen=tls(authority)) as server, channel_to(server.address, authority) as channel:
        stub = stubs.RelatedProductsStub(channel)
        ask(channel)
        calls = [stub.Related.future(messages.RelatedRequest(product_id="gimp"), timeout=30) for _ in range(200)]
        calls[0].result()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        # Taken and answered, or never taken: then a client may ask elsewhere.
        for call in calls:
            assert call.exception() is None or "Socket closed" not in call.details()


def test_a_wrong_use_of_tls_is_refused_by_name(store, authority, tmp_path):
    def refusal(*arguments):
        return harness.refusal("serve", "--store", store, *arguments)

    certificate, key = authority.path("server.pem"), authority.path("server.key")
    assert "--listen-tls" in refusal("--tls-cert", certificate, "--tls-key", key)
    assert "--tls-key" in refusal("--listen-tls", "127.0.0.1:0", "--tls-cert", certificate)
    assert "--tls-client-ca" in refusal(*tls(authority, "--tls-client-auth", "require"))
    assert "--listen-tls" in refusal(*tls(authority, address="localhost:1"))
    missing = tmp_path / "none.pem"
    assert str(missing) in refusal("--listen-tls", "127.0.0.1:0", "--tls-cert", missing, "--tls-key", key)
    assert "does not belong" in refusal(
        "--listen-tls", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", authority.path("client.key")
    )
    authority.sign("expired", days=-1)
    assert "has expired on" in refusal(
        "--listen-tls", "127.0.0.1:0", "--tls-cert", authority.path("expired.pem"), "--tls-key", authority.path("expired.key")
    )
