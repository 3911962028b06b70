// Errors of calls, a class for each kind, with what the daemon says of them in google.rpc details.

import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, ResourceInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** A field of a request that is unusable. */
export interface FieldViolation {
  /** Its name in the proto, such as `min_points`. */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** What an error is made of; the fields are those of CulldError. */
export interface ErrorFacts {
  readonly code: Code;
  readonly message: string;
  readonly method?: string;
  readonly reason?: string;
  readonly violations?: readonly FieldViolation[];
  readonly resource?: { readonly type: string; readonly name: string };
  readonly retryAfterMs?: number;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** A call that failed. Its subclasses say how; `reason` says it in a constant for programs. */
export class CulldError extends Error {
  override readonly name: string = "CulldError";
  /** The gRPC status code. */
  readonly code: Code;
  /** The call that failed, such as `SetVerdict`; empty where it was none. */
  readonly method: string;
  /** The daemon's constant for it, such as `ITEM_STALE` or `TOKEN_EXPIRED`; empty where it gave none. */
  readonly reason: string;
  /** The fields of the request that are unusable. */
  readonly violations: readonly FieldViolation[];
  /** What it is about, such as a collection. */
  readonly resource: { readonly type: string; readonly name: string } | undefined;
  /** How long the daemon asks to wait before the next try, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Whether the same call may succeed later. The client has tried that already, as its retry policy says. */
  readonly retryable: boolean;

  constructor(facts: ErrorFacts) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.method = facts.method ?? "";
    this.reason = facts.reason ?? "";
    this.violations = facts.violations ?? [];
    this.resource = facts.resource;
    this.retryAfterMs = facts.retryAfterMs;
    this.retryable = facts.retryable ?? false;
  }
}

/** A request that can't be meant; see `violations`. */
export class InvalidArgumentError extends CulldError {
  override readonly name = "InvalidArgumentError";
}
/** There is no such thing; see `resource`. */
export class NotFoundError extends CulldError {
  override readonly name = "NotFoundError";
}
/** There is one already; see `resource`. */
export class AlreadyExistsError extends CulldError {
  override readonly name = "AlreadyExistsError";
}
/** No token or certificate, or one that the daemon doesn't know. */
export class UnauthenticatedError extends CulldError {
  override readonly name = "UnauthenticatedError";
}
/** The caller may not do that. */
export class PermissionDeniedError extends CulldError {
  override readonly name = "PermissionDeniedError";
}
/** Not as things are; `reason` says what stands in the way. */
export class FailedPreconditionError extends CulldError {
  override readonly name = "FailedPreconditionError";
}
/** It was overtaken, such as a review item that is stale. */
export class AbortedError extends CulldError {
  override readonly name = "AbortedError";
}
/** A token of changes that is of no use any more. */
export class OutOfRangeError extends CulldError {
  override readonly name = "OutOfRangeError";
}
/** A limit is reached; `retryable` where it is one that passes. */
export class ResourceExhaustedError extends CulldError {
  override readonly name = "ResourceExhaustedError";
}
/** The daemon can't be reached, or is stopping. */
export class UnavailableError extends CulldError {
  override readonly name = "UnavailableError";
}
/** The deadline passed first. */
export class DeadlineExceededError extends CulldError {
  override readonly name = "DeadlineExceededError";
}
/** The caller gave up, or the work was cancelled. */
export class CancelledError extends CulldError {
  override readonly name = "CancelledError";
}
/** The daemon has no such call: it is older than this client. */
export class UnimplementedError extends CulldError {
  override readonly name = "UnimplementedError";
}
/** Something that should not happen, in the daemon or between it and here. */
export class InternalError extends CulldError {
  override readonly name = "InternalError";
}

const CLASSES: ReadonlyMap<Code, new (facts: ErrorFacts) => CulldError> = new Map<Code, new (facts: ErrorFacts) => CulldError>([
  [Code.InvalidArgument, InvalidArgumentError],
  [Code.NotFound, NotFoundError],
  [Code.AlreadyExists, AlreadyExistsError],
  [Code.Unauthenticated, UnauthenticatedError],
  [Code.PermissionDenied, PermissionDeniedError],
  [Code.FailedPrecondition, FailedPreconditionError],
  [Code.Aborted, AbortedError],
  [Code.OutOfRange, OutOfRangeError],
  [Code.ResourceExhausted, ResourceExhaustedError],
  [Code.Unavailable, UnavailableError],
  [Code.DeadlineExceeded, DeadlineExceededError],
  [Code.Canceled, CancelledError],
  [Code.Unimplemented, UnimplementedError],
  [Code.Internal, InternalError],
  [Code.DataLoss, InternalError],
  [Code.Unknown, InternalError],
]);

/** The error of the class that its code asks for. */
export function errorOf(facts: ErrorFacts): CulldError {
  return new (CLASSES.get(facts.code) ?? CulldError)(facts);
}

/** An answer that the daemon can't have meant. */
export function protocolError(message: string, method: string): CulldError {
  return new InternalError({ code: Code.Internal, message, method });
}

/** Codes of Node's errors that say that a connection was not there, or broke off. */
const CONNECTION_CODES = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ERR_HTTP2_|ERR_STREAM_)/;
/** Codes of Node's errors of TLS, where trying again is in vain. */
const TLS_CODES = /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/;
/** What Connect says of a response that breaks off, where Node gives no error. */
const BROKEN_OFF = /missing trailer|missing status|premature|http\/2 stream closed|sentinel completed|connection aborted|end of stream|incomplete envelope|GOAWAY/i;

/** Any error of a call as one of ours. */
export function fromConnect(error: unknown, method: string, signal?: AbortSignal): CulldError {
  if (error instanceof CulldError) return error;
  const connect = ConnectError.from(error, Code.Internal);
  if (signal?.aborted) {
    const cause: unknown = signal.reason;
    return new CancelledError({ code: Code.Canceled, message: `${method} was cancelled`, method, cause });
  }
  const [info] = connect.findDetails(ErrorInfoSchema);
  const codes = nodeCodes(connect);
  const ofTls = codes.find((code) => TLS_CODES.test(code));
  if (info === undefined && ofTls !== undefined) {
    const message = `no secure connection: ${connect.rawMessage} (${ofTls})`;
    return errorOf({ code: Code.Unavailable, message, method, cause: connect });
  }
  if (info === undefined && isBrokenConnection(connect, codes)) {
    const message = connect.rawMessage || codes.join(", ");
    return errorOf({ code: Code.Unavailable, message, method, cause: connect, retryable: true });
  }
  const code = statusCode(connect);
  const [resource] = connect.findDetails(ResourceInfoSchema);
  const [retry] = connect.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  const retryAfterMs = delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  return errorOf({
    code,
    message: connect.rawMessage || Code[code],
    method,
    violations: connect.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations),
    // Overload passes, and then the daemon says when; a limit of the store doesn't.
    retryable: code === Code.Unavailable || (code === Code.ResourceExhausted && retry !== undefined),
    cause: connect,
    ...(info && { reason: info.reason }),
    ...(resource && { resource: { type: resource.resourceType, name: resource.resourceName } }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/** The code of the status line, which counts; Connect prefers the one within the details. */
function statusCode(error: ConnectError): Code {
  const told = Number(error.metadata.get("grpc-status") ?? 0);
  return told > 0 && told in Code ? told : error.code;
}

function isBrokenConnection(error: ConnectError, codes: readonly string[]): boolean {
  if (error.code === Code.Unavailable) return true;
  if (codes.some((code) => CONNECTION_CODES.test(code))) return true;
  const broken = [Code.Aborted, Code.Internal, Code.Unknown, Code.Canceled, Code.DataLoss, Code.InvalidArgument];
  return broken.includes(error.code) && BROKEN_OFF.test(error.rawMessage);
}

/** The codes of an error and of what caused it. */
function nodeCodes(error: unknown): string[] {
  const codes: string[] = [];
  for (let depth = 0; error instanceof Error && depth < 8; depth += 1) {
    if ("code" in error && typeof error.code === "string") codes.push(error.code);
    // Several addresses of a name were tried.
    if (error instanceof AggregateError) codes.push(...error.errors.flatMap(nodeCodes));
    error = error.cause;
  }
  return codes;
}
