import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KMeansStart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    K_MEANS_START_UNSPECIFIED: _ClassVar[KMeansStart]
    K_MEANS_START_WARD: _ClassVar[KMeansStart]
    K_MEANS_START_PLUS_PLUS: _ClassVar[KMeansStart]

class RedFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RED_FLAG_UNSPECIFIED: _ClassVar[RedFlag]
    RED_FLAG_NO_STRUCTURE: _ClassVar[RedFlag]
    RED_FLAG_ALL_NOISE: _ClassVar[RedFlag]
    RED_FLAG_ONE_GIANT_CLUSTER: _ClassVar[RedFlag]
    RED_FLAG_NEARLY_ALL_CORE: _ClassVar[RedFlag]
    RED_FLAG_CHAINING: _ClassVar[RedFlag]

class LineageChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINEAGE_CHANGE_UNSPECIFIED: _ClassVar[LineageChange]
    LINEAGE_CHANGE_APPEARED: _ClassVar[LineageChange]
    LINEAGE_CHANGE_VANISHED: _ClassVar[LineageChange]
    LINEAGE_CHANGE_MERGED: _ClassVar[LineageChange]
    LINEAGE_CHANGE_SPLIT: _ClassVar[LineageChange]
K_MEANS_START_UNSPECIFIED: KMeansStart
K_MEANS_START_WARD: KMeansStart
K_MEANS_START_PLUS_PLUS: KMeansStart
RED_FLAG_UNSPECIFIED: RedFlag
RED_FLAG_NO_STRUCTURE: RedFlag
RED_FLAG_ALL_NOISE: RedFlag
RED_FLAG_ONE_GIANT_CLUSTER: RedFlag
RED_FLAG_NEARLY_ALL_CORE: RedFlag
RED_FLAG_CHAINING: RedFlag
LINEAGE_CHANGE_UNSPECIFIED: LineageChange
LINEAGE_CHANGE_APPEARED: LineageChange
LINEAGE_CHANGE_VANISHED: LineageChange
LINEAGE_CHANGE_MERGED: LineageChange
LINEAGE_CHANGE_SPLIT: LineageChange

class Parameters(_message.Message):
    __slots__ = ("auto", "k_means", "k_medoids", "dbscan", "optics", "birch", "hdbscan")
    AUTO_FIELD_NUMBER: _ClassVar[int]
    K_MEANS_FIELD_NUMBER: _ClassVar[int]
    K_MEDOIDS_FIELD_NUMBER: _ClassVar[int]
    DBSCAN_FIELD_NUMBER: _ClassVar[int]
    OPTICS_FIELD_NUMBER: _ClassVar[int]
    BIRCH_FIELD_NUMBER: _ClassVar[int]
    HDBSCAN_FIELD_NUMBER: _ClassVar[int]
    auto: AutoParameters
    k_means: KMeansParameters
    k_medoids: KMedoidsParameters
    dbscan: DbscanParameters
    optics: OpticsParameters
    birch: BirchParameters
    hdbscan: HdbscanParameters
    def __init__(self, auto: _Optional[_Union[AutoParameters, _Mapping]] = ..., k_means: _Optional[_Union[KMeansParameters, _Mapping]] = ..., k_medoids: _Optional[_Union[KMedoidsParameters, _Mapping]] = ..., dbscan: _Optional[_Union[DbscanParameters, _Mapping]] = ..., optics: _Optional[_Union[OpticsParameters, _Mapping]] = ..., birch: _Optional[_Union[BirchParameters, _Mapping]] = ..., hdbscan: _Optional[_Union[HdbscanParameters, _Mapping]] = ...) -> None: ...

class AutoParameters(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KMeansParameters(_message.Message):
    __slots__ = ("k", "max_iterations", "restarts", "start")
    K_FIELD_NUMBER: _ClassVar[int]
    MAX_ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    k: int
    max_iterations: int
    restarts: int
    start: KMeansStart
    def __init__(self, k: _Optional[int] = ..., max_iterations: _Optional[int] = ..., restarts: _Optional[int] = ..., start: _Optional[_Union[KMeansStart, str]] = ...) -> None: ...

class KMedoidsParameters(_message.Message):
    __slots__ = ("k",)
    K_FIELD_NUMBER: _ClassVar[int]
    k: int
    def __init__(self, k: _Optional[int] = ...) -> None: ...

class DbscanParameters(_message.Message):
    __slots__ = ("eps", "min_points")
    EPS_FIELD_NUMBER: _ClassVar[int]
    MIN_POINTS_FIELD_NUMBER: _ClassVar[int]
    eps: float
    min_points: int
    def __init__(self, eps: _Optional[float] = ..., min_points: _Optional[int] = ...) -> None: ...

class OpticsParameters(_message.Message):
    __slots__ = ("min_points", "max_eps", "xi", "eps")
    MIN_POINTS_FIELD_NUMBER: _ClassVar[int]
    MAX_EPS_FIELD_NUMBER: _ClassVar[int]
    XI_FIELD_NUMBER: _ClassVar[int]
    EPS_FIELD_NUMBER: _ClassVar[int]
    min_points: int
    max_eps: float
    xi: float
    eps: float
    def __init__(self, min_points: _Optional[int] = ..., max_eps: _Optional[float] = ..., xi: _Optional[float] = ..., eps: _Optional[float] = ...) -> None: ...

class BirchParameters(_message.Message):
    __slots__ = ("threshold", "branching", "k")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BRANCHING_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    branching: int
    k: int
    def __init__(self, threshold: _Optional[float] = ..., branching: _Optional[int] = ..., k: _Optional[int] = ...) -> None: ...

class HdbscanParameters(_message.Message):
    __slots__ = ("min_cluster_size", "min_samples")
    MIN_CLUSTER_SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    min_cluster_size: int
    min_samples: int
    def __init__(self, min_cluster_size: _Optional[int] = ..., min_samples: _Optional[int] = ...) -> None: ...

class EpsLook(_message.Message):
    __slots__ = ("eps", "clusters", "noise_share", "core_share", "largest_share", "red_flags")
    EPS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NOISE_SHARE_FIELD_NUMBER: _ClassVar[int]
    CORE_SHARE_FIELD_NUMBER: _ClassVar[int]
    LARGEST_SHARE_FIELD_NUMBER: _ClassVar[int]
    RED_FLAGS_FIELD_NUMBER: _ClassVar[int]
    eps: float
    clusters: int
    noise_share: float
    core_share: float
    largest_share: float
    red_flags: _containers.RepeatedScalarFieldContainer[RedFlag]
    def __init__(self, eps: _Optional[float] = ..., clusters: _Optional[int] = ..., noise_share: _Optional[float] = ..., core_share: _Optional[float] = ..., largest_share: _Optional[float] = ..., red_flags: _Optional[_Iterable[_Union[RedFlag, str]]] = ...) -> None: ...

class OpticsLook(_message.Message):
    __slots__ = ("xi", "xi_clusters", "xi_noise_share", "cut_clusters", "cut_noise_share")
    XI_FIELD_NUMBER: _ClassVar[int]
    XI_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    XI_NOISE_SHARE_FIELD_NUMBER: _ClassVar[int]
    CUT_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    CUT_NOISE_SHARE_FIELD_NUMBER: _ClassVar[int]
    xi: float
    xi_clusters: int
    xi_noise_share: float
    cut_clusters: int
    cut_noise_share: float
    def __init__(self, xi: _Optional[float] = ..., xi_clusters: _Optional[int] = ..., xi_noise_share: _Optional[float] = ..., cut_clusters: _Optional[int] = ..., cut_noise_share: _Optional[float] = ...) -> None: ...

class ParameterCard(_message.Message):
    __slots__ = ("min_points", "k_distances", "knee", "looks", "optics", "clustering_tendency", "choice", "explanation", "neighbour_recall", "approximate", "images", "generation")
    MIN_POINTS_FIELD_NUMBER: _ClassVar[int]
    K_DISTANCES_FIELD_NUMBER: _ClassVar[int]
    KNEE_FIELD_NUMBER: _ClassVar[int]
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    OPTICS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_TENDENCY_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_RECALL_FIELD_NUMBER: _ClassVar[int]
    APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    min_points: int
    k_distances: _containers.RepeatedScalarFieldContainer[float]
    knee: float
    looks: _containers.RepeatedCompositeFieldContainer[EpsLook]
    optics: OpticsLook
    clustering_tendency: float
    choice: Parameters
    explanation: _containers.RepeatedScalarFieldContainer[str]
    neighbour_recall: float
    approximate: bool
    images: int
    generation: int
    def __init__(self, min_points: _Optional[int] = ..., k_distances: _Optional[_Iterable[float]] = ..., knee: _Optional[float] = ..., looks: _Optional[_Iterable[_Union[EpsLook, _Mapping]]] = ..., optics: _Optional[_Union[OpticsLook, _Mapping]] = ..., clustering_tendency: _Optional[float] = ..., choice: _Optional[_Union[Parameters, _Mapping]] = ..., explanation: _Optional[_Iterable[str]] = ..., neighbour_recall: _Optional[float] = ..., approximate: _Optional[bool] = ..., images: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Clustering(_message.Message):
    __slots__ = ("clustering_id", "algorithm", "requested", "parameters", "seed", "generation", "create_time", "active", "images", "clusters", "noise", "red_flags", "explanation", "neighbour_recall", "approximate", "seconds", "k_distances", "knee", "index")
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    RED_FLAGS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_RECALL_FIELD_NUMBER: _ClassVar[int]
    APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    K_DISTANCES_FIELD_NUMBER: _ClassVar[int]
    KNEE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    clustering_id: int
    algorithm: str
    requested: Parameters
    parameters: Parameters
    seed: int
    generation: int
    create_time: _timestamp_pb2.Timestamp
    active: bool
    images: int
    clusters: int
    noise: int
    red_flags: _containers.RepeatedScalarFieldContainer[RedFlag]
    explanation: _containers.RepeatedScalarFieldContainer[str]
    neighbour_recall: float
    approximate: bool
    seconds: float
    k_distances: _containers.RepeatedScalarFieldContainer[float]
    knee: float
    index: str
    def __init__(self, clustering_id: _Optional[int] = ..., algorithm: _Optional[str] = ..., requested: _Optional[_Union[Parameters, _Mapping]] = ..., parameters: _Optional[_Union[Parameters, _Mapping]] = ..., seed: _Optional[int] = ..., generation: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., active: _Optional[bool] = ..., images: _Optional[int] = ..., clusters: _Optional[int] = ..., noise: _Optional[int] = ..., red_flags: _Optional[_Iterable[_Union[RedFlag, str]]] = ..., explanation: _Optional[_Iterable[str]] = ..., neighbour_recall: _Optional[float] = ..., approximate: _Optional[bool] = ..., seconds: _Optional[float] = ..., k_distances: _Optional[_Iterable[float]] = ..., knee: _Optional[float] = ..., index: _Optional[str] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("cluster_id", "clustering_id", "generation", "size", "medoid_image_id", "radius", "sample_image_ids", "parents", "labelled_keep", "labelled_discard")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MEDOID_IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    RADIUS_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    PARENTS_FIELD_NUMBER: _ClassVar[int]
    LABELLED_KEEP_FIELD_NUMBER: _ClassVar[int]
    LABELLED_DISCARD_FIELD_NUMBER: _ClassVar[int]
    cluster_id: int
    clustering_id: int
    generation: int
    size: int
    medoid_image_id: str
    radius: float
    sample_image_ids: _containers.RepeatedScalarFieldContainer[str]
    parents: _containers.RepeatedCompositeFieldContainer[ClusterParent]
    labelled_keep: int
    labelled_discard: int
    def __init__(self, cluster_id: _Optional[int] = ..., clustering_id: _Optional[int] = ..., generation: _Optional[int] = ..., size: _Optional[int] = ..., medoid_image_id: _Optional[str] = ..., radius: _Optional[float] = ..., sample_image_ids: _Optional[_Iterable[str]] = ..., parents: _Optional[_Iterable[_Union[ClusterParent, _Mapping]]] = ..., labelled_keep: _Optional[int] = ..., labelled_discard: _Optional[int] = ...) -> None: ...

class ClusterParent(_message.Message):
    __slots__ = ("cluster_id", "images")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    cluster_id: int
    images: int
    def __init__(self, cluster_id: _Optional[int] = ..., images: _Optional[int] = ...) -> None: ...

class LiveCluster(_message.Message):
    __slots__ = ("cluster_id", "size")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    cluster_id: int
    size: int
    def __init__(self, cluster_id: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class LineageEvent(_message.Message):
    __slots__ = ("generation", "time", "cluster_id", "change", "other_cluster_id")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    OTHER_CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    generation: int
    time: _timestamp_pb2.Timestamp
    cluster_id: int
    change: LineageChange
    other_cluster_id: int
    def __init__(self, generation: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cluster_id: _Optional[int] = ..., change: _Optional[_Union[LineageChange, str]] = ..., other_cluster_id: _Optional[int] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("image_id", "distance")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    distance: float
    def __init__(self, image_id: _Optional[str] = ..., distance: _Optional[float] = ...) -> None: ...

class ReachabilityPoint(_message.Message):
    __slots__ = ("image_id", "cluster_id", "reachability", "core_distance")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    REACHABILITY_FIELD_NUMBER: _ClassVar[int]
    CORE_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    cluster_id: int
    reachability: float
    core_distance: float
    def __init__(self, image_id: _Optional[str] = ..., cluster_id: _Optional[int] = ..., reachability: _Optional[float] = ..., core_distance: _Optional[float] = ...) -> None: ...
