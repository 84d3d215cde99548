"""The answers: equal through every client, and equal to the definition computed with NumPy."""

import json
import subprocess

import grpc
import numpy
import pytest

import harness
from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs

PRODUCTS = ["gimp", "postgresql", "python3-numpy", "gcc", "vim"]


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.address) as channel:
        yield stubs.RelatedProductsStub(channel)


def pairs(response):
    return [(item.product_id, item.score) for item in response.items]


def failure(stub, **request):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Related(messages.RelatedRequest(**request), timeout=5)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_client_gives_the_ten_products_that_numpy_computes(product, server, stub, table):
    expected = table.related_to(product)

    response = stub.Related(messages.RelatedRequest(product_id=product, limit=10), timeout=5)
    harness.same_answer(pairs(response), expected)
    assert (response.path, response.table_version) == (messages.RETRIEVAL_PATH_LIST, "1")

    own = json.loads(harness.fletch("query", "related", "--server", server.address, "--product", product, "--limit", 10, "--json").stdout)
    harness.same_answer([(item["productId"], item["score"]) for item in own["items"]], expected)

    answered = subprocess.run(
        [harness.grpcurl_path(), "-plaintext", "-import-path", harness.ROOT / "proto", "-proto", "fletch/v1/related_products.proto",
         "-d", json.dumps({"product_id": product, "limit": 10}), server.address, "fletch.v1.RelatedProducts/Related"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    items = json.loads(answered.stdout)["items"]
    harness.same_answer([(item["productId"], item["score"]) for item in items], expected)


def test_the_default_limit_is_ten(stub):
    assert len(stub.Related(messages.RelatedRequest(product_id="gimp")).items) == 10


def test_a_cart_ranks_by_the_mean_and_leaves_itself_out(stub, table):
    cart = ["gimp", "inkscape", "gimp"]
    response = stub.Related(messages.RelatedRequest(product_ids=cart, limit=20))
    harness.same_answer(pairs(response), table.related_to("gimp", "inkscape", limit=20))
    assert response.path == messages.RETRIEVAL_PATH_QUANTIZED_SCAN


def test_a_raw_vector_is_answered_by_an_exact_scan(stub, table):
    vector = numpy.random.default_rng(5).normal(size=table.source.shape[1]).astype(numpy.float32)
    response = stub.Related(messages.RelatedRequest(source_vector=vector.tolist(), limit=50))
    harness.same_answer(pairs(response), table.related(vector, 50))


def test_excluded_products_are_replaced_by_the_next_best(stub, table):
    excluded = [name for name, _ in table.related_to("gimp", limit=5)] + ["no-such-package"]
    response = stub.Related(messages.RelatedRequest(product_id="gimp", exclude_product_ids=excluded))
    harness.same_answer(pairs(response), table.related_to("gimp", without=excluded))


def test_a_limit_beyond_the_list_is_answered_in_full(stub, table):
    response = stub.Related(messages.RelatedRequest(product_id="gimp", limit=1000))
    harness.same_answer(pairs(response), table.related_to("gimp", limit=1000))
    assert response.path == messages.RETRIEVAL_PATH_QUANTIZED_SCAN


def test_excluding_a_whole_list_does_not_shorten_the_answer(stub, table):
    excluded = [name for name, _ in table.related_to("gimp", limit=200)]
    response = stub.Related(messages.RelatedRequest(product_id="gimp", limit=10, exclude_product_ids=excluded))
    harness.same_answer(pairs(response), table.related_to("gimp", without=excluded))


def test_an_unknown_product_is_named(stub):
    code, text = failure(stub, product_id="no-such-package")
    assert code == grpc.StatusCode.NOT_FOUND and "no-such-package" in text
    code, text = failure(stub, product_ids=["gimp", "no-such-package"])
    assert code == grpc.StatusCode.NOT_FOUND and "no-such-package" in text


@pytest.mark.parametrize(
    "request_fields, field",
    [
        ({}, "product_id"),
        ({"product_id": "gimp", "product_ids": ["vim"]}, "product_ids"),
        ({"product_id": "gimp", "source_vector": [0.0] * 16}, "source_vector"),
        ({"source_vector": [1.0, 2.0]}, "source_vector"),
        ({"source_vector": [float("nan")] + [0.0] * 15}, "source_vector"),
        ({"source_vector": [float("inf")] + [0.0] * 15}, "source_vector"),
        ({"product_id": "gimp", "limit": 1001}, "limit"),
        ({"product_ids": ["gimp", ""]}, "product_ids"),
    ],
)
def test_a_wrong_request_names_its_field(stub, request_fields, field):
    code, text = failure(stub, **request_fields)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and field in text


def test_a_batch_answers_each_request_on_its_own(stub, table):
    requests = [
        messages.RelatedRequest(product_id="gimp"),
        messages.RelatedRequest(product_id="no-such-package"),
        messages.RelatedRequest(product_id="vim", limit=5000),
        messages.RelatedRequest(product_ids=["vim", "gcc"], limit=3),
    ]
    results = stub.RelatedBatch(messages.RelatedBatchRequest(requests=requests)).results
    assert [result.status.code for result in results] == [0, 5, 3, 0]
    assert "no-such-package" in results[1].status.message and "limit" in results[2].status.message
    harness.same_answer(pairs(results[0].response), table.related_to("gimp"))
    harness.same_answer(pairs(results[3].response), table.related_to("vim", "gcc", limit=3))


def test_an_oversized_batch_is_refused(stub):
    requests = [messages.RelatedRequest(product_id="gimp")] * 257
    with pytest.raises(grpc.RpcError) as caught:
        stub.RelatedBatch(messages.RelatedBatchRequest(requests=requests))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "requests" in caught.value.details()
