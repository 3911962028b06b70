import datetime

from culld.v1 import decision_pb2 as _decision_pb2
from culld.v1 import image_pb2 as _image_pb2
from culld.v1 import operation_pb2 as _operation_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AddImagesHeader(_message.Message):
    __slots__ = ("collection", "tags")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class AddImagesRequest(_message.Message):
    __slots__ = ("header", "image")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    header: AddImagesHeader
    image: _image_pb2.NewImage
    def __init__(self, header: _Optional[_Union[AddImagesHeader, _Mapping]] = ..., image: _Optional[_Union[_image_pb2.NewImage, _Mapping]] = ...) -> None: ...

class AddImagesResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: _image_pb2.AddOutcome
    def __init__(self, outcome: _Optional[_Union[_image_pb2.AddOutcome, _Mapping]] = ...) -> None: ...

class AddImageRequest(_message.Message):
    __slots__ = ("collection", "image", "request_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image: _image_pb2.NewImage
    request_id: str
    def __init__(self, collection: _Optional[str] = ..., image: _Optional[_Union[_image_pb2.NewImage, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddImageResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: _image_pb2.AddOutcome
    def __init__(self, outcome: _Optional[_Union[_image_pb2.AddOutcome, _Mapping]] = ...) -> None: ...

class ImportSourcesRequest(_message.Message):
    __slots__ = ("collection", "paths", "tags", "request_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    tags: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    def __init__(self, collection: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ..., tags: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ImportSourcesResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class GetImageRequest(_message.Message):
    __slots__ = ("collection", "image_id", "with_embedding")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    WITH_EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_id: str
    with_embedding: bool
    def __init__(self, collection: _Optional[str] = ..., image_id: _Optional[str] = ..., with_embedding: _Optional[bool] = ...) -> None: ...

class GetImageResponse(_message.Message):
    __slots__ = ("image",)
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    image: _image_pb2.Image
    def __init__(self, image: _Optional[_Union[_image_pb2.Image, _Mapping]] = ...) -> None: ...

class ListImagesRequest(_message.Message):
    __slots__ = ("collection", "filter", "with_embeddings", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    WITH_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: _image_pb2.ImageFilter
    with_embeddings: bool
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[_Union[_image_pb2.ImageFilter, _Mapping]] = ..., with_embeddings: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListImagesResponse(_message.Message):
    __slots__ = ("images", "next_page_token", "generation")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[_image_pb2.Image]
    next_page_token: str
    generation: int
    def __init__(self, images: _Optional[_Iterable[_Union[_image_pb2.Image, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class BatchGetThumbnailsRequest(_message.Message):
    __slots__ = ("collection", "image_ids")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetThumbnailsResponse(_message.Message):
    __slots__ = ("thumbnails", "remaining_image_ids")
    THUMBNAILS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    thumbnails: _containers.RepeatedCompositeFieldContainer[_image_pb2.Thumbnail]
    remaining_image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, thumbnails: _Optional[_Iterable[_Union[_image_pb2.Thumbnail, _Mapping]]] = ..., remaining_image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteImagesRequest(_message.Message):
    __slots__ = ("collection", "filter", "validate_only", "request_id", "actor")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: _image_pb2.ImageFilter
    validate_only: bool
    request_id: str
    actor: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[_Union[_image_pb2.ImageFilter, _Mapping]] = ..., validate_only: _Optional[bool] = ..., request_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class DeleteImagesResponse(_message.Message):
    __slots__ = ("images", "sources")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    images: int
    sources: int
    def __init__(self, images: _Optional[int] = ..., sources: _Optional[int] = ...) -> None: ...

class FindNeighboursRequest(_message.Message):
    __slots__ = ("collection", "image_id", "data", "vector", "k", "exact")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_id: str
    data: bytes
    vector: Vector
    k: int
    exact: bool
    def __init__(self, collection: _Optional[str] = ..., image_id: _Optional[str] = ..., data: _Optional[bytes] = ..., vector: _Optional[_Union[Vector, _Mapping]] = ..., k: _Optional[int] = ..., exact: _Optional[bool] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class FindNeighboursResponse(_message.Message):
    __slots__ = ("neighbours", "index", "generation")
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    neighbours: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Neighbour]
    index: str
    generation: int
    def __init__(self, neighbours: _Optional[_Iterable[_Union[_decision_pb2.Neighbour, _Mapping]]] = ..., index: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class FindDuplicatesRequest(_message.Message):
    __slots__ = ("collection", "filter", "distance", "hash_distance", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    HASH_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    filter: _image_pb2.ImageFilter
    distance: float
    hash_distance: float
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., filter: _Optional[_Union[_image_pb2.ImageFilter, _Mapping]] = ..., distance: _Optional[float] = ..., hash_distance: _Optional[float] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class DuplicateMember(_message.Message):
    __slots__ = ("image_id", "width_px", "height_px", "size_bytes", "add_time", "distance", "hash_distance")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ADD_TIME_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    HASH_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    width_px: int
    height_px: int
    size_bytes: int
    add_time: _timestamp_pb2.Timestamp
    distance: float
    hash_distance: float
    def __init__(self, image_id: _Optional[str] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., size_bytes: _Optional[int] = ..., add_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., distance: _Optional[float] = ..., hash_distance: _Optional[float] = ...) -> None: ...

class DuplicateGroup(_message.Message):
    __slots__ = ("members", "reason", "size")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[DuplicateMember]
    reason: str
    size: int
    def __init__(self, members: _Optional[_Iterable[_Union[DuplicateMember, _Mapping]]] = ..., reason: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class FindDuplicatesResponse(_message.Message):
    __slots__ = ("groups", "next_page_token", "generation", "total_groups", "compared", "without_hash")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TOTAL_GROUPS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[DuplicateGroup]
    next_page_token: str
    generation: int
    total_groups: int
    compared: int
    without_hash: int
    def __init__(self, groups: _Optional[_Iterable[_Union[DuplicateGroup, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., generation: _Optional[int] = ..., total_groups: _Optional[int] = ..., compared: _Optional[int] = ..., without_hash: _Optional[int] = ...) -> None: ...
