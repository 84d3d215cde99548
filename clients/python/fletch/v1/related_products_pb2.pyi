from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Relation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELATION_UNSPECIFIED: _ClassVar[Relation]
    RELATION_RELATED: _ClassVar[Relation]
    RELATION_SIMILAR: _ClassVar[Relation]

class Ranker(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RANKER_UNSPECIFIED: _ClassVar[Ranker]
    RANKER_INNER_PRODUCT: _ClassVar[Ranker]
    RANKER_HYBRID: _ClassVar[Ranker]

class RetrievalPath(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETRIEVAL_PATH_UNSPECIFIED: _ClassVar[RetrievalPath]
    RETRIEVAL_PATH_LIST: _ClassVar[RetrievalPath]
    RETRIEVAL_PATH_SCAN: _ClassVar[RetrievalPath]
    RETRIEVAL_PATH_QUANTIZED_SCAN: _ClassVar[RetrievalPath]
    RETRIEVAL_PATH_INVERTED_LISTS: _ClassVar[RetrievalPath]
RELATION_UNSPECIFIED: Relation
RELATION_RELATED: Relation
RELATION_SIMILAR: Relation
RANKER_UNSPECIFIED: Ranker
RANKER_INNER_PRODUCT: Ranker
RANKER_HYBRID: Ranker
RETRIEVAL_PATH_UNSPECIFIED: RetrievalPath
RETRIEVAL_PATH_LIST: RetrievalPath
RETRIEVAL_PATH_SCAN: RetrievalPath
RETRIEVAL_PATH_QUANTIZED_SCAN: RetrievalPath
RETRIEVAL_PATH_INVERTED_LISTS: RetrievalPath

class RelatedRequest(_message.Message):
    __slots__ = ("product_id", "product_ids", "source_vector", "limit", "exclude_product_ids", "relation", "exact", "ranker", "explain", "bought_product_ids", "allow_categories", "deny_categories", "max_per_category", "new_product")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    RANKER_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    DENY_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    NEW_PRODUCT_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    source_vector: _containers.RepeatedScalarFieldContainer[float]
    limit: int
    exclude_product_ids: _containers.RepeatedScalarFieldContainer[str]
    relation: Relation
    exact: bool
    ranker: Ranker
    explain: bool
    bought_product_ids: _containers.RepeatedScalarFieldContainer[str]
    allow_categories: _containers.RepeatedScalarFieldContainer[str]
    deny_categories: _containers.RepeatedScalarFieldContainer[str]
    max_per_category: int
    new_product: NewProduct
    def __init__(self, product_id: _Optional[str] = ..., product_ids: _Optional[_Iterable[str]] = ..., source_vector: _Optional[_Iterable[float]] = ..., limit: _Optional[int] = ..., exclude_product_ids: _Optional[_Iterable[str]] = ..., relation: _Optional[_Union[Relation, str]] = ..., exact: _Optional[bool] = ..., ranker: _Optional[_Union[Ranker, str]] = ..., explain: _Optional[bool] = ..., bought_product_ids: _Optional[_Iterable[str]] = ..., allow_categories: _Optional[_Iterable[str]] = ..., deny_categories: _Optional[_Iterable[str]] = ..., max_per_category: _Optional[int] = ..., new_product: _Optional[_Union[NewProduct, _Mapping]] = ...) -> None: ...

class NewProduct(_message.Message):
    __slots__ = ("features", "leads_to_product_ids", "follows_product_ids")
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    LEADS_TO_PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    features: _containers.ScalarMap[str, str]
    leads_to_product_ids: _containers.RepeatedScalarFieldContainer[str]
    follows_product_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, features: _Optional[_Mapping[str, str]] = ..., leads_to_product_ids: _Optional[_Iterable[str]] = ..., follows_product_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RelatedResponse(_message.Message):
    __slots__ = ("items", "table_version", "path")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RelatedItem]
    table_version: str
    path: RetrievalPath
    def __init__(self, items: _Optional[_Iterable[_Union[RelatedItem, _Mapping]]] = ..., table_version: _Optional[str] = ..., path: _Optional[_Union[RetrievalPath, str]] = ...) -> None: ...

class RelatedItem(_message.Message):
    __slots__ = ("product_id", "score", "explanation")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    score: float
    explanation: Explanation
    def __init__(self, product_id: _Optional[str] = ..., score: _Optional[float] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("ranker", "forward_score", "reverse_score", "path_score", "category")
    RANKER_FIELD_NUMBER: _ClassVar[int]
    FORWARD_SCORE_FIELD_NUMBER: _ClassVar[int]
    REVERSE_SCORE_FIELD_NUMBER: _ClassVar[int]
    PATH_SCORE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    ranker: Ranker
    forward_score: float
    reverse_score: float
    path_score: float
    category: str
    def __init__(self, ranker: _Optional[_Union[Ranker, str]] = ..., forward_score: _Optional[float] = ..., reverse_score: _Optional[float] = ..., path_score: _Optional[float] = ..., category: _Optional[str] = ...) -> None: ...

class ScoreEdgesRequest(_message.Message):
    __slots__ = ("edges",)
    EDGES_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedCompositeFieldContainer[ProductEdge]
    def __init__(self, edges: _Optional[_Iterable[_Union[ProductEdge, _Mapping]]] = ...) -> None: ...

class ProductEdge(_message.Message):
    __slots__ = ("source_product_id", "target_product_id")
    SOURCE_PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    source_product_id: str
    target_product_id: str
    def __init__(self, source_product_id: _Optional[str] = ..., target_product_id: _Optional[str] = ...) -> None: ...

class ScoreEdgesResponse(_message.Message):
    __slots__ = ("scores", "table_version")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    TABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedCompositeFieldContainer[EdgeScore]
    table_version: str
    def __init__(self, scores: _Optional[_Iterable[_Union[EdgeScore, _Mapping]]] = ..., table_version: _Optional[str] = ...) -> None: ...

class EdgeScore(_message.Message):
    __slots__ = ("forward", "reverse")
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    forward: float
    reverse: float
    def __init__(self, forward: _Optional[float] = ..., reverse: _Optional[float] = ...) -> None: ...

class RelatedBatchRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RelatedRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RelatedRequest, _Mapping]]] = ...) -> None: ...

class RelatedBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RelatedResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RelatedResult, _Mapping]]] = ...) -> None: ...

class RelatedResult(_message.Message):
    __slots__ = ("status", "response")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    status: Status
    response: RelatedResponse
    def __init__(self, status: _Optional[_Union[Status, _Mapping]] = ..., response: _Optional[_Union[RelatedResponse, _Mapping]] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...
