"""A thin layer over the generated stubs: deadlines and retries by default, TLS and tokens, plain arguments."""

import json
from collections.abc import Iterable, Sequence

import grpc

from fletch.v1 import related_products_pb2 as messages
from fletch.v1 import related_products_pb2_grpc as stubs

# Retried by grpcio itself: the server did not take the call, or the connection broke; asking again changes nothing.
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "fletch.v1.RelatedProducts"}],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


class Client:
    """A connection to a Fletch server. Safe to share between threads.

    Errors are grpc.RpcError with the server's status: NOT_FOUND for an unknown product, INVALID_ARGUMENT for a
    wrong request, UNAUTHENTICATED for a token that the server does not know, UNAVAILABLE where no server or no table
    answers, DEADLINE_EXCEEDED after `timeout` seconds.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
        timeout: float = 1.0,
        retry: bool = True,
    ):
        """Connects lazily to `target`: "host:port", or "unix:/run/fletch.sock".

        `credentials`, from grpc.ssl_channel_credentials, make it TLS; `token` goes with each call (without TLS it can be
        read on its way); `timeout` in seconds bounds each call; `retry` asks again where the server did not answer.
        """
        options = [("grpc.service_config", _SERVICE_CONFIG)] if retry else []
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options=options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options=options)
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._stub = stubs.RelatedProductsStub(self._channel)
        self.timeout = timeout

    def related(
        self, product_id: str, *, limit: int = 0, exclude: Iterable[str] = (), timeout: float | None = None
    ) -> messages.RelatedResponse:
        """What `product_id` leads to, best first; `limit` 0 means the server's default, 10."""
        request = messages.RelatedRequest(product_id=product_id, limit=limit, exclude_product_ids=exclude)
        return self._stub.Related(request, **self._options(timeout))

    def related_to_cart(
        self, product_ids: Iterable[str], *, limit: int = 0, exclude: Iterable[str] = (), timeout: float | None = None
    ) -> messages.RelatedResponse:
        """What several products taken together lead to; none of them is in the answer."""
        request = messages.RelatedRequest(product_ids=product_ids, limit=limit, exclude_product_ids=exclude)
        return self._stub.Related(request, **self._options(timeout))

    def related_to_vector(
        self, source_vector: Sequence[float], *, limit: int = 0, exclude: Iterable[str] = (), timeout: float | None = None
    ) -> messages.RelatedResponse:
        """What a product with this source vector, of the table's dimension, leads to."""
        request = messages.RelatedRequest(source_vector=source_vector, limit=limit, exclude_product_ids=exclude)
        return self._stub.Related(request, **self._options(timeout))

    def related_batch(
        self, requests: Iterable[messages.RelatedRequest], *, timeout: float | None = None
    ) -> list[messages.RelatedResult]:
        """Many requests in one call; each result carries its own status (`result.status.code`, 0 is OK)."""
        batch = messages.RelatedBatchRequest(requests=requests)
        return list(self._stub.RelatedBatch(batch, **self._options(timeout)).results)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _options(self, timeout: float | None) -> dict:
        """What goes with every call."""
        return {"timeout": self.timeout if timeout is None else timeout, "metadata": self._metadata}
