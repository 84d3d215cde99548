"""The client against a real server process."""

import pathlib
import subprocess
import sys

import grpc
import pytest

import fletch
import harness
from certificates import Authority
from fletch.v1 import related_products_pb2 as messages


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("client")
    edges = directory / "edges.csv"
    edges.write_text("source,target\n" + "".join(f"phone{i},case{(i + j) % 40}\n" for i in range(40) for j in range(5)))
    harness.fletch("train", "related", "--edges", edges, "--output", directory / "embeddings", "--dimension", 16)
    harness.fletch("publish", "--related", directory / "embeddings", "--store", directory / "store")
    with harness.Server(directory / "store") as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with fletch.Client(server.address, timeout=5) as client:
        yield client


def test_one_product(client):
    answer = client.related("phone3", limit=5)
    assert len(answer.items) == 5 and answer.table_version == "1"
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert all(item.product_id.startswith("case") for item in answer.items)


def test_a_case_does_not_lead_to_its_phone(client):
    case = client.related("phone3", limit=1).items[0]
    back = {item.product_id: item.score for item in client.related(case.product_id, limit=79).items}
    assert back["phone3"] < case.score


def test_a_cart_and_exclusions(client):
    answer = client.related_to_cart(["phone3", "phone4"], limit=5, exclude=["case5"])
    assert {"phone3", "phone4", "case5"}.isdisjoint(item.product_id for item in answer.items)


def test_a_batch(client):
    results = client.related_batch([messages.RelatedRequest(product_id=name) for name in ("phone1", "tablet1")])
    assert [result.status.code for result in results] == [0, grpc.StatusCode.NOT_FOUND.value[0]]


def test_options_are_those_of_every_way_to_ask(client):
    bought = client.related("phone3", limit=2)
    for ask in (
        lambda **options: client.related("phone3", **options),
        lambda **options: client.related_to_cart(["phone3", "phone4"], **options),
    ):
        answer = ask(limit=4, exclude=["case5"], bought=[bought.items[0].product_id], explain=True, exact=True)
        assert len(answer.items) == 4
        assert {"case5", bought.items[0].product_id}.isdisjoint(item.product_id for item in answer.items)
        assert all(item.HasField("explanation") for item in answer.items)
    similar = client.related("phone3", similar=True, limit=5)
    assert len(similar.items) == 5 and "phone3" not in [item.product_id for item in similar.items]
    edge, back = client.score_edges([("phone3", "case5"), ("case5", "phone3")])
    assert (edge.forward, edge.reverse) == (back.reverse, back.forward) and edge.forward > edge.reverse


@pytest.mark.parametrize("options", [{"allow_categories": ["x"]}, {"max_per_category": 1}])
def test_what_a_table_lacks_is_told(client, options):
    with pytest.raises(grpc.RpcError) as caught:
        client.related("phone3", **options)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION and next(iter(options)) in caught.value.details()


def test_errors_are_the_servers(client):
    with pytest.raises(grpc.RpcError) as caught:
        client.related("tablet1")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND and "tablet1" in caught.value.details()


def run_example(*arguments):
    script = pathlib.Path(fletch.__file__).parents[1] / "examples" / "related.py"
    command = [sys.executable, script, "--timeout", "10", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(script.parents[1])})


def test_the_example_runs(server):
    result = run_example(server.address, "phone3")
    assert result.returncode == 0 and "case" in result.stdout


def test_tls_and_tokens(server, tmp_path):
    authority = Authority(tmp_path)
    authority.sign("server")
    token = "a-token-of-a-caller-0123456789"
    tokens = tmp_path / "tokens"
    tokens.write_text(token + "\n")
    store = server.command[server.command.index("--store") + 1]
    listen = ("--listen-tls", "127.0.0.1:0", "--tls-cert", tmp_path / "server.pem", "--tls-key", tmp_path / "server.key")
    with harness.Server(store, "--auth-token-file", tokens, listen=listen, name_of_log="tls.log") as secure:
        credentials = grpc.ssl_channel_credentials(authority.read("ca.pem"))
        with fletch.Client(secure.address, credentials=credentials, token=token, timeout=10) as client:
            assert client.related("phone3", limit=5).items
            assert client.related_batch([messages.RelatedRequest(product_id="phone1")])[0].status.code == 0
        with fletch.Client(secure.address, credentials=credentials, timeout=10) as client:
            with pytest.raises(grpc.RpcError) as caught:
                client.related("phone3")
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        result = run_example("--ca", tmp_path / "ca.pem", "--token-file", tokens, secure.address, "phone3", "phone4")
        assert result.returncode == 0 and "case" in result.stdout, result.stderr


def test_unix_domain_sockets(server, tmp_path):
    store = server.command[server.command.index("--store") + 1]
    with harness.Server(store, listen=("--listen", f"unix:{tmp_path}/f.sock"), name_of_log="unix.log") as local:
        with fletch.Client(local.address, timeout=10) as client:
            assert client.related("phone3").items
