"""Keepalive, age, lame duck, drain: stock clients and raw peers against a real server."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import harness
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs

LAST_STREAM_UNKNOWN = 2**31 - 1


class RawPeer:
    """A client connection whose frames are seen, and answered only as a test wants."""

    def __init__(self, port, seconds=30):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.socket.sendall(self.connection.data_to_send())
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def read(self, until=lambda events: False, acknowledge=True) -> bool:
        """Reads until the condition holds (true) or the server closes (false); h2 acknowledges PINGs by itself."""
        while not until(self.events):
            data = self.socket.recv(65536)
            if not data:
                return False
            self.events += self.connection.receive_data(data)
            answer = self.connection.data_to_send()
            if acknowledge and answer:
                self.socket.sendall(answer)
        return True

    def begin_call(self, path, stream=1):
        self.connection.send_headers(
            stream,
            [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", path),
             ("content-type", "application/grpc"), ("te", "trailers")],
        )  # fmt: skip
        self.socket.sendall(self.connection.data_to_send())

    def seen(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def goaways(self):
        return [(event.error_code, event.last_stream_id) for event in self.seen(h2.events.ConnectionTerminated)]


def health(channel):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status


def new_channel(address, *options):
    """A channel that shares its connection with no other."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), *options])


class Load:
    """Clients that call without pause, each on a connection of its own, until they are stopped."""

    def __init__(self, address, clients=6, tolerate=lambda error: False):
        self.address, self.tolerate = address, tolerate
        self.answered, self.failures, self.stop = 0, [], threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _ask(self):
        answered = 0
        with new_channel(self.address) as channel:
            stub = stubs.RelatedProductsStub(channel)
            while not self.stop.is_set():
                try:
                    stub.Related(messages.RelatedRequest(product_id="gimp"), timeout=20)
                    answered += 1
                except grpc.RpcError as error:
                    if not self.tolerate(error):
                        self.failures.append((error.code(), error.details()))
                    break
        with self.lock:
            self.answered += answered


def counter(server, name):
    """A number of the counters that SIGUSR1 logs."""
    log = server.log_path.read_text()
    server.process.send_signal(signal.SIGUSR1)
    log = server.wait_for_log("counters: ", times=log.count("counters: ") + 1)
    return int(log.rsplit(f"{name}=", 1)[1].split()[0])


KEEPALIVE_CLIENT = """
import sys, time, grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
options = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_permit_without_calls", 1),
           ("grpc.http2.max_pings_without_data", 0)]
with grpc.insecure_channel(sys.argv[1], options=options) as channel:
    stub = health_pb2_grpc.HealthStub(channel)
    lost = []
    channel.subscribe(lambda state: lost.append(state) if state == grpc.ChannelConnectivity.IDLE else None)
    assert stub.Check(health_pb2.HealthCheckRequest()).status == 1
    until = time.monotonic() + 30
    lost.clear()
    while not lost and time.monotonic() < until:
        time.sleep(0.05)
    assert lost, "the connection stayed"
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True).status == 1
"""


def test_a_client_that_pings_too_often_is_told_and_recovers(store, tmp_path):
    with harness.Server(store, name_of_log="pings.log") as server:
        client = subprocess.run(
            [sys.executable, "-c", KEEPALIVE_CLIENT, server.address],
            env={**os.environ, "GRPC_VERBOSITY": "ERROR"}, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        assert client.returncode == 0, client.stderr
        assert 'ENHANCE_YOUR_CALM and debug data equal to "too_many_pings"' in client.stderr
        assert counter(server, "connections_accepted") == 2


def test_a_client_that_pings_between_its_calls_is_left_alone(store):
    with harness.Server(store, "--loops", 1, name_of_log="calls.log") as server:
        options = [("grpc.keepalive_time_ms", 1000), ("grpc.http2.max_pings_without_data", 0)]
        with new_channel(server.address, *options) as channel:
            until = time.monotonic() + 6
            while time.monotonic() < until:
                assert health(channel) == health_pb2.HealthCheckResponse.SERVING
                time.sleep(1.5)
            assert counter(server, "connections_accepted") == 1


def test_raw_pings_between_answers_never_strike_and_others_do(store):
    with harness.Server(store, name_of_log="raw-pings.log") as server, RawPeer(server.port) as peer:
        for stream in range(1, 41, 2):
            for _ in range(3):
                peer.connection.ping(b"12345678")
            peer.begin_call("/fletch.v1.RelatedProducts/Nothing", stream)
            assert peer.read(lambda _: len(peer.seen(h2.events.StreamEnded)) == (stream + 1) // 2)
        for _ in range(4):
            peer.connection.ping(b"12345678")
        peer.socket.sendall(peer.connection.data_to_send())
        assert not peer.read()
        assert peer.goaways == [(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, 39)]
        assert peer.seen(h2.events.ConnectionTerminated)[0].additional_data == b"too_many_pings"


def test_a_silent_peer_is_pinged_and_closed(store):
    arguments = ["--keepalive-time", 1, "--keepalive-timeout", 1]
    with harness.Server(store, *arguments, name_of_log="silent.log") as server:
        with RawPeer(server.port) as peer:
            assert not peer.read(acknowledge=False)
            assert [event.ping_data for event in peer.seen(h2.events.PingReceived)] == [b"liveness"]


def test_a_peer_that_answers_its_pings_stays(store):
    arguments = ["--keepalive-time", 1, "--keepalive-timeout", 60]
    with harness.Server(store, *arguments, name_of_log="alive.log") as server, RawPeer(server.port) as peer:
        # Its answers are all that it sends.
        assert peer.read(lambda _: len(peer.seen(h2.events.PingReceived)) == 3)
        assert peer.goaways == []


def test_old_connections_end_under_load_without_a_failed_call(store):
    arguments = ["--max-connection-age", 1, "--max-connection-age-grace", 10]
    with harness.Server(store, *arguments, name_of_log="age.log") as server:
        with Load(server.address) as load:
            time.sleep(8)
            connections = counter(server, "connections_accepted")
        assert load.failures == [] and load.answered > 100
        assert connections >= 2 * len(load.threads), "connections were not ended for their age"


def test_a_call_beyond_the_age_and_its_grace_is_cut_off(store):
    arguments = ["--max-connection-age", 1, "--max-connection-age-grace", 3]
    with harness.Server(store, *arguments, name_of_log="grace.log") as server, RawPeer(server.port) as peer:
        peer.begin_call("/fletch.v1.RelatedProducts/Related")
        assert not peer.read()
        assert peer.goaways == [(0, LAST_STREAM_UNKNOWN), (0, 1)]
        assert peer.seen(h2.events.StreamEnded) == []


def test_idle_connections_end_politely(store):
    with harness.Server(store, "--max-connection-idle", 1, name_of_log="idle.log") as server:
        with RawPeer(server.port) as peer:
            assert not peer.read()
            assert peer.goaways == [(0, LAST_STREAM_UNKNOWN), (0, 0)]
        with new_channel(server.address) as channel:
            for _ in range(3):
                assert health(channel) == health_pb2.HealthCheckResponse.SERVING
                time.sleep(2)


def test_a_lame_duck_says_so_and_loses_no_call(store):
    def is_refused(error):
        # After the drain there is nobody to connect to; a call that was accepted must not fail.
        return error.code() == grpc.StatusCode.UNAVAILABLE and "Socket closed" not in str(error.details())

    with harness.Server(store, "--lame-duck", 4, name_of_log="lame-duck.log") as server:
        with Load(server.address, tolerate=is_refused) as load, RawPeer(server.port) as peer:
            with new_channel(server.address) as channel:
                assert health(channel) == health_pb2.HealthCheckResponse.SERVING
                time.sleep(1)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for_log("draining")
                assert health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING
            # A newcomer is still taken, and served.
            with new_channel(server.address) as channel:
                stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id="gimp"), timeout=5)
            # Only then is the end announced.
            peer.read()
            assert peer.goaways == [(0, LAST_STREAM_UNKNOWN), (0, 0)]
            assert server.process.wait(20) == 0
        assert load.failures == [] and load.answered > 100


def test_what_does_not_end_is_cut_off_and_said(store):
    with harness.Server(store, "--drain-timeout", 1, name_of_log="cut-off.log") as server:
        with RawPeer(server.port) as peer:
            peer.begin_call("/fletch.v1.RelatedProducts/Related")
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            assert not peer.read()
            assert server.process.wait(20) == 1
        assert "calls_cut_off=1" in server.log_path.read_text()


def test_a_server_that_has_just_begun_to_listen_drains(store):
    for _ in range(5):
        with harness.Server(store, name_of_log="brief.log") as server:
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0


def test_a_second_signal_ends_a_lame_duck_at_once(store):
    with harness.Server(store, "--lame-duck", 3600, name_of_log="twice.log") as server:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("draining")
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--keepalive-time", 0], "--keepalive-time must be between 1 and"),
        (["--keepalive-timeout", 10**12], "--keepalive-timeout must be between 1 and"),
        (["--max-connection-age", 0], "--max-connection-age must be between 1 and"),
        (["--max-connection-age-grace", 1], "--max-connection-age-grace needs --max-connection-age"),
        (["--max-connection-idle", 0], "--max-connection-idle must be between 1 and"),
        (["--lame-duck", 86_401], "--lame-duck must be between 0 and"),
    ],
)
def test_impossible_times_are_refused(store, arguments, reason):
    assert reason in harness.refusal("serve", "--store", store, "--listen", "127.0.0.1:0", *arguments)
