"""The client against a real server process."""

import pathlib
import subprocess
import sys

import grpc
import pytest

import fletch
import harness
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


def test_errors_are_the_servers(client):
    with pytest.raises(grpc.RpcError) as caught:
        client.related("tablet1")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND and "tablet1" in caught.value.details()


def test_the_example_runs(server):
    script = pathlib.Path(fletch.__file__).parents[1] / "examples" / "related.py"
    result = subprocess.run(
        [sys.executable, script, server.address, "phone3"], capture_output=True, text=True, env={"PYTHONPATH": str(script.parents[1])}
    )
    assert result.returncode == 0 and "case" in result.stdout
