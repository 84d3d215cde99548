"""Filters, caps, similar products, explanations and scores of edges: what NumPy computes from the table alone."""

import json
import subprocess
import sys

import grpc
import numpy
import pytest

import fletch
import harness
from fletch.v1 import related_products_pb2 as messages

PRODUCTS = 4000
DIMENSION = 12
SIMILAR = 10


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Random vectors, whose last two coordinates do not make products similar, in categories of very different sizes."""
    directory = tmp_path_factory.mktemp("filters")
    script = harness.ROOT / "Benchmarks/data/synthetic_embeddings.py"
    subprocess.run([sys.executable, script, directory, str(PRODUCTS), str(DIMENSION)], check=True)
    add_metadata(directory / "embeddings.safetensors", {"similar.dimension": str(SIMILAR)})
    lines = [f"B{100_000_000 + row:09d},{category(row)}" for row in range(PRODUCTS)]
    lines += ["nobody,shoes", "no-one,hats"]
    (directory / "products.csv").write_text("id,category\n" + "\n".join(lines) + "\n")
    result = harness.fletch(
        "publish", "--related", directory, "--store", directory / "store", "--list-length", 30, "--products", directory / "products.csv")
    assert "2 products not in the embeddings" in result.stderr
    return directory / "store"


def category(row):
    """Half of them shoes, a twentieth hats, four crowns, one gem; a tenth has none."""
    if row == 1234:
        return "gem"
    if row % 1000 == 7:
        return "crowns"
    if row % 10 == 9:
        return ""
    return "shoes" if row % 2 == 0 else "hats" if row % 20 == 1 else f"shelf {row % 7}|more"


def add_metadata(path, metadata):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 4096)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


@pytest.fixture(scope="module")
def table(store):
    return harness.PublishedTable(store / "related" / "1")


@pytest.fixture(scope="module")
def server(store):
    with harness.Server(store) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with fletch.Client(server.address, timeout=20) as client:
        yield client


def pairs(response):
    return [(item.product_id, item.score) for item in response.items]


def refused(client, **request):
    with pytest.raises(grpc.RpcError) as caught:
        client.ask(messages.RelatedRequest(**request))
    return caught.value.code(), caught.value.details()


FILTERS = [
    {"allow_categories": ["shoes"]},
    {"allow_categories": ["hats"]},
    {"allow_categories": ["crowns"], "limit": 4},
    {"allow_categories": ["gem"]},
    {"allow_categories": ["gem", "crowns", "nothing of the kind"], "deny_categories": ["gem"]},
    {"deny_categories": ["shoes", "hats"], "limit": 1000},
    {"max_per_category": 1, "limit": 500},
    {"max_per_category": 7, "limit": 60, "allow_categories": ["shoes", "hats", "gem"]},
    {"allow_categories": ["shoes"], "limit": 1000},
]


def asked_with(table, rows):
    """What can be asked with, as a request has it; the source vector of each, and what is left out."""
    names = [table.ids[row] for row in rows]
    return [
        ({"product_id": names[0]}, table.source[rows[0]], names[:1]),
        ({"product_ids": names}, numpy.mean(table.source[rows], axis=0), names),
        ({"source_vector": table.source[rows[0]].tolist()}, table.source[rows[0]], []),
    ]


@pytest.mark.parametrize("similar", [False, True])
@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: "-".join(map(str, filters)))
def test_filters_leave_the_best_that_they_let_in(client, table, filters, similar):
    generator = numpy.random.default_rng(len(str(filters)))
    for request, vector, asked in asked_with(table, generator.choice(PRODUCTS, 3, replace=False)):
        scores = table.source[:, :SIMILAR] @ vector[:SIMILAR] if similar else table.target @ vector
        excluded = [table.ids[row] for row in generator.choice(PRODUCTS, 100)]
        bought = [table.ids[row] for row in numpy.argsort(-scores)[:5]]
        response = client.ask(
            messages.RelatedRequest(
                exclude_product_ids=[*excluded, "nobody"], bought_product_ids=bought, **filters, **request,
                relation=messages.RELATION_SIMILAR if similar else messages.RELATION_RELATED))  # fmt: skip
        expected = table.answer(
            scores, filters.get("limit", 10), [*asked, *excluded, *bought], filters.get("allow_categories", ()),
            filters.get("deny_categories", ()), filters.get("max_per_category", 0))  # fmt: skip
        harness.same_answer(pairs(response), expected, tolerance=1e-4)


def test_one_product_of_a_category_is_found_from_everywhere(client, table):
    gem = table.ids[1234]
    for row in range(0, PRODUCTS, 200):
        assert [item.product_id for item in client.related(table.ids[row], allow_categories=["gem"]).items] == [gem]


def test_a_filter_that_the_list_survives_is_answered_from_it(client, table):
    response = client.related(table.ids[5], limit=3, deny_categories=["gem"], max_per_category=2)
    assert response.path == messages.RETRIEVAL_PATH_LIST
    response = client.related(table.ids[5], allow_categories=["crowns"])
    assert response.path == messages.RETRIEVAL_PATH_SCAN and len(response.items) == 4


def test_explanations_tell_what_numpy_does(client, table):
    product = table.ids[40]
    for item in client.related(product, limit=40, explain=True).items:
        row = table.row[item.product_id]
        explanation = item.explanation
        assert explanation.ranker == messages.RANKER_INNER_PRODUCT and explanation.path_score == 0
        assert explanation.forward_score == item.score
        assert abs(explanation.reverse_score - table.source[row] @ table.target[40]) < 1e-4
        assert explanation.category == (table.category[row] or "")
    cart = client.related_to_cart([product, table.ids[41]], explain=True)
    for item in cart.items:
        back = table.source[table.row[item.product_id]] @ table.target[40:42].mean(axis=0)
        assert abs(item.explanation.reverse_score - back) < 1e-4
    vector = client.related_to_vector(table.source[40].tolist(), explain=True)
    assert not any(item.explanation.HasField("reverse_score") for item in vector.items)
    assert not any(item.HasField("explanation") for item in client.related(product).items)


def test_edges_are_scored_both_ways(client, table):
    generator = numpy.random.default_rng(4)
    edges = [(table.ids[a], table.ids[b]) for a, b in generator.integers(0, PRODUCTS, (5000, 2))]
    scores = client.score_edges(edges)
    assert len(scores) == len(edges)
    for (source, target), score in zip(edges, scores):
        source, target = table.row[source], table.row[target]
        assert abs(score.forward - table.source[source] @ table.target[target]) < 1e-4
        assert abs(score.reverse - table.source[target] @ table.target[source]) < 1e-4
    with pytest.raises(grpc.RpcError) as caught:
        client.score_edges([(table.ids[0], "nobody")])
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND and "nobody" in caught.value.details()


@pytest.mark.parametrize(
    "request_fields, field",
    [
        ({"allow_categories": ["x"] * 1001}, "allow_categories"),
        ({"deny_categories": [f"category {i}" for i in range(5000)]}, "deny_categories"),
        ({"allow_categories": ["shoes", ""]}, "allow_categories[1]"),
        ({"exclude_product_ids": ["x"] * 10_001}, "exclude_product_ids"),
        ({"bought_product_ids": [""] * 10_001}, "bought_product_ids"),
        ({"relation": 9}, "relation"),
        ({"ranker": 9}, "ranker"),
        ({"ranker": messages.RANKER_HYBRID, "relation": messages.RELATION_SIMILAR}, "ranker"),
        ({"new_product": messages.NewProduct()}, "new_product: all of it is empty"),
        ({"new_product": messages.NewProduct(leads_to_product_ids=["B100000000"])}, "product_id and new_product"),
        ({"new_product": messages.NewProduct(features={str(i): "" for i in range(1001)})}, "new_product.features"),
        ({"limit": 2**32 - 1, "max_per_category": 2**32 - 1}, "limit"),
    ],
)
def test_a_wrong_request_names_its_field(client, table, request_fields, field):
    code, text = refused(client, product_id=table.ids[0], **request_fields)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and field in text, text


def test_hostile_filters_cost_no_answer(client, table):
    """All that a request may bring at once: unknown, repeated, empty, as large as numbers get."""
    response = client.ask(
        messages.RelatedRequest(
            product_id=table.ids[3], limit=20, exclude_product_ids=["", *(f"unknown {i}" for i in range(9_999))],
            bought_product_ids=[table.ids[9]] * 10_000, allow_categories=["hats"] * 500 + [f"x{i}" for i in range(500)],
            deny_categories=[f"y{i}" for i in range(1000)], max_per_category=2**32 - 1, exact=True, explain=True,
            ranker=messages.RANKER_INNER_PRODUCT, relation=messages.RELATION_RELATED))  # fmt: skip
    expected = table.answer(table.target @ table.source[3], 20, [table.ids[3], table.ids[9]], ["hats"])
    harness.same_answer(pairs(response), expected, tolerance=1e-4)


def test_a_table_says_what_it_has_not(client, table, tmp_path):
    code, text = refused(client, product_id=table.ids[0], ranker=messages.RANKER_HYBRID)
    assert code == grpc.StatusCode.FAILED_PRECONDITION and "ranker" in text and "fletch publish" in text
    script = harness.ROOT / "Benchmarks/data/synthetic_embeddings.py"
    subprocess.run([sys.executable, script, tmp_path, "50", "4"], check=True)
    harness.fletch("publish", "--related", tmp_path, "--store", tmp_path / "store")
    with harness.Server(tmp_path / "store") as plain, fletch.Client(plain.address, timeout=20) as other:
        code, text = refused(other, product_id="B100000000", max_per_category=2)
        assert code == grpc.StatusCode.FAILED_PRECONDITION and "max_per_category" in text and "--products" in text


def test_a_batch_mixes_what_works_and_what_does_not(client, table):
    name = table.ids[3]
    results = client.related_batch([
        messages.RelatedRequest(product_id=name, allow_categories=["gem"]),
        messages.RelatedRequest(product_id=name, allow_categories=[""]),
        messages.RelatedRequest(product_id="nobody", deny_categories=["gem"]),
        messages.RelatedRequest(product_id=name, ranker=messages.RANKER_HYBRID),
        messages.RelatedRequest(product_id=name, relation=messages.RELATION_SIMILAR, max_per_category=1),
        messages.RelatedRequest(product_id=name),
    ])  # fmt: skip
    assert [result.status.code for result in results] == [0, 3, 5, 9, 0, 0]
    assert [item.product_id for item in results[0].response.items] == [table.ids[1234]]
    similar = table.answer(table.source[:, :SIMILAR] @ table.source[3][:SIMILAR], 10, [name], cap=1)
    harness.same_answer(pairs(results[4].response), similar, tolerance=1e-4)
    harness.same_answer(pairs(results[5].response), table.related_to(name), tolerance=1e-4)


def test_the_command_has_a_flag_for_each(server, table):
    name = table.ids[3]

    def query(*arguments):
        return harness.fletch("query", "related", "--server", server.address, "--product", name, *arguments).stdout

    flags = ("--allow-category", "hats", "--allow-category", "gem", "--deny-category", "gem", "--max-per-category", 4, "--exact",
             "--bought", table.ids[21], "--ranker", "inner-product", "--limit", 8)  # fmt: skip
    answer = json.loads(query(*flags, "--json"))
    expected = table.answer(table.target @ table.source[3], 4, [name, table.ids[21]], ["hats"])
    harness.same_answer([(item["productId"], item["score"]) for item in answer["items"]], expected, tolerance=1e-4)
    text = query(*flags, "--explain")
    assert "forward" in text and f"{expected[0][0]}  [hats]" in text
    assert "is like" in query("--similar")
    edges = harness.fletch("query", "edges", "--server", server.address, "--source", name, "--target", expected[0][0]).stdout
    assert f"{expected[0][1]:.4f}" in edges
    edges = harness.fletch("query", "edges", "--server", server.address, "--source", name, "--target", name, "--json").stdout
    assert abs(json.loads(edges)["scores"][0]["forward"] - table.source[3] @ table.target[3]) < 1e-4


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["related", "--product", "x", "--feature", "brand"], "--feature"),
        (["related", "--feature", "a=1", "--feature", "a=2"], "--feature"),
        (["related", "--product", "x", "--ranker", "best"], "--ranker"),
        (["edges", "--source", "a", "--source", "b", "--target", "c"], "--target"),
    ],
)
def test_a_wrong_flag_is_named(arguments, word):
    assert word in harness.refusal("query", *arguments)


@pytest.mark.parametrize(
    "text, word",
    [
        ("id,kind\nB100000000,x\n", "category"),
        ("id,category\nnobody,x\n", "none of its ids"),
        ("id,category\nB100000000,x\nB100000000,y\n", "products.csv:3"),
        ("category\nx\n", "column id"),
    ],
)
def test_a_wrong_product_file_is_refused(tmp_path, text, word):
    script = harness.ROOT / "Benchmarks/data/synthetic_embeddings.py"
    subprocess.run([sys.executable, script, tmp_path, "50", "4"], check=True)
    (tmp_path / "products.csv").write_text(text)
    error = harness.refusal(
        "publish", "--related", tmp_path, "--store", tmp_path / "store", "--products", tmp_path / "products.csv")
    assert word in error and not (tmp_path / "store").exists()
