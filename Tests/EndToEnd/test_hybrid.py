"""Answers from a table whose lists are ranked by paths of the graph, too."""

import grpc
import numpy
import pytest

import fletch
import harness
from fletch.v1 import related_products_pb2 as messages

PRODUCTS = ["gimp", "postgresql", "vim"]


@pytest.fixture(scope="module")
def hybrid(embeddings, tmp_path_factory):
    """A client of a server, and the table that it serves."""
    store = tmp_path_factory.mktemp("hybrid") / "store"
    harness.fletch("publish", "--related", embeddings, "--store", store, "--list-length", 50)
    assert "attribute ranker  hybrid" in harness.fletch("tables", "inspect", "--store", store).stdout
    with harness.Server(store) as server, fletch.Client(server.address, timeout=20) as client:
        yield client, harness.PublishedTable(store / "related" / "1")


def listed(table, product):
    row = table.row[product]
    rows, scores = table.tensors["lists.rows"][row], table.tensors["lists.scores"][row]
    return [(table.ids[other], float(score)) for other, score in zip(rows, scores)]


def pairs(response):
    return [(item.product_id, item.score) for item in response.items]


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_list_is_answered_as_it_is_and_explained(hybrid, product):
    client, table = hybrid
    answer = client.related(product, limit=20, explain=True)
    assert answer.path == messages.RETRIEVAL_PATH_LIST and pairs(answer) == listed(table, product)[:20]
    for item in answer.items:
        explanation = item.explanation
        assert explanation.ranker == messages.RANKER_HYBRID and explanation.path_score >= -1e-5
        assert abs(explanation.forward_score + explanation.path_score - item.score) < 1e-5
        assert abs(explanation.forward_score - table.source[table.row[product]] @ table.target[table.row[item.product_id]]) < 1e-4
    assert any(item.explanation.path_score > 0 for item in answer.items)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_list_that_is_used_up_is_continued_by_the_inner_product(hybrid, product):
    client, table = hybrid
    hidden = [name for name, _ in listed(table, product)[::3]]
    answer = client.related(product, limit=80, exclude=hidden, explain=True)
    kept = [pair for pair in listed(table, product) if pair[0] not in hidden]
    assert pairs(answer)[: len(kept)] == kept
    rest = table.related_to(product, limit=80 - len(kept), without=[name for name, _ in listed(table, product)])
    harness.same_answer(pairs(answer)[len(kept) :], rest, tolerance=1e-4)
    rankers = [item.explanation.ranker for item in answer.items]
    assert rankers == [messages.RANKER_HYBRID] * len(kept) + [messages.RANKER_INNER_PRODUCT] * (80 - len(kept))
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_inner_product_can_be_asked_for(hybrid, product):
    client, table = hybrid
    answer = client.related(product, ranker=messages.RANKER_INNER_PRODUCT)
    harness.same_answer(pairs(answer), table.related_to(product), tolerance=1e-4)
    assert answer.path != messages.RETRIEVAL_PATH_LIST


def test_only_the_lists_of_single_products_are_hybrid(hybrid):
    client, table = hybrid
    one = client.related_to_cart(["gimp", "gimp"], ranker=messages.RANKER_HYBRID)
    assert pairs(one) == listed(table, "gimp")[:10]
    harness.same_answer(pairs(client.related_to_cart(["gimp", "vim"])), table.related_to("gimp", "vim"), tolerance=1e-4)
    for ask in (
        lambda: client.related_to_cart(["gimp", "vim"], ranker=messages.RANKER_HYBRID),
        lambda: client.related_to_vector(numpy.zeros(16).tolist(), ranker=messages.RANKER_HYBRID),
        lambda: client.related("gimp", similar=True, ranker=messages.RANKER_HYBRID),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            ask()
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "ranker" in caught.value.details()
