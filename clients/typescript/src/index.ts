/**
 * The client of culld, the daemon that sorts growing image stores. `Culld.connect()` is where everything begins.
 *
 * @packageDocumentation
 */

export { Code } from "@connectrpc/connect";
export { AddImages, type AddOptions, type AddProgress, type AddResult, IMAGES_UNDER_WAY_MAX } from "./add.js";
export { Culld, type Services } from "./client.js";
export { type ConnectOptions, DEFAULT_ADDRESS, DEFAULT_TIMEOUT_MS, type TlsOptions } from "./connection.js";
export {
  AbortedError,
  AlreadyExistsError,
  CancelledError,
  CulldError,
  DeadlineExceededError,
  FailedPreconditionError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  OutOfRangeError,
  PermissionDeniedError,
  ResourceExhaustedError,
  UnauthenticatedError,
  UnavailableError,
  UnimplementedError,
  type ErrorFacts,
  type FieldViolation,
} from "./errors.js";
export { type Decision, DecisionKind, DecisionReason, EventKind, Side } from "./gen/culld/v1/decision_pb.js";
export { AddCause, AddStatus, Defect, type Image } from "./gen/culld/v1/image_pb.js";
export type {
  Algorithm,
  CallOptions,
  ClusterTarget,
  DecisionName,
  DefectName,
  Filter,
  Id,
  SideName,
  VerdictOptions,
  VerdictTarget,
} from "./inputs.js";
export { Operation, type WaitOptions } from "./operations.js";
export { DEFAULT_RETRY, type RetryPolicy } from "./retry.js";
export { type Answer, type AnswerOptions, ReviewItem, type ReviewOptions } from "./review.js";
export { IMAGE_BYTES_MAX, imageId, type ImageSource, type ImageSources, type ImageToAdd } from "./sources.js";
export {
  CollectionExport,
  type ExportedCollection,
  type ExportOptions,
  type ImportedCollection,
  type ImportOptions,
  type ImportProgress,
} from "./transfer.js";
export { type Change, Decisions, type FetchOptions, type WatchOptions } from "./watch.js";
