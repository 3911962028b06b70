// What callers say, in their own words, as the proto has it.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";

import { DecisionKind, Side } from "./gen/culld/v1/decision_pb.js";
import type { SetVerdictRequestSchema } from "./gen/culld/v1/decision_service_pb.js";
import { Defect, type ImageFilter, type ImageFilterSchema } from "./gen/culld/v1/image_pb.js";
import type { ParametersSchema } from "./gen/culld/v1/clustering_pb.js";

/** The id of a cluster, a clustering or an event: a whole number. */
export type Id = bigint | number;
/** One of the two sides. */
export type SideName = "keep" | "discard";
/** A decision. */
export type DecisionName = "keep" | "discard" | "review";
/** Something that can be wrong with a picture. */
export type DefectName = "blurred" | "dark" | "overexposed" | "uniform" | "low-entropy";

/** What every call may be told. */
export interface CallOptions {
  /** Gives up once it is aborted, with a CancelledError. */
  readonly signal?: AbortSignal;
  /** The deadline, retries included, in milliseconds. Default: the client's. */
  readonly timeoutMs?: number;
}

/** Which images: all that is said must hold. */
export interface Filter {
  /** One of these; at most 10,000. */
  readonly imageIds?: readonly string[];
  /** Has a source whose key starts so. */
  readonly sourcePrefix?: string;
  /** Has a source that carries all of these tags. */
  readonly tags?: readonly string[];
  /** Added at or after. */
  readonly addedAfter?: Date;
  /** Added before. */
  readonly addedBefore?: Date;
  /** In one of these clusters of the active clustering. */
  readonly clusterIds?: readonly Id[];
  /** Noise in the active clustering. */
  readonly noise?: boolean;
  /** With one of these decisions. */
  readonly decisions?: readonly DecisionName[];
  /** With one of these defects. */
  readonly defects?: readonly DefectName[];
}

/** A cluster as it was seen. */
export interface ClusterTarget {
  /** Which; left out: the noise. */
  readonly clusterId?: Id;
  /** Of which clustering. Default: the active one. */
  readonly clusteringId?: Id;
  /** The generation that was seen, which must still be the clustering's. Default: whichever it is. */
  readonly generation?: Id;
  /** Members of the other side; at most 10,000. */
  readonly exceptions?: readonly string[];
}

/** A cluster, or images by their ids. */
export type VerdictTarget = ClusterTarget | readonly string[];

/** What goes with a verdict. */
export interface VerdictOptions extends CallOptions {
  /** For a discard of images: the image they are duplicates of, which is kept. */
  readonly duplicateOf?: string;
  /** Words for the log; at most 1,000 characters. */
  readonly note?: string;
  /** Who says so, for the log. Default: the client's actor. */
  readonly actor?: string;
}

/** Which algorithm, with what is to be other than its default: `{ case: "dbscan", value: { eps: 0.3 } }`. */
export type Algorithm = NonNullable<MessageInitShape<typeof ParametersSchema>["algorithm"]>;

/** The options that Connect takes. */
export function callOptions({ signal, timeoutMs }: CallOptions): { signal?: AbortSignal; timeoutMs?: number } {
  return { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** The side of a name. */
export function sideOf(name: SideName): Side {
  return name === "keep" ? Side.KEEP : Side.DISCARD;
}

/** The filter as the proto has it; one that is such a message already is taken as it is. */
export function filterOf(filter: Filter | ImageFilter = {}): MessageInitShape<typeof ImageFilterSchema> {
  if ("$typeName" in filter) return filter;
  const { addedAfter, addedBefore, clusterIds, decisions, defects, imageIds, tags, noise, sourcePrefix } = filter;
  const kinds = { keep: DecisionKind.KEEP, discard: DecisionKind.DISCARD, review: DecisionKind.REVIEW };
  const wrong = {
    blurred: Defect.BLURRED,
    dark: Defect.DARK,
    overexposed: Defect.OVEREXPOSED,
    uniform: Defect.UNIFORM,
    "low-entropy": Defect.LOW_ENTROPY,
  };
  return {
    imageIds: [...(imageIds ?? [])],
    tags: [...(tags ?? [])],
    sourcePrefix: sourcePrefix ?? "",
    noise: noise ?? false,
    clusterIds: (clusterIds ?? []).map(BigInt),
    decisions: (decisions ?? []).map((name) => kinds[name]),
    defects: (defects ?? []).map((name) => wrong[name]),
    ...(addedAfter && { addedAfter: timestampFromDate(addedAfter) }),
    ...(addedBefore && { addedBefore: timestampFromDate(addedBefore) }),
  };
}

/** A verdict as the proto has it. */
export function verdictOf(
  collection: string,
  side: SideName,
  target: VerdictTarget,
  options: VerdictOptions,
): MessageInitShape<typeof SetVerdictRequestSchema> {
  const { duplicateOf, note, actor } = options;
  const said = { collection, side: sideOf(side), duplicateOfImageId: duplicateOf ?? "", note: note ?? "", actor: actor ?? "" };
  if (isIds(target)) return { ...said, target: { case: "images", value: { imageIds: [...target] } } };
  const { clusterId, clusteringId, generation, exceptions } = target;
  const cluster = {
    clusteringId: BigInt(clusteringId ?? 0),
    generation: BigInt(generation ?? 0),
    ...(clusterId !== undefined && { clusterId: BigInt(clusterId) }),
  };
  return { ...said, target: { case: "cluster", value: cluster }, exceptionImageIds: [...(exceptions ?? [])] };
}

function isIds(target: VerdictTarget): target is readonly string[] {
  return Array.isArray(target);
}
