"""Versions, broken tables, killed processes, draining."""

import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import harness
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs


@pytest.fixture
def own_store(store, tmp_path):
    return shutil.copytree(store, tmp_path / "store")


def version_served(address):
    with grpc.insecure_channel(address) as channel:
        return stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id="gimp"), timeout=5).table_version


def await_version(address, version, seconds=15):
    until = time.monotonic() + seconds
    while (served := version_served(address)) != version:
        assert time.monotonic() < until, f"version {served} is served, not {version}"
        time.sleep(0.05)


def table_file(own_store, version="1"):
    (path,) = (own_store / "related" / version).glob("*.safetensors")
    # Published files are read-only; these are to be damaged.
    for file in path.parent.iterdir():
        file.chmod(0o644)
    return path


def flip(path, position, bit=0):
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1 << bit]))


def damaged(own_store, how):
    path = table_file(own_store)
    manifest = path.parent / "manifest.binpb"
    if how == "truncated":
        os.truncate(path, path.stat().st_size - 1)
    elif how == "longer":
        with open(path, "ab") as file:
            file.write(b"x")
    elif how == "foreign":
        path.write_bytes(b"\x7fELF" * 1000)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "missing":
        path.unlink()
    elif how == "bit in header":
        flip(path, 20)
    elif how == "bit in data":
        flip(path, path.stat().st_size // 2, bit=3)
    elif how == "last bit":
        flip(path, path.stat().st_size - 1, bit=7)
    elif how == "manifest bit":
        flip(manifest, manifest.stat().st_size // 2)
        return manifest
    elif how == "manifest missing":
        manifest.unlink()
        return manifest
    elif how == "manifest truncated":
        os.truncate(manifest, manifest.stat().st_size // 2)
        return manifest
    return path


@pytest.mark.parametrize(
    "how",
    ["truncated", "longer", "foreign", "empty", "missing", "bit in header", "bit in data", "last bit",
     "manifest bit", "manifest missing", "manifest truncated"],
)  # fmt: skip
def test_a_damaged_table_is_refused_by_name(own_store, how):
    path = damaged(own_store, how)
    assert path.name in harness.refusal("tables", "verify", "--store", own_store)
    assert path.name in harness.refusal("serve", "--store", own_store, "--listen", "127.0.0.1:0")


def test_a_server_keeps_its_version_when_the_next_is_damaged(own_store, embeddings, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    harness.fletch("publish", "--related", embeddings, "--store", elsewhere, "--version", 3)
    flip(table_file(elsewhere, "3"), 5000)
    with harness.Server(own_store) as server:
        assert version_served(server.address) == "1"
        harness.fletch("publish", "--related", embeddings, "--store", own_store)
        await_version(server.address, "2")
        shutil.copytree(elsewhere / "related" / "3", own_store / "related" / "3")
        (own_store / "related" / "CURRENT.next").write_text("3\n")
        (own_store / "related" / "CURRENT.next").rename(own_store / "related" / "CURRENT")
        log = server.wait_for_log("keeps version 2")
        assert table_file(own_store, "3").name in log
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("keeps version 2", times=2)
        assert version_served(server.address) == "2"


def test_an_empty_store_answers_unavailable_until_a_table_is_published(embeddings, tmp_path):
    empty = tmp_path / "store"
    empty.mkdir()
    with harness.Server(empty) as server, grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(product_id="gimp"), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="fletch.v1.RelatedProducts")
        assert health.Check(request).status == health_pb2.HealthCheckResponse.NOT_SERVING
        harness.fletch("publish", "--related", embeddings, "--store", empty)
        until = time.monotonic() + 15
        while health.Check(request).status != health_pb2.HealthCheckResponse.SERVING:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert version_served(server.address) == "1"


def test_publish_killed_at_any_moment_leaves_the_previous_version(own_store, embeddings):
    command = [harness.FLETCH, "publish", "--related", str(embeddings), "--store", str(own_store)]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    duration = time.monotonic() - started
    moments = random.Random(11)
    killed = 0
    for turn in range(16):
        before = (own_store / "related" / "CURRENT").read_text()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Every other time near the end, where files are synced and renamed.
        time.sleep(duration * (moments.uniform(0.9, 1.05) if turn % 2 else moments.uniform(0, 1)))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        after = (own_store / "related" / "CURRENT").read_text()
        assert after == before or int(after) > int(before)
        harness.fletch("tables", "verify", "--store", own_store)
    assert killed > 0
    with harness.Server(own_store) as server:
        assert version_served(server.address) == (own_store / "related" / "CURRENT").read_text().strip()
    harness.fletch("publish", "--related", embeddings, "--store", own_store)
    assert not [path.name for path in (own_store / "related").iterdir() if path.name.startswith(".tmp")]


def test_terminating_under_load_loses_no_accepted_call(own_store):
    with harness.Server(own_store) as server:
        answered, failures, stop = [0], [], threading.Event()

        def ask():
            with grpc.insecure_channel(server.address) as channel:
                stub = stubs.RelatedProductsStub(channel)
                while not stop.is_set():
                    try:
                        stub.Related(messages.RelatedRequest(product_id="gimp"), timeout=5)
                        answered[0] += 1
                    except grpc.RpcError as error:
                        # After the drain there is nobody to connect to; a call that was accepted must not fail.
                        if error.code() != grpc.StatusCode.UNAVAILABLE or "Socket closed" in str(error.details()):
                            failures.append((error.code(), error.details()))
                        return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0
        stop.set()
        for thread in threads:
            thread.join()
    assert answered[0] > 100 and failures == []


def test_rollback_by_activating_an_earlier_version(own_store, embeddings):
    harness.fletch("publish", "--related", embeddings, "--store", own_store)
    with harness.Server(own_store) as server:
        assert version_served(server.address) == "2"
        harness.fletch("tables", "activate", "--store", own_store, "--name", "related", "--version", "1")
        await_version(server.address, "1")


def test_a_server_without_descriptors_refuses_connections_and_recovers(tmp_path):
    limited = harness.InteropServer(tmp_path)
    limited.command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *limited.command]
    with limited as server:
        sockets = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(100)]
        # The last one is closed: no connection waits in the queue for a descriptor that there is none of.
        sockets[-1].settimeout(10)
        assert sockets[-1].recv(1) == b""
        used = cpu_seconds(server.process.pid)
        time.sleep(1)
        assert cpu_seconds(server.process.pid) - used < 0.5, "the server spins"
        for each in sockets:
            each.close()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                with grpc.insecure_channel(server.address) as channel:
                    call = channel.unary_unary("/grpc.testing.TestService/EmptyCall")
                    assert call(b"", timeout=5) == b""
                    return
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        raise AssertionError("the server does not take connections again")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
