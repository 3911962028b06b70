import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DecisionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_KIND_UNSPECIFIED: _ClassVar[DecisionKind]
    DECISION_KIND_KEEP: _ClassVar[DecisionKind]
    DECISION_KIND_DISCARD: _ClassVar[DecisionKind]
    DECISION_KIND_REVIEW: _ClassVar[DecisionKind]

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_KEEP: _ClassVar[Side]
    SIDE_DISCARD: _ClassVar[Side]

class DecisionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_REASON_UNSPECIFIED: _ClassVar[DecisionReason]
    DECISION_REASON_SEEN_LABEL: _ClassVar[DecisionReason]
    DECISION_REASON_IMPLIED_LABEL: _ClassVar[DecisionReason]
    DECISION_REASON_INHERITED: _ClassVar[DecisionReason]
    DECISION_REASON_STANDING_VERDICT: _ClassVar[DecisionReason]
    DECISION_REASON_NEAR_DUPLICATE: _ClassVar[DecisionReason]
    DECISION_REASON_NOTHING_JUDGED: _ClassVar[DecisionReason]
    DECISION_REASON_ONE_SIDE_JUDGED: _ClassVar[DecisionReason]
    DECISION_REASON_NEIGHBOURS_DISAGREE: _ClassVar[DecisionReason]
    DECISION_REASON_TOO_FAR: _ClassVar[DecisionReason]
    DECISION_REASON_NOISE: _ClassVar[DecisionReason]
    DECISION_REASON_CLUSTER_CHANGED: _ClassVar[DecisionReason]
    DECISION_REASON_DOUBTFUL: _ClassVar[DecisionReason]

class DecisionView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_VIEW_UNSPECIFIED: _ClassVar[DecisionView]
    DECISION_VIEW_BASIC: _ClassVar[DecisionView]
    DECISION_VIEW_FULL: _ClassVar[DecisionView]

class RemovalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REMOVAL_REASON_UNSPECIFIED: _ClassVar[RemovalReason]
    REMOVAL_REASON_DELETED: _ClassVar[RemovalReason]
    REMOVAL_REASON_NOT_SELECTED: _ClassVar[RemovalReason]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_VERDICT: _ClassVar[EventKind]
    EVENT_KIND_POLICY: _ClassVar[EventKind]
    EVENT_KIND_DELETION: _ClassVar[EventKind]
    EVENT_KIND_ACTIVATION: _ClassVar[EventKind]
    EVENT_KIND_ANSWER: _ClassVar[EventKind]
    EVENT_KIND_UNDO: _ClassVar[EventKind]
DECISION_KIND_UNSPECIFIED: DecisionKind
DECISION_KIND_KEEP: DecisionKind
DECISION_KIND_DISCARD: DecisionKind
DECISION_KIND_REVIEW: DecisionKind
SIDE_UNSPECIFIED: Side
SIDE_KEEP: Side
SIDE_DISCARD: Side
DECISION_REASON_UNSPECIFIED: DecisionReason
DECISION_REASON_SEEN_LABEL: DecisionReason
DECISION_REASON_IMPLIED_LABEL: DecisionReason
DECISION_REASON_INHERITED: DecisionReason
DECISION_REASON_STANDING_VERDICT: DecisionReason
DECISION_REASON_NEAR_DUPLICATE: DecisionReason
DECISION_REASON_NOTHING_JUDGED: DecisionReason
DECISION_REASON_ONE_SIDE_JUDGED: DecisionReason
DECISION_REASON_NEIGHBOURS_DISAGREE: DecisionReason
DECISION_REASON_TOO_FAR: DecisionReason
DECISION_REASON_NOISE: DecisionReason
DECISION_REASON_CLUSTER_CHANGED: DecisionReason
DECISION_REASON_DOUBTFUL: DecisionReason
DECISION_VIEW_UNSPECIFIED: DecisionView
DECISION_VIEW_BASIC: DecisionView
DECISION_VIEW_FULL: DecisionView
REMOVAL_REASON_UNSPECIFIED: RemovalReason
REMOVAL_REASON_DELETED: RemovalReason
REMOVAL_REASON_NOT_SELECTED: RemovalReason
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_VERDICT: EventKind
EVENT_KIND_POLICY: EventKind
EVENT_KIND_DELETION: EventKind
EVENT_KIND_ACTIVATION: EventKind
EVENT_KIND_ANSWER: EventKind
EVENT_KIND_UNDO: EventKind

class Neighbour(_message.Message):
    __slots__ = ("image_id", "distance")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    distance: float
    def __init__(self, image_id: _Optional[str] = ..., distance: _Optional[float] = ...) -> None: ...

class DuplicateMatch(_message.Message):
    __slots__ = ("image_id", "distance", "hash_distance")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    HASH_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    distance: float
    hash_distance: float
    def __init__(self, image_id: _Optional[str] = ..., distance: _Optional[float] = ..., hash_distance: _Optional[float] = ...) -> None: ...

class DecisionEvidence(_message.Message):
    __slots__ = ("event_sequence", "label_seen", "cluster_id", "clustering_id", "nearest_keep", "nearest_discard", "policy_version", "keep_probability", "duplicate_discard", "duplicate_keep")
    EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LABEL_SEEN_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    NEAREST_KEEP_FIELD_NUMBER: _ClassVar[int]
    NEAREST_DISCARD_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    KEEP_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_DISCARD_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_KEEP_FIELD_NUMBER: _ClassVar[int]
    event_sequence: int
    label_seen: bool
    cluster_id: int
    clustering_id: int
    nearest_keep: Neighbour
    nearest_discard: Neighbour
    policy_version: int
    keep_probability: float
    duplicate_discard: DuplicateMatch
    duplicate_keep: DuplicateMatch
    def __init__(self, event_sequence: _Optional[int] = ..., label_seen: _Optional[bool] = ..., cluster_id: _Optional[int] = ..., clustering_id: _Optional[int] = ..., nearest_keep: _Optional[_Union[Neighbour, _Mapping]] = ..., nearest_discard: _Optional[_Union[Neighbour, _Mapping]] = ..., policy_version: _Optional[int] = ..., keep_probability: _Optional[float] = ..., duplicate_discard: _Optional[_Union[DuplicateMatch, _Mapping]] = ..., duplicate_keep: _Optional[_Union[DuplicateMatch, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("image_id", "decision", "provisional_side", "confidence", "reason", "detail", "source_keys", "evidence", "revision")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_SIDE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KEYS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    decision: DecisionKind
    provisional_side: Side
    confidence: float
    reason: DecisionReason
    detail: str
    source_keys: _containers.RepeatedScalarFieldContainer[str]
    evidence: DecisionEvidence
    revision: int
    def __init__(self, image_id: _Optional[str] = ..., decision: _Optional[_Union[DecisionKind, str]] = ..., provisional_side: _Optional[_Union[Side, str]] = ..., confidence: _Optional[float] = ..., reason: _Optional[_Union[DecisionReason, str]] = ..., detail: _Optional[str] = ..., source_keys: _Optional[_Iterable[str]] = ..., evidence: _Optional[_Union[DecisionEvidence, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "time", "actor", "summary", "note")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    actor: str
    summary: str
    note: str
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., summary: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class Removal(_message.Message):
    __slots__ = ("image_id", "revision", "reason")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    revision: int
    reason: RemovalReason
    def __init__(self, image_id: _Optional[str] = ..., revision: _Optional[int] = ..., reason: _Optional[_Union[RemovalReason, str]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("event", "kind", "hash", "undone_by_sequence", "seen_images", "implied_images", "exception_images", "deleted_images")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    UNDONE_BY_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SEEN_IMAGES_FIELD_NUMBER: _ClassVar[int]
    IMPLIED_IMAGES_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_IMAGES_FIELD_NUMBER: _ClassVar[int]
    DELETED_IMAGES_FIELD_NUMBER: _ClassVar[int]
    event: Event
    kind: EventKind
    hash: str
    undone_by_sequence: int
    seen_images: int
    implied_images: int
    exception_images: int
    deleted_images: int
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ..., kind: _Optional[_Union[EventKind, str]] = ..., hash: _Optional[str] = ..., undone_by_sequence: _Optional[int] = ..., seen_images: _Optional[int] = ..., implied_images: _Optional[int] = ..., exception_images: _Optional[int] = ..., deleted_images: _Optional[int] = ...) -> None: ...
