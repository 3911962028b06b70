"""A client that knows culld by reflection alone: no stubs, no proto files.

    reflection_client.py HOST:PORT FOLDER

Adds the pictures of FOLDER, reclusters, waits for the operation, sets a verdict, and fetches decisions.
"""

import pathlib
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Culld:
    """Calls any unary or server-streaming method by name, with keyword arguments."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        self.services = database.get_services()
        self.pool = descriptor_pool.DescriptorPool(database)

    def call(self, service, method, **fields):
        found = self.pool.FindServiceByName(f"culld.v1.{service}").FindMethodByName(method)
        request = message_factory.GetMessageClass(found.input_type)(**fields)
        answer = message_factory.GetMessageClass(found.output_type).FromString
        kind = self.channel.unary_stream if found.server_streaming else self.channel.unary_unary
        path = f"/culld.v1.{service}/{method}"
        return kind(path, request_serializer=lambda message: message.SerializeToString(), response_deserializer=answer)(
            request, timeout=300
        )


def main(address, folder):
    culld = Culld(address)
    print("services:", *culld.services)
    assert "culld.v1.ImageService" in culld.services
    added = 0
    for path in sorted(pathlib.Path(folder).iterdir()):
        image = {"key": path.name, "data": path.read_bytes()}
        outcome = culld.call("ImageService", "AddImage", image=image, request_id=path.name).outcome
        assert len(outcome.image_id) == 64, outcome
        added += 1
    print("added:", added)
    operation = culld.call("ClusteringService", "Recluster").operation
    while not operation.done:
        operation = culld.call("AdminService", "WaitOperation", name=operation.name).operation
    assert operation.WhichOneof("result") == "clustering", operation
    print("clusters:", operation.clustering.clusters, "by", operation.clustering.algorithm)
    cluster = culld.call("ClusteringService", "ListClusters").clusters[0]
    target = {"clustering_id": cluster.clustering_id, "cluster_id": cluster.cluster_id}
    verdict = culld.call("DecisionService", "SetVerdict", side="SIDE_KEEP", cluster=target, actor="reflection")
    assert verdict.labelled == cluster.size, verdict
    print("kept:", verdict.labelled)
    messages = list(culld.call("DecisionService", "FetchDecisions", view="DECISION_VIEW_FULL"))
    decisions = [decision for message in messages for decision in message.decisions]
    kinds = decisions[0].DESCRIPTOR.fields_by_name["decision"].enum_type.values_by_number
    kept = sum(kinds[decision.decision].name == "DECISION_KIND_KEEP" for decision in decisions)
    assert len(decisions) == added and kept >= cluster.size, (len(decisions), kept)
    print("decisions:", len(decisions), "of which kept:", kept)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
