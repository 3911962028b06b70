from culld.v1 import clustering_pb2 as _clustering_pb2
from culld.v1 import decision_pb2 as _decision_pb2
from culld.v1 import operation_pb2 as _operation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReclusterRequest(_message.Message):
    __slots__ = ("collection", "parameters", "seed", "keep_active", "request_id", "actor", "exact")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    KEEP_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    parameters: _clustering_pb2.Parameters
    seed: int
    keep_active: bool
    request_id: str
    actor: str
    exact: bool
    def __init__(self, collection: _Optional[str] = ..., parameters: _Optional[_Union[_clustering_pb2.Parameters, _Mapping]] = ..., seed: _Optional[int] = ..., keep_active: _Optional[bool] = ..., request_id: _Optional[str] = ..., actor: _Optional[str] = ..., exact: _Optional[bool] = ...) -> None: ...

class ReclusterResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operation_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operation_pb2.Operation, _Mapping]] = ...) -> None: ...

class SuggestParametersRequest(_message.Message):
    __slots__ = ("collection", "min_points", "exact", "seed")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    MIN_POINTS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    collection: str
    min_points: int
    exact: bool
    seed: int
    def __init__(self, collection: _Optional[str] = ..., min_points: _Optional[int] = ..., exact: _Optional[bool] = ..., seed: _Optional[int] = ...) -> None: ...

class SuggestParametersResponse(_message.Message):
    __slots__ = ("card",)
    CARD_FIELD_NUMBER: _ClassVar[int]
    card: _clustering_pb2.ParameterCard
    def __init__(self, card: _Optional[_Union[_clustering_pb2.ParameterCard, _Mapping]] = ...) -> None: ...

class ListClusteringsRequest(_message.Message):
    __slots__ = ("collection", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClusteringsResponse(_message.Message):
    __slots__ = ("clusterings", "next_page_token")
    CLUSTERINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clusterings: _containers.RepeatedCompositeFieldContainer[_clustering_pb2.Clustering]
    next_page_token: str
    def __init__(self, clusterings: _Optional[_Iterable[_Union[_clustering_pb2.Clustering, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetClusteringRequest(_message.Message):
    __slots__ = ("collection", "clustering_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    clustering_id: int
    def __init__(self, collection: _Optional[str] = ..., clustering_id: _Optional[int] = ...) -> None: ...

class GetClusteringResponse(_message.Message):
    __slots__ = ("clustering",)
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    clustering: _clustering_pb2.Clustering
    def __init__(self, clustering: _Optional[_Union[_clustering_pb2.Clustering, _Mapping]] = ...) -> None: ...

class ActivateClusteringRequest(_message.Message):
    __slots__ = ("collection", "clustering_id", "request_id", "actor")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    collection: str
    clustering_id: int
    request_id: str
    actor: str
    def __init__(self, collection: _Optional[str] = ..., clustering_id: _Optional[int] = ..., request_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ActivateClusteringResponse(_message.Message):
    __slots__ = ("clustering",)
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    clustering: _clustering_pb2.Clustering
    def __init__(self, clustering: _Optional[_Union[_clustering_pb2.Clustering, _Mapping]] = ...) -> None: ...

class ListClustersRequest(_message.Message):
    __slots__ = ("collection", "clustering_id", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    clustering_id: int
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., clustering_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClustersResponse(_message.Message):
    __slots__ = ("clusters", "next_page_token", "clustering_id", "noise")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[_clustering_pb2.Cluster]
    next_page_token: str
    clustering_id: int
    noise: int
    def __init__(self, clusters: _Optional[_Iterable[_Union[_clustering_pb2.Cluster, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., clustering_id: _Optional[int] = ..., noise: _Optional[int] = ...) -> None: ...

class GetClusterRequest(_message.Message):
    __slots__ = ("collection", "clustering_id", "cluster_id")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    collection: str
    clustering_id: int
    cluster_id: int
    def __init__(self, collection: _Optional[str] = ..., clustering_id: _Optional[int] = ..., cluster_id: _Optional[int] = ...) -> None: ...

class GetClusterResponse(_message.Message):
    __slots__ = ("cluster",)
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    cluster: _clustering_pb2.Cluster
    def __init__(self, cluster: _Optional[_Union[_clustering_pb2.Cluster, _Mapping]] = ...) -> None: ...

class ListMembersRequest(_message.Message):
    __slots__ = ("collection", "clustering_id", "cluster_id", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    clustering_id: int
    cluster_id: int
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., clustering_id: _Optional[int] = ..., cluster_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMembersResponse(_message.Message):
    __slots__ = ("members", "next_page_token")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[_clustering_pb2.Member]
    next_page_token: str
    def __init__(self, members: _Optional[_Iterable[_Union[_clustering_pb2.Member, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListLiveClustersRequest(_message.Message):
    __slots__ = ("collection", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLiveClustersResponse(_message.Message):
    __slots__ = ("clusters", "next_page_token", "clustering_id", "generation", "noise", "lineage")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[_clustering_pb2.LiveCluster]
    next_page_token: str
    clustering_id: int
    generation: int
    noise: int
    lineage: _containers.RepeatedCompositeFieldContainer[_clustering_pb2.LineageEvent]
    def __init__(self, clusters: _Optional[_Iterable[_Union[_clustering_pb2.LiveCluster, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., clustering_id: _Optional[int] = ..., generation: _Optional[int] = ..., noise: _Optional[int] = ..., lineage: _Optional[_Iterable[_Union[_clustering_pb2.LineageEvent, _Mapping]]] = ...) -> None: ...

class ListLiveMembersRequest(_message.Message):
    __slots__ = ("collection", "cluster_id", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    cluster_id: int
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., cluster_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLiveMembersResponse(_message.Message):
    __slots__ = ("image_ids", "next_page_token", "generation")
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    generation: int
    def __init__(self, image_ids: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class GetReachabilityRequest(_message.Message):
    __slots__ = ("collection", "clustering_id", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    clustering_id: int
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., clustering_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetReachabilityResponse(_message.Message):
    __slots__ = ("points", "next_page_token")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[_clustering_pb2.ReachabilityPoint]
    next_page_token: str
    def __init__(self, points: _Optional[_Iterable[_Union[_clustering_pb2.ReachabilityPoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetMapRequest(_message.Message):
    __slots__ = ("collection", "refresh", "page_size", "page_token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    refresh: bool
    page_size: int
    page_token: str
    def __init__(self, collection: _Optional[str] = ..., refresh: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetMapResponse(_message.Message):
    __slots__ = ("points", "next_page_token", "generation", "images")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[MapPoint]
    next_page_token: str
    generation: int
    images: int
    def __init__(self, points: _Optional[_Iterable[_Union[MapPoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., generation: _Optional[int] = ..., images: _Optional[int] = ...) -> None: ...

class MapPoint(_message.Message):
    __slots__ = ("image_id", "x", "y", "decision", "provisional_side", "cluster_id")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_SIDE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    x: float
    y: float
    decision: _decision_pb2.DecisionKind
    provisional_side: _decision_pb2.Side
    cluster_id: int
    def __init__(self, image_id: _Optional[str] = ..., x: _Optional[float] = ..., y: _Optional[float] = ..., decision: _Optional[_Union[_decision_pb2.DecisionKind, str]] = ..., provisional_side: _Optional[_Union[_decision_pb2.Side, str]] = ..., cluster_id: _Optional[int] = ...) -> None: ...
