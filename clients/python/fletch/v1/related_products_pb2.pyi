from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RetrievalPath(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETRIEVAL_PATH_UNSPECIFIED: _ClassVar[RetrievalPath]
    RETRIEVAL_PATH_LIST: _ClassVar[RetrievalPath]
    RETRIEVAL_PATH_SCAN: _ClassVar[RetrievalPath]
RETRIEVAL_PATH_UNSPECIFIED: RetrievalPath
RETRIEVAL_PATH_LIST: RetrievalPath
RETRIEVAL_PATH_SCAN: RetrievalPath

class RelatedRequest(_message.Message):
    __slots__ = ("product_id", "product_ids", "source_vector", "limit", "exclude_product_ids")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_PRODUCT_IDS_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    product_ids: _containers.RepeatedScalarFieldContainer[str]
    source_vector: _containers.RepeatedScalarFieldContainer[float]
    limit: int
    exclude_product_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, product_id: _Optional[str] = ..., product_ids: _Optional[_Iterable[str]] = ..., source_vector: _Optional[_Iterable[float]] = ..., limit: _Optional[int] = ..., exclude_product_ids: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("product_id", "score")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    score: float
    def __init__(self, product_id: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

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
