import datetime

from culld.v1 import decision_pb2 as _decision_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Collection(_message.Message):
    __slots__ = ("name", "create_time", "embedding_space", "images", "generation", "active_clustering_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    create_time: _timestamp_pb2.Timestamp
    embedding_space: EmbeddingSpace
    images: int
    generation: int
    active_clustering_id: int
    def __init__(self, name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., embedding_space: _Optional[_Union[EmbeddingSpace, _Mapping]] = ..., images: _Optional[int] = ..., generation: _Optional[int] = ..., active_clustering_id: _Optional[int] = ...) -> None: ...

class EmbeddingSpace(_message.Message):
    __slots__ = ("id", "model_digest", "preprocessing", "dimension", "numeric_mode")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    NUMERIC_MODE_FIELD_NUMBER: _ClassVar[int]
    id: str
    model_digest: str
    preprocessing: str
    dimension: int
    numeric_mode: str
    def __init__(self, id: _Optional[str] = ..., model_digest: _Optional[str] = ..., preprocessing: _Optional[str] = ..., dimension: _Optional[int] = ..., numeric_mode: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("version", "standing_margin", "standing_radius", "inheritance_quorum", "inheritance_agreement", "answer_in_review", "precision_weight", "update_time", "recluster_growth", "recluster_noise", "recluster_hours", "doubt_threshold", "duplicate_distance", "duplicate_hash_distance")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STANDING_MARGIN_FIELD_NUMBER: _ClassVar[int]
    STANDING_RADIUS_FIELD_NUMBER: _ClassVar[int]
    INHERITANCE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    INHERITANCE_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_IN_REVIEW_FIELD_NUMBER: _ClassVar[int]
    PRECISION_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECLUSTER_GROWTH_FIELD_NUMBER: _ClassVar[int]
    RECLUSTER_NOISE_FIELD_NUMBER: _ClassVar[int]
    RECLUSTER_HOURS_FIELD_NUMBER: _ClassVar[int]
    DOUBT_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_HASH_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    version: int
    standing_margin: float
    standing_radius: float
    inheritance_quorum: float
    inheritance_agreement: float
    answer_in_review: _decision_pb2.DecisionKind
    precision_weight: float
    update_time: _timestamp_pb2.Timestamp
    recluster_growth: float
    recluster_noise: float
    recluster_hours: float
    doubt_threshold: float
    duplicate_distance: float
    duplicate_hash_distance: float
    def __init__(self, version: _Optional[int] = ..., standing_margin: _Optional[float] = ..., standing_radius: _Optional[float] = ..., inheritance_quorum: _Optional[float] = ..., inheritance_agreement: _Optional[float] = ..., answer_in_review: _Optional[_Union[_decision_pb2.DecisionKind, str]] = ..., precision_weight: _Optional[float] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recluster_growth: _Optional[float] = ..., recluster_noise: _Optional[float] = ..., recluster_hours: _Optional[float] = ..., doubt_threshold: _Optional[float] = ..., duplicate_distance: _Optional[float] = ..., duplicate_hash_distance: _Optional[float] = ...) -> None: ...
