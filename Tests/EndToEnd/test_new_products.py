"""Products that the table does not know: the forward pass of its encoder, by NumPy over the table's own tensors."""

import json

import grpc
import numpy
import pytest

import fletch
import harness
from fletch.v1 import related_products_pb2 as messages

PHONES = 60


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A client, its server and the table: phones of four brands lead to the cases of their brand."""
    directory = tmp_path_factory.mktemp("new")
    edges = [f"phone{i},case{(i + 4 * j) % PHONES}" for i in range(PHONES) for j in range(6)]
    (directory / "edges.csv").write_text("source,target\n" + "\n".join(edges) + "\n")
    lines = [f"{kind}{i},{kind},brand{i % 4},{10 + i}" for kind in ("phone", "case") for i in range(PHONES)]
    (directory / "products.csv").write_text("id,category,brand,price\n" + "\n".join(lines) + "\n")
    harness.fletch(
        "train", "related", "--edges", directory / "edges.csv", "--products", directory / "products.csv",
        "--output", directory / "model", "--dimension", 16, "--layers", 2, "--epochs", 20, "--seed", 3)  # fmt: skip
    harness.fletch("publish", "--related", directory / "model", "--store", directory / "store", "--products", directory / "products.csv")
    with harness.Server(directory / "store") as server, fletch.Client(server.address, timeout=20) as client:
        yield client, server, harness.PublishedTable(directory / "store" / "related" / "1")


def source_vector(table, features=(), leads_to=(), follows=()):
    """The source vector of a new product, of features by their names in the table."""
    tensors = {name[8:]: values.astype(numpy.float64) for name, values in table.tensors.items() if name.startswith("encoder.") and values.dtype == numpy.float32}

    def unit(vector):
        return vector / numpy.sqrt(vector @ vector + 1e-12)

    row = numpy.zeros(table.source.shape[1])
    if features:
        row = sum(tensors["features.rows"][feature_names(table).index(name)] for name in features) / numpy.sqrt(len(features))
    vector = row @ tensors["heads"][0]
    for layer, (matrices, hidden) in enumerate(zip(tensors["layers"], tensors["hidden"])):
        following = row @ matrices[0]
        for kind, names in enumerate((leads_to, follows)):
            if names:
                rows = [table.row[name] for name in dict.fromkeys(names)]
                following = following + hidden[rows].sum(axis=0) / numpy.sqrt(len(rows)) @ matrices[1 + kind]
        row = unit(following)
        vector = vector + row @ tensors["heads"][layer + 1]
    vector = unit(vector)
    temperature, out_weight, in_weight = tensors["scores"]
    degrees = out_weight * numpy.log1p(len(set(leads_to))) - in_weight * numpy.log1p(len(set(follows)))
    return numpy.concatenate([vector[:-2] * temperature, [1, degrees]])


def feature_names(table):
    offsets, text = table.tensors["encoder.features.names.offsets"], table.tensors["encoder.features.names.bytes"].tobytes()
    return [text[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]


CASES = [
    ({"features": {"brand": "brand2"}}, ["brand|brand2"]),
    ({"features": {"brand": "brand2|brand9", "category": "phone", "unknown": "x"}}, ["brand|brand2", "category|phone"]),
    ({"leads_to": ["case3", "case7", "case3"]}, []),
    ({"leads_to": ["case3"], "follows": ["phone1", "phone5"]}, []),
    ({"features": {"brand": "brand1"}, "leads_to": ["case1"]}, ["brand|brand1"]),
]


@pytest.mark.parametrize("given, features", CASES)
@pytest.mark.parametrize("options", [{}, {"limit": 25, "deny_categories": ["phone"]}, {"similar": True}, {"limit": 1000}])
def test_a_new_product_is_answered_by_the_encoders_vector(shop, given, features, options):
    client, _, table = shop
    answer = client.related_to_new(**given, **options)
    vector = source_vector(table, features, given.get("leads_to", ()), given.get("follows", ()))
    scores = table.source[:, :-2] @ vector[:-2] if options.get("similar") else table.target @ vector
    expected = table.answer(scores, options.get("limit", 10), deny=options.get("deny_categories", ()))
    wanted = {name: score for name, score in expected}
    # Single precision may exchange neighbours of nearly the same score.
    assert len(answer.items) == len(expected)
    for item, (_, score) in zip(answer.items, expected):
        assert abs(item.score - score) < 1e-3
        assert abs(wanted.get(item.product_id, expected[-1][1]) - item.score) < 1e-3


def test_a_new_product_is_explained_one_way(shop):
    client, _, _ = shop
    answer = client.related_to_new(features={"brand": "brand2", "category": "phone"}, limit=5, explain=True)
    assert [item.explanation.forward_score for item in answer.items] == [item.score for item in answer.items]
    assert not any(item.explanation.HasField("reverse_score") for item in answer.items)


def test_what_says_nothing_is_refused(shop):
    client, _, _ = shop
    for given, code, word in [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "new_product"),
        ({"features": {"colour": "red"}}, grpc.StatusCode.FAILED_PRECONDITION, "new_product"),
        ({"leads_to": ["case1", "nobody"]}, grpc.StatusCode.NOT_FOUND, "nobody"),
        ({"follows": [""]}, grpc.StatusCode.INVALID_ARGUMENT, "new_product.follows_product_ids[0]"),
        ({"leads_to": ["case1"] * 1001}, grpc.StatusCode.INVALID_ARGUMENT, "new_product.leads_to_product_ids"),
        ({"leads_to": ["case1"], "ranker": messages.RANKER_HYBRID}, grpc.StatusCode.INVALID_ARGUMENT, "ranker"),
    ]:  # fmt: skip
        with pytest.raises(grpc.RpcError) as caught:
            client.related_to_new(**given)
        assert caught.value.code() == code and word in caught.value.details(), caught.value.details()


def test_the_command_asks_for_new_products(shop):
    client, server, _ = shop
    answer = harness.fletch(
        "query", "related", "--server", server.address, "--feature", "brand=brand2", "--leads-to", "case2", "--follows", "phone1", "--json")
    expected = client.related_to_new(features={"brand": "brand2"}, leads_to=["case2"], follows=["phone1"])
    assert [item["productId"] for item in json.loads(answer.stdout)["items"]] == [item.product_id for item in expected.items]
