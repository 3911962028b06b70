/**
 * The messages and services of `proto/culld/v1` as they were generated.
 *
 * @packageDocumentation
 */

export * from "./gen/culld/v1/admin_service_pb.js";
export * from "./gen/culld/v1/clustering_pb.js";
export * from "./gen/culld/v1/clustering_service_pb.js";
export * from "./gen/culld/v1/collection_pb.js";
export * from "./gen/culld/v1/collection_service_pb.js";
export * from "./gen/culld/v1/decision_pb.js";
export * from "./gen/culld/v1/decision_service_pb.js";
export * from "./gen/culld/v1/image_pb.js";
export * from "./gen/culld/v1/image_service_pb.js";
export * from "./gen/culld/v1/operation_pb.js";
