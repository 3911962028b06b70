import datetime

from culld.v1 import decision_pb2 as _decision_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Defect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEFECT_UNSPECIFIED: _ClassVar[Defect]
    DEFECT_BLURRED: _ClassVar[Defect]
    DEFECT_DARK: _ClassVar[Defect]
    DEFECT_OVEREXPOSED: _ClassVar[Defect]
    DEFECT_UNIFORM: _ClassVar[Defect]
    DEFECT_LOW_ENTROPY: _ClassVar[Defect]

class AddStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADD_STATUS_UNSPECIFIED: _ClassVar[AddStatus]
    ADD_STATUS_ADDED: _ClassVar[AddStatus]
    ADD_STATUS_ALREADY_PRESENT: _ClassVar[AddStatus]
    ADD_STATUS_REJECTED: _ClassVar[AddStatus]
    ADD_STATUS_FAILED: _ClassVar[AddStatus]

class AddCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADD_CAUSE_UNSPECIFIED: _ClassVar[AddCause]
    ADD_CAUSE_EMPTY: _ClassVar[AddCause]
    ADD_CAUSE_TOO_LARGE: _ClassVar[AddCause]
    ADD_CAUSE_TOO_MANY_PIXELS: _ClassVar[AddCause]
    ADD_CAUSE_UNSUPPORTED_FORMAT: _ClassVar[AddCause]
    ADD_CAUSE_CORRUPT: _ClassVar[AddCause]
    ADD_CAUSE_DECODE_TIMEOUT: _ClassVar[AddCause]
    ADD_CAUSE_PATH_NOT_ALLOWED: _ClassVar[AddCause]
    ADD_CAUSE_INVALID_SOURCE: _ClassVar[AddCause]
    ADD_CAUSE_STORAGE_FULL: _ClassVar[AddCause]
    ADD_CAUSE_INTERNAL: _ClassVar[AddCause]
    ADD_CAUSE_TOO_MANY_SOURCES: _ClassVar[AddCause]
DEFECT_UNSPECIFIED: Defect
DEFECT_BLURRED: Defect
DEFECT_DARK: Defect
DEFECT_OVEREXPOSED: Defect
DEFECT_UNIFORM: Defect
DEFECT_LOW_ENTROPY: Defect
ADD_STATUS_UNSPECIFIED: AddStatus
ADD_STATUS_ADDED: AddStatus
ADD_STATUS_ALREADY_PRESENT: AddStatus
ADD_STATUS_REJECTED: AddStatus
ADD_STATUS_FAILED: AddStatus
ADD_CAUSE_UNSPECIFIED: AddCause
ADD_CAUSE_EMPTY: AddCause
ADD_CAUSE_TOO_LARGE: AddCause
ADD_CAUSE_TOO_MANY_PIXELS: AddCause
ADD_CAUSE_UNSUPPORTED_FORMAT: AddCause
ADD_CAUSE_CORRUPT: AddCause
ADD_CAUSE_DECODE_TIMEOUT: AddCause
ADD_CAUSE_PATH_NOT_ALLOWED: AddCause
ADD_CAUSE_INVALID_SOURCE: AddCause
ADD_CAUSE_STORAGE_FULL: AddCause
ADD_CAUSE_INTERNAL: AddCause
ADD_CAUSE_TOO_MANY_SOURCES: AddCause

class Source(_message.Message):
    __slots__ = ("key", "uri", "size_bytes", "modify_time", "first_seen_time", "last_seen_time", "tags")
    KEY_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODIFY_TIME_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    key: str
    uri: str
    size_bytes: int
    modify_time: _timestamp_pb2.Timestamp
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[str] = ..., uri: _Optional[str] = ..., size_bytes: _Optional[int] = ..., modify_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class ImageMeasures(_message.Message):
    __slots__ = ("sharpness", "brightness", "clipped", "partly_clipped", "deviation", "entropy")
    SHARPNESS_FIELD_NUMBER: _ClassVar[int]
    BRIGHTNESS_FIELD_NUMBER: _ClassVar[int]
    CLIPPED_FIELD_NUMBER: _ClassVar[int]
    PARTLY_CLIPPED_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    sharpness: float
    brightness: int
    clipped: float
    partly_clipped: float
    deviation: float
    entropy: float
    def __init__(self, sharpness: _Optional[float] = ..., brightness: _Optional[int] = ..., clipped: _Optional[float] = ..., partly_clipped: _Optional[float] = ..., deviation: _Optional[float] = ..., entropy: _Optional[float] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("image_id", "sources", "width_px", "height_px", "format", "size_bytes", "add_time", "embedding", "cluster_id", "defects", "measures")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ADD_TIME_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    DEFECTS_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    sources: _containers.RepeatedCompositeFieldContainer[Source]
    width_px: int
    height_px: int
    format: str
    size_bytes: int
    add_time: _timestamp_pb2.Timestamp
    embedding: _containers.RepeatedScalarFieldContainer[float]
    cluster_id: int
    defects: _containers.RepeatedScalarFieldContainer[Defect]
    measures: ImageMeasures
    def __init__(self, image_id: _Optional[str] = ..., sources: _Optional[_Iterable[_Union[Source, _Mapping]]] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., format: _Optional[str] = ..., size_bytes: _Optional[int] = ..., add_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., embedding: _Optional[_Iterable[float]] = ..., cluster_id: _Optional[int] = ..., defects: _Optional[_Iterable[_Union[Defect, str]]] = ..., measures: _Optional[_Union[ImageMeasures, _Mapping]] = ...) -> None: ...

class ImageFilter(_message.Message):
    __slots__ = ("image_ids", "source_prefix", "tags", "added_after", "added_before", "cluster_ids", "noise", "decisions", "defects")
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PREFIX_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    ADDED_AFTER_FIELD_NUMBER: _ClassVar[int]
    ADDED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_IDS_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    DEFECTS_FIELD_NUMBER: _ClassVar[int]
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    source_prefix: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    added_after: _timestamp_pb2.Timestamp
    added_before: _timestamp_pb2.Timestamp
    cluster_ids: _containers.RepeatedScalarFieldContainer[int]
    noise: bool
    decisions: _containers.RepeatedScalarFieldContainer[_decision_pb2.DecisionKind]
    defects: _containers.RepeatedScalarFieldContainer[Defect]
    def __init__(self, image_ids: _Optional[_Iterable[str]] = ..., source_prefix: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., added_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., added_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cluster_ids: _Optional[_Iterable[int]] = ..., noise: _Optional[bool] = ..., decisions: _Optional[_Iterable[_Union[_decision_pb2.DecisionKind, str]]] = ..., defects: _Optional[_Iterable[_Union[Defect, str]]] = ...) -> None: ...

class Thumbnail(_message.Message):
    __slots__ = ("image_id", "jpeg")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    JPEG_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    jpeg: bytes
    def __init__(self, image_id: _Optional[str] = ..., jpeg: _Optional[bytes] = ...) -> None: ...

class NewImage(_message.Message):
    __slots__ = ("key", "data", "uri", "modify_time", "tags")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    MODIFY_TIME_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    key: str
    data: bytes
    uri: str
    modify_time: _timestamp_pb2.Timestamp
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[str] = ..., data: _Optional[bytes] = ..., uri: _Optional[str] = ..., modify_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class AddOutcome(_message.Message):
    __slots__ = ("key", "status", "cause", "detail", "image_id", "decision", "cluster_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    key: str
    status: AddStatus
    cause: AddCause
    detail: str
    image_id: str
    decision: _decision_pb2.Decision
    cluster_id: int
    def __init__(self, key: _Optional[str] = ..., status: _Optional[_Union[AddStatus, str]] = ..., cause: _Optional[_Union[AddCause, str]] = ..., detail: _Optional[str] = ..., image_id: _Optional[str] = ..., decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., cluster_id: _Optional[int] = ...) -> None: ...
