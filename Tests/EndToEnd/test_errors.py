"""Rich errors as stock clients read them: google.rpc.Status by grpcio-status."""

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs


def failure(server, **request):
    """The status and its only detail, of the given type."""
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        stubs.RelatedProductsStub(channel).Related(messages.RelatedRequest(**request), timeout=5)
    # Raises where code or message differ from grpc-status and grpc-message.
    status = rpc_status.from_call(caught.value)
    assert len(status.details) == 1
    return status


def test_an_unknown_product_has_a_reason(server):
    status = failure(server, product_id="no-such-Größe")
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, info.reason, info.domain) == (5, "PRODUCT_NOT_FOUND", "fletch.dev")
    assert dict(info.metadata) == {"productId": "no-such-Größe", "table": "related", "tableVersion": "1"}


@pytest.mark.parametrize(
    "request_fields, fields",
    [
        ({"product_id": "gimp", "limit": 1001}, ["limit"]),
        ({"product_id": "gimp", "product_ids": ["vim"]}, ["product_id", "product_ids"]),
        ({"product_ids": ["gimp", ""]}, ["product_ids[1]"]),
    ],
)
def test_a_wrong_request_lists_its_fields(server, request_fields, fields):
    status = failure(server, **request_fields)
    violations = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(violations) and status.code == 3
    assert [violation.field for violation in violations.field_violations] == fields


def test_a_long_id_still_fits_a_header_list(server):
    status = failure(server, product_id="\u00e9" * 100_000)
    assert status.code == 5 and len(status.SerializeToString()) < 3 << 10
