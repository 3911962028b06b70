import datetime

from culld.v1 import collection_pb2 as _collection_pb2
from culld.v1 import operation_pb2 as _operation_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerLimits(_message.Message):
    __slots__ = ("image_bytes_max", "image_pixels_max", "decode_seconds_max", "inflight_bytes_max", "unread_outcomes_max", "page_size_max", "collections_max", "clusterings_kept", "image_side_px_max", "fetch_streams_max", "request_seconds_max", "duplicates_images_max", "watch_streams_max")
    IMAGE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PIXELS_MAX_FIELD_NUMBER: _ClassVar[int]
    DECODE_SECONDS_MAX_FIELD_NUMBER: _ClassVar[int]
    INFLIGHT_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    UNREAD_OUTCOMES_MAX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_MAX_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    CLUSTERINGS_KEPT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIDE_PX_MAX_FIELD_NUMBER: _ClassVar[int]
    FETCH_STREAMS_MAX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SECONDS_MAX_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_IMAGES_MAX_FIELD_NUMBER: _ClassVar[int]
    WATCH_STREAMS_MAX_FIELD_NUMBER: _ClassVar[int]
    image_bytes_max: int
    image_pixels_max: int
    decode_seconds_max: float
    inflight_bytes_max: int
    unread_outcomes_max: int
    page_size_max: int
    collections_max: int
    clusterings_kept: int
    image_side_px_max: int
    fetch_streams_max: int
    request_seconds_max: float
    duplicates_images_max: int
    watch_streams_max: int
    def __init__(self, image_bytes_max: _Optional[int] = ..., image_pixels_max: _Optional[int] = ..., decode_seconds_max: _Optional[float] = ..., inflight_bytes_max: _Optional[int] = ..., unread_outcomes_max: _Optional[int] = ..., page_size_max: _Optional[int] = ..., collections_max: _Optional[int] = ..., clusterings_kept: _Optional[int] = ..., image_side_px_max: _Optional[int] = ..., fetch_streams_max: _Optional[int] = ..., request_seconds_max: _Optional[float] = ..., duplicates_images_max: _Optional[int] = ..., watch_streams_max: _Optional[int] = ...) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "limits", "embedding_space", "index", "durability", "allowed_roots", "start_time", "features", "workers")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_ROOTS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    limits: ServerLimits
    embedding_space: _collection_pb2.EmbeddingSpace
    index: str
    durability: str
    allowed_roots: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    features: _containers.RepeatedScalarFieldContainer[str]
    workers: int
    def __init__(self, version: _Optional[str] = ..., limits: _Optional[_Union[ServerLimits, _Mapping]] = ..., embedding_space: _Optional[_Union[_collection_pb2.EmbeddingSpace, _Mapping]] = ..., index: _Optional[str] = ..., durability: _Optional[str] = ..., allowed_roots: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., features: _Optional[_Iterable[str]] = ..., workers: _Optional[int] = ...) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("images", "sources", "generation", "labelled_keep", "labelled_discard", "decided_keep", "decided_discard", "in_review", "judgements", "bulk_verdicts", "events", "clusterings", "active_clustering_id", "clustering_generation", "clusters", "noise", "index", "vector_bytes", "disk_bytes", "queued_images", "inflight_bytes", "live_generation", "live_clusters", "live_noise", "review_ready")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LABELLED_KEEP_FIELD_NUMBER: _ClassVar[int]
    LABELLED_DISCARD_FIELD_NUMBER: _ClassVar[int]
    DECIDED_KEEP_FIELD_NUMBER: _ClassVar[int]
    DECIDED_DISCARD_FIELD_NUMBER: _ClassVar[int]
    IN_REVIEW_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    BULK_VERDICTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERINGS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_GENERATION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VECTOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUEUED_IMAGES_FIELD_NUMBER: _ClassVar[int]
    INFLIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIVE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    LIVE_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    LIVE_NOISE_FIELD_NUMBER: _ClassVar[int]
    REVIEW_READY_FIELD_NUMBER: _ClassVar[int]
    images: int
    sources: int
    generation: int
    labelled_keep: int
    labelled_discard: int
    decided_keep: int
    decided_discard: int
    in_review: int
    judgements: int
    bulk_verdicts: int
    events: int
    clusterings: int
    active_clustering_id: int
    clustering_generation: int
    clusters: int
    noise: int
    index: str
    vector_bytes: int
    disk_bytes: int
    queued_images: int
    inflight_bytes: int
    live_generation: int
    live_clusters: int
    live_noise: int
    review_ready: bool
    def __init__(self, images: _Optional[int] = ..., sources: _Optional[int] = ..., generation: _Optional[int] = ..., labelled_keep: _Optional[int] = ..., labelled_discard: _Optional[int] = ..., decided_keep: _Optional[int] = ..., decided_discard: _Optional[int] = ..., in_review: _Optional[int] = ..., judgements: _Optional[int] = ..., bulk_verdicts: _Optional[int] = ..., events: _Optional[int] = ..., clusterings: _Optional[int] = ..., active_clustering_id: _Optional[int] = ..., clustering_generation: _Optional[int] = ..., clusters: _Optional[int] = ..., noise: _Optional[int] = ..., index: _Optional[str] = ..., vector_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., queued_images: _Optional[int] = ..., inflight_bytes: _Optional[int] = ..., live_generation: _Optional[int] = ..., live_clusters: _Optional[int] = ..., live_noise: _Optional[int] = ..., review_ready: _Optional[bool] = ...) -> None: ...

class GetGrowthRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class GetGrowthResponse(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[GrowthPoint]
    def __init__(self, points: _Optional[_Iterable[_Union[GrowthPoint, _Mapping]]] = ...) -> None: ...

class GrowthPoint(_message.Message):
    __slots__ = ("time", "images", "decided_keep", "decided_discard", "in_review")
    TIME_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    DECIDED_KEEP_FIELD_NUMBER: _ClassVar[int]
    DECIDED_DISCARD_FIELD_NUMBER: _ClassVar[int]
    IN_REVIEW_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    images: int
    decided_keep: int
    decided_discard: int
    in_review: int
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., images: _Optional[int] = ..., decided_keep: _Optional[int] = ..., decided_discard: _Optional[int] = ..., in_review: _Optional[int] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ("collection", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations", "next_page_token")
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[_operation_pb2.Operation]
    next_page_token: str
    def __init__(self, operations: _Optional[_Iterable[_Union[_operation_pb2.Operation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelOperationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class WaitOperationRequest(_message.Message):
    __slots__ = ("name", "timeout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    timeout: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class WatchOperationRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class BackupResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...
