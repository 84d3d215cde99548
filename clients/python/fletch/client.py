"""A thin layer over the generated stubs: deadlines and retries by default, TLS and tokens, plain arguments."""

import json
from collections.abc import Iterable, Mapping, Sequence

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

    def related(self, product_id: str, *, timeout: float | None = None, **options) -> messages.RelatedResponse:
        """What `product_id` leads to, best first. `options` are those of `request`."""
        return self.ask(self.request(product_id=product_id, **options), timeout=timeout)

    def related_to_cart(
        self, product_ids: Iterable[str], *, timeout: float | None = None, **options
    ) -> messages.RelatedResponse:
        """What several products taken together lead to; none of them is in the answer."""
        return self.ask(self.request(product_ids=product_ids, **options), timeout=timeout)

    def related_to_vector(
        self, source_vector: Sequence[float], *, timeout: float | None = None, **options
    ) -> messages.RelatedResponse:
        """What a product with this source vector, of the table's dimension, leads to."""
        return self.ask(self.request(source_vector=source_vector, **options), timeout=timeout)

    def related_to_new(
        self,
        *,
        features: Mapping[str, str] = {},
        leads_to: Iterable[str] = (),
        follows: Iterable[str] = (),
        timeout: float | None = None,
        **options,
    ) -> messages.RelatedResponse:
        """What a product leads to that the table does not know: of these features, known to lead to and to follow these
        products."""
        product = messages.NewProduct(features=features, leads_to_product_ids=leads_to, follows_product_ids=follows)
        return self.ask(self.request(new_product=product, **options), timeout=timeout)

    @staticmethod
    def request(
        *,
        limit: int = 0,
        exclude: Iterable[str] = (),
        bought: Iterable[str] = (),
        similar: bool = False,
        allow_categories: Iterable[str] = (),
        deny_categories: Iterable[str] = (),
        max_per_category: int = 0,
        ranker: messages.Ranker = messages.RANKER_UNSPECIFIED,
        exact: bool = False,
        explain: bool = False,
        **asked_with,
    ) -> messages.RelatedRequest:
        """A request by plain arguments, for `ask` and `related_batch`.

        `asked_with` is one of product_id, product_ids, source_vector and new_product. `limit` 0 means the server's
        default, 10; `exclude` and `bought` are left out of the answer; `similar` asks for what leads to the same;
        `max_per_category` 0 means any number; `ranker` is the table's best where not said; `exact` forbids approximate
        ways; `explain` fills each item's explanation.
        """
        return messages.RelatedRequest(
            limit=limit,
            exclude_product_ids=exclude,
            bought_product_ids=bought,
            relation=messages.RELATION_SIMILAR if similar else messages.RELATION_RELATED,
            allow_categories=allow_categories,
            deny_categories=deny_categories,
            max_per_category=max_per_category,
            ranker=ranker,
            exact=exact,
            explain=explain,
            **asked_with,
        )

    def ask(self, request: messages.RelatedRequest, *, timeout: float | None = None) -> messages.RelatedResponse:
        """The answer to a request."""
        return self._stub.Related(request, **self._options(timeout))

    def score_edges(
        self, edges: Iterable[tuple[str, str]], *, timeout: float | None = None
    ) -> list[messages.EdgeScore]:
        """How much each first product leads to the second (`forward`), and back (`reverse`)."""
        pairs = [messages.ProductEdge(source_product_id=source, target_product_id=target) for source, target in edges]
        return list(self._stub.ScoreEdges(messages.ScoreEdgesRequest(edges=pairs), **self._options(timeout)).scores)

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
