import datetime

from culld.v1 import clustering_pb2 as _clustering_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Operation(_message.Message):
    __slots__ = ("name", "collection", "method", "create_time", "end_time", "phase", "work_done", "work_total", "done", "error", "clustering", "verify", "backup")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    WORK_DONE_FIELD_NUMBER: _ClassVar[int]
    WORK_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    IMPORT_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    name: str
    collection: str
    method: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    phase: str
    work_done: int
    work_total: int
    done: bool
    error: OperationError
    clustering: _clustering_pb2.Clustering
    verify: VerifyReport
    backup: BackupReport
    def __init__(self, name: _Optional[str] = ..., collection: _Optional[str] = ..., method: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., phase: _Optional[str] = ..., work_done: _Optional[int] = ..., work_total: _Optional[int] = ..., done: _Optional[bool] = ..., error: _Optional[_Union[OperationError, _Mapping]] = ..., clustering: _Optional[_Union[_clustering_pb2.Clustering, _Mapping]] = ..., verify: _Optional[_Union[VerifyReport, _Mapping]] = ..., backup: _Optional[_Union[BackupReport, _Mapping]] = ..., **kwargs) -> None: ...

class OperationError(_message.Message):
    __slots__ = ("code", "message", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ImportResult(_message.Message):
    __slots__ = ("files", "added", "already_present", "rejected", "failed", "problems")
    FILES_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    files: int
    added: int
    already_present: int
    rejected: int
    failed: int
    problems: _containers.RepeatedCompositeFieldContainer[ImportProblem]
    def __init__(self, files: _Optional[int] = ..., added: _Optional[int] = ..., already_present: _Optional[int] = ..., rejected: _Optional[int] = ..., failed: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[ImportProblem, _Mapping]]] = ...) -> None: ...

class ImportProblem(_message.Message):
    __slots__ = ("path", "detail")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    path: str
    detail: str
    def __init__(self, path: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class BackupReport(_message.Message):
    __slots__ = ("path", "bytes", "records")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    path: str
    bytes: int
    records: int
    def __init__(self, path: _Optional[str] = ..., bytes: _Optional[int] = ..., records: _Optional[int] = ...) -> None: ...

class VerifyReport(_message.Message):
    __slots__ = ("records", "collections", "problems", "listed", "skipped")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    LISTED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[RecordCount]
    collections: int
    problems: int
    listed: _containers.RepeatedCompositeFieldContainer[VerifyProblem]
    skipped: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, records: _Optional[_Iterable[_Union[RecordCount, _Mapping]]] = ..., collections: _Optional[int] = ..., problems: _Optional[int] = ..., listed: _Optional[_Iterable[_Union[VerifyProblem, _Mapping]]] = ..., skipped: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordCount(_message.Message):
    __slots__ = ("kind", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class VerifyProblem(_message.Message):
    __slots__ = ("collection", "kind", "key", "detail")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    collection: str
    kind: str
    key: str
    detail: str
    def __init__(self, collection: _Optional[str] = ..., kind: _Optional[str] = ..., key: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...
