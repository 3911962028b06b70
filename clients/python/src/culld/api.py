"""All messages and enums of ``proto/culld/v1`` under one name: ``from culld import api``."""

from .v1.admin_service_pb2 import *
from .v1.clustering_pb2 import *
from .v1.clustering_service_pb2 import *
from .v1.collection_pb2 import *
from .v1.collection_service_pb2 import *
from .v1.decision_pb2 import *
from .v1.decision_service_pb2 import *
from .v1.image_pb2 import *
from .v1.image_service_pb2 import *
from .v1.operation_pb2 import *
