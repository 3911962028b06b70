// Numbers and words as people read them.

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";

import { DecisionKind, DecisionReason, Side } from "./gen/culld/v1/decision_pb";

const grouped = new Intl.NumberFormat("en");
const BYTE_UNITS = ["bytes", "KB", "MB", "GB", "TB"];

export function count(value: bigint | number): string {
  return grouped.format(value);
}

export function counted(value: bigint | number, one: string, many = `${one}s`): string {
  return `${count(value)} ${BigInt(value) === 1n ? one : many}`;
}

export function bytes(value: bigint | number): string {
  let size = Number(value);
  let unit = 0;
  while (size >= 1000 && unit < BYTE_UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${BYTE_UNITS[unit]}`;
}

export function share(value: number): string {
  return `${(value * 100).toFixed(value > 0.995 && value < 1 ? 1 : 0)} %`;
}

export function fixed(value: number, digits = 2): string {
  return value.toFixed(digits);
}

export function moment(time: Timestamp | undefined): string {
  if (!time) return "";
  return timestampDate(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

export function sideWord(side: Side): string {
  return side === Side.KEEP ? "keep" : side === Side.DISCARD ? "discard" : "";
}

export function kindWord(kind: DecisionKind): string {
  return { [DecisionKind.KEEP]: "Keep", [DecisionKind.DISCARD]: "Discard", [DecisionKind.REVIEW]: "Review", [DecisionKind.UNSPECIFIED]: "" }[kind];
}

export function reasonWords(reason: DecisionReason): string {
  return {
    [DecisionReason.UNSPECIFIED]: "",
    [DecisionReason.SEEN_LABEL]: "somebody looked at this picture",
    [DecisionReason.IMPLIED_LABEL]: "it was judged with the group it was in",
    [DecisionReason.INHERITED]: "its cluster agrees, and it lies among them",
    [DecisionReason.STANDING_VERDICT]: "it is like pictures that were judged",
    [DecisionReason.NEAR_DUPLICATE]: "it is a near-duplicate of a picture that was looked at and discarded",
    [DecisionReason.NOTHING_JUDGED]: "nothing is judged yet",
    [DecisionReason.ONE_SIDE_JUDGED]: "only one side is judged so far",
    [DecisionReason.NEIGHBOURS_DISAGREE]: "pictures like it were judged both ways",
    [DecisionReason.TOO_FAR]: "nothing that was judged is like it",
    [DecisionReason.NOISE]: "it belongs to no cluster, and nothing that was judged is like it",
    [DecisionReason.CLUSTER_CHANGED]: "its cluster changed since it was judged",
    [DecisionReason.DOUBTFUL]: "what it would be is contradicted",
  }[reason];
}

/** The last part of a path, which is what a person knows a picture by. */
export function shortName(key: string): string {
  return key.split("/").pop() || key;
}
