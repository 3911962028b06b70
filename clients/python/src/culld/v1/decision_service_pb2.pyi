import datetime

from culld.v1 import collection_pb2 as _collection_pb2
from culld.v1 import decision_pb2 as _decision_pb2
from culld.v1 import image_pb2 as _image_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReviewAnswer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_ANSWER_UNSPECIFIED: _ClassVar[ReviewAnswer]
    REVIEW_ANSWER_KEEP: _ClassVar[ReviewAnswer]
    REVIEW_ANSWER_DISCARD: _ClassVar[ReviewAnswer]
    REVIEW_ANSWER_MIXED: _ClassVar[ReviewAnswer]
    REVIEW_ANSWER_SKIP: _ClassVar[ReviewAnswer]
REVIEW_ANSWER_UNSPECIFIED: ReviewAnswer
REVIEW_ANSWER_KEEP: ReviewAnswer
REVIEW_ANSWER_DISCARD: ReviewAnswer
REVIEW_ANSWER_MIXED: ReviewAnswer
REVIEW_ANSWER_SKIP: ReviewAnswer

class ClusterTarget(_message.Message):
    __slots__ = ("clustering_id", "cluster_id", "generation")
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    clustering_id: int
    cluster_id: int
    generation: int
    def __init__(self, clustering_id: _Optional[int] = ..., cluster_id: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class ImagesTarget(_message.Message):
    __slots__ = ("image_ids",)
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SetVerdictRequest(_message.Message):
    __slots__ = ("collection", "side", "cluster", "images", "exception_image_ids", "duplicate_of_image_id", "note", "actor", "request_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    side: _decision_pb2.Side
    cluster: ClusterTarget
    images: ImagesTarget
    exception_image_ids: _containers.RepeatedScalarFieldContainer[str]
    duplicate_of_image_id: str
    note: str
    actor: str
    request_id: str
    def __init__(self, collection: _Optional[str] = ..., side: _Optional[_Union[_decision_pb2.Side, str]] = ..., cluster: _Optional[_Union[ClusterTarget, _Mapping]] = ..., images: _Optional[_Union[ImagesTarget, _Mapping]] = ..., exception_image_ids: _Optional[_Iterable[str]] = ..., duplicate_of_image_id: _Optional[str] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetVerdictResponse(_message.Message):
    __slots__ = ("event_sequence", "labelled", "exceptions", "changed")
    EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    EXCEPTIONS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    event_sequence: int
    labelled: int
    exceptions: int
    changed: int
    def __init__(self, event_sequence: _Optional[int] = ..., labelled: _Optional[int] = ..., exceptions: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...

class BatchGetDecisionsRequest(_message.Message):
    __slots__ = ("collection", "image_ids", "source_keys", "view")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KEYS_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    source_keys: _containers.RepeatedScalarFieldContainer[str]
    view: _decision_pb2.DecisionView
    def __init__(self, collection: _Optional[str] = ..., image_ids: _Optional[_Iterable[str]] = ..., source_keys: _Optional[_Iterable[str]] = ..., view: _Optional[_Union[_decision_pb2.DecisionView, str]] = ...) -> None: ...

class BatchGetDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "unknown", "generation", "ambiguous")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    AMBIGUOUS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    generation: int
    ambiguous: _containers.RepeatedCompositeFieldContainer[AmbiguousKey]
    def __init__(self, decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ..., unknown: _Optional[_Iterable[str]] = ..., generation: _Optional[int] = ..., ambiguous: _Optional[_Iterable[_Union[AmbiguousKey, _Mapping]]] = ...) -> None: ...

class AmbiguousKey(_message.Message):
    __slots__ = ("source_key", "image_ids")
    SOURCE_KEY_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    source_key: str
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, source_key: _Optional[str] = ..., image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FetchDecisionsRequest(_message.Message):
    __slots__ = ("collection", "filter", "view", "since")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: _image_pb2.ImageFilter
    view: _decision_pb2.DecisionView
    since: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[_Union[_image_pb2.ImageFilter, _Mapping]] = ..., view: _Optional[_Union[_decision_pb2.DecisionView, str]] = ..., since: _Optional[str] = ...) -> None: ...

class FetchDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "generation", "removals", "token")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REMOVALS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    generation: int
    removals: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Removal]
    token: str
    def __init__(self, decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ..., generation: _Optional[int] = ..., removals: _Optional[_Iterable[_Union[_decision_pb2.Removal, _Mapping]]] = ..., token: _Optional[str] = ...) -> None: ...

class ExplainDecisionRequest(_message.Message):
    __slots__ = ("collection", "image_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_id: str
    def __init__(self, collection: _Optional[str] = ..., image_id: _Optional[str] = ...) -> None: ...

class ExplainDecisionResponse(_message.Message):
    __slots__ = ("decision", "medoid", "events", "policy", "embedding_space", "rules", "defects", "measures")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    MEDOID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    DEFECTS_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    medoid: _decision_pb2.Neighbour
    events: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Event]
    policy: _collection_pb2.Policy
    embedding_space: _collection_pb2.EmbeddingSpace
    rules: _containers.RepeatedScalarFieldContainer[str]
    defects: _containers.RepeatedScalarFieldContainer[_image_pb2.Defect]
    measures: _image_pb2.ImageMeasures
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., medoid: _Optional[_Union[_decision_pb2.Neighbour, _Mapping]] = ..., events: _Optional[_Iterable[_Union[_decision_pb2.Event, _Mapping]]] = ..., policy: _Optional[_Union[_collection_pb2.Policy, _Mapping]] = ..., embedding_space: _Optional[_Union[_collection_pb2.EmbeddingSpace, _Mapping]] = ..., rules: _Optional[_Iterable[str]] = ..., defects: _Optional[_Iterable[_Union[_image_pb2.Defect, str]]] = ..., measures: _Optional[_Union[_image_pb2.ImageMeasures, _Mapping]] = ...) -> None: ...

class TrueLabel(_message.Message):
    __slots__ = ("image_id", "source_key", "needed")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KEY_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    source_key: str
    needed: bool
    def __init__(self, image_id: _Optional[str] = ..., source_key: _Optional[str] = ..., needed: _Optional[bool] = ...) -> None: ...

class EvaluateRequest(_message.Message):
    __slots__ = ("collection", "labels", "judgements", "seconds_per_judgement", "rate_per_hour", "by_hand_per_100", "session_cost", "noise_as_discard")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PER_JUDGEMENT_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    BY_HAND_PER_100_FIELD_NUMBER: _ClassVar[int]
    SESSION_COST_FIELD_NUMBER: _ClassVar[int]
    NOISE_AS_DISCARD_FIELD_NUMBER: _ClassVar[int]
    collection: str
    labels: _containers.RepeatedCompositeFieldContainer[TrueLabel]
    judgements: int
    seconds_per_judgement: float
    rate_per_hour: float
    by_hand_per_100: float
    session_cost: float
    noise_as_discard: bool
    def __init__(self, collection: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[TrueLabel, _Mapping]]] = ..., judgements: _Optional[int] = ..., seconds_per_judgement: _Optional[float] = ..., rate_per_hour: _Optional[float] = ..., by_hand_per_100: _Optional[float] = ..., session_cost: _Optional[float] = ..., noise_as_discard: _Optional[bool] = ...) -> None: ...

class Saving(_message.Message):
    __slots__ = ("images", "saving")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    SAVING_FIELD_NUMBER: _ClassVar[int]
    images: int
    saving: float
    def __init__(self, images: _Optional[int] = ..., saving: _Optional[float] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("true_positive", "false_positive", "false_negative", "true_negative", "precision", "recall", "quality_metric", "interval_low", "interval_high", "savings", "judgements", "seconds", "cost", "decided_share", "unknown")
    TRUE_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    FALSE_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    FALSE_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    TRUE_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    QUALITY_METRIC_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_LOW_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_HIGH_FIELD_NUMBER: _ClassVar[int]
    SAVINGS_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    DECIDED_SHARE_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    precision: float
    recall: float
    quality_metric: float
    interval_low: float
    interval_high: float
    savings: _containers.RepeatedCompositeFieldContainer[Saving]
    judgements: int
    seconds: float
    cost: float
    decided_share: float
    unknown: int
    def __init__(self, true_positive: _Optional[int] = ..., false_positive: _Optional[int] = ..., false_negative: _Optional[int] = ..., true_negative: _Optional[int] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., quality_metric: _Optional[float] = ..., interval_low: _Optional[float] = ..., interval_high: _Optional[float] = ..., savings: _Optional[_Iterable[_Union[Saving, _Mapping]]] = ..., judgements: _Optional[int] = ..., seconds: _Optional[float] = ..., cost: _Optional[float] = ..., decided_share: _Optional[float] = ..., unknown: _Optional[int] = ...) -> None: ...

class ReviewItem(_message.Message):
    __slots__ = ("item_id", "shown_image_ids", "images", "generation", "expire_time", "expected_gain", "skipped_before")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SHOWN_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_GAIN_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    shown_image_ids: _containers.RepeatedScalarFieldContainer[str]
    images: int
    generation: int
    expire_time: _timestamp_pb2.Timestamp
    expected_gain: float
    skipped_before: bool
    def __init__(self, item_id: _Optional[str] = ..., shown_image_ids: _Optional[_Iterable[str]] = ..., images: _Optional[int] = ..., generation: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected_gain: _Optional[float] = ..., skipped_before: _Optional[bool] = ...) -> None: ...

class QualityEstimate(_message.Message):
    __slots__ = ("quality_metric", "interval_low", "interval_high", "judgements")
    QUALITY_METRIC_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_LOW_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_HIGH_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    quality_metric: float
    interval_low: float
    interval_high: float
    judgements: int
    def __init__(self, quality_metric: _Optional[float] = ..., interval_low: _Optional[float] = ..., interval_high: _Optional[float] = ..., judgements: _Optional[int] = ...) -> None: ...

class NextReviewRequest(_message.Message):
    __slots__ = ("collection", "reviewer", "held_item_ids", "preferred_image_ids")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    HELD_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    reviewer: str
    held_item_ids: _containers.RepeatedScalarFieldContainer[str]
    preferred_image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., reviewer: _Optional[str] = ..., held_item_ids: _Optional[_Iterable[str]] = ..., preferred_image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class NextReviewResponse(_message.Message):
    __slots__ = ("item", "estimate", "enough", "leased")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    ENOUGH_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    item: ReviewItem
    estimate: QualityEstimate
    enough: bool
    leased: int
    def __init__(self, item: _Optional[_Union[ReviewItem, _Mapping]] = ..., estimate: _Optional[_Union[QualityEstimate, _Mapping]] = ..., enough: _Optional[bool] = ..., leased: _Optional[int] = ...) -> None: ...

class AnswerReviewRequest(_message.Message):
    __slots__ = ("collection", "item_id", "answer", "exception_image_ids", "note", "actor", "request_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    item_id: str
    answer: ReviewAnswer
    exception_image_ids: _containers.RepeatedScalarFieldContainer[str]
    note: str
    actor: str
    request_id: str
    def __init__(self, collection: _Optional[str] = ..., item_id: _Optional[str] = ..., answer: _Optional[_Union[ReviewAnswer, str]] = ..., exception_image_ids: _Optional[_Iterable[str]] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AnswerReviewResponse(_message.Message):
    __slots__ = ("event_sequence", "seen", "implied", "changed")
    EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    IMPLIED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    event_sequence: int
    seen: int
    implied: int
    changed: int
    def __init__(self, event_sequence: _Optional[int] = ..., seen: _Optional[int] = ..., implied: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...

class PreviewVerdictRequest(_message.Message):
    __slots__ = ("collection", "verdict", "answer", "undo_event_sequence")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    UNDO_EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    verdict: SetVerdictRequest
    answer: AnswerReviewRequest
    undo_event_sequence: int
    def __init__(self, collection: _Optional[str] = ..., verdict: _Optional[_Union[SetVerdictRequest, _Mapping]] = ..., answer: _Optional[_Union[AnswerReviewRequest, _Mapping]] = ..., undo_event_sequence: _Optional[int] = ...) -> None: ...

class DecisionChange(_message.Message):
    __slots__ = ("image_id", "before", "after", "side_before", "side_after")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SIDE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SIDE_AFTER_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    before: _decision_pb2.DecisionKind
    after: _decision_pb2.DecisionKind
    side_before: _decision_pb2.Side
    side_after: _decision_pb2.Side
    def __init__(self, image_id: _Optional[str] = ..., before: _Optional[_Union[_decision_pb2.DecisionKind, str]] = ..., after: _Optional[_Union[_decision_pb2.DecisionKind, str]] = ..., side_before: _Optional[_Union[_decision_pb2.Side, str]] = ..., side_after: _Optional[_Union[_decision_pb2.Side, str]] = ...) -> None: ...

class PreviewVerdictResponse(_message.Message):
    __slots__ = ("changed", "changed_bytes", "changes", "doubtful_image_ids", "doubtful", "keep", "discard", "review")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    DOUBTFUL_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    DOUBTFUL_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    changed: int
    changed_bytes: int
    changes: _containers.RepeatedCompositeFieldContainer[DecisionChange]
    doubtful_image_ids: _containers.RepeatedScalarFieldContainer[str]
    doubtful: int
    keep: int
    discard: int
    review: int
    def __init__(self, changed: _Optional[int] = ..., changed_bytes: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[DecisionChange, _Mapping]]] = ..., doubtful_image_ids: _Optional[_Iterable[str]] = ..., doubtful: _Optional[int] = ..., keep: _Optional[int] = ..., discard: _Optional[int] = ..., review: _Optional[int] = ...) -> None: ...

class UndoEventRequest(_message.Message):
    __slots__ = ("collection", "event_sequence", "note", "actor", "request_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    event_sequence: int
    note: str
    actor: str
    request_id: str
    def __init__(self, collection: _Optional[str] = ..., event_sequence: _Optional[int] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UndoEventResponse(_message.Message):
    __slots__ = ("event_sequence", "changed")
    EVENT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    event_sequence: int
    changed: int
    def __init__(self, event_sequence: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...

class WatchDecisionsRequest(_message.Message):
    __slots__ = ("collection", "filter", "view", "since")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: _image_pb2.ImageFilter
    view: _decision_pb2.DecisionView
    since: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[_Union[_image_pb2.ImageFilter, _Mapping]] = ..., view: _Optional[_Union[_decision_pb2.DecisionView, str]] = ..., since: _Optional[str] = ...) -> None: ...

class WatchDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "removals", "token", "generation")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    REMOVALS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    removals: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Removal]
    token: str
    generation: int
    def __init__(self, decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ..., removals: _Optional[_Iterable[_Union[_decision_pb2.Removal, _Mapping]]] = ..., token: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("collection", "actor", "kinds", "after", "before", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    actor: str
    kinds: _containers.RepeatedScalarFieldContainer[_decision_pb2.EventKind]
    after: _timestamp_pb2.Timestamp
    before: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., actor: _Optional[str] = ..., kinds: _Optional[_Iterable[_Union[_decision_pb2.EventKind, str]]] = ..., after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_decision_pb2.LogEntry]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[_decision_pb2.LogEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
