// Clusters as the wall shows them.

import { Code } from "@connectrpc/connect";
import { signal } from "@preact/signals";

import { clusterings, decisions, isCode, patiently } from "../api";
import type { Cluster } from "../gen/culld/v1/clustering_pb";
import { DecisionView } from "../gen/culld/v1/decision_pb";

/** A cluster, or the noise. */
export interface Group {
  /** The cluster's id; "noise". */
  key: string;
  id: bigint | undefined;
  clusteringId: bigint;
  generation: bigint;
  size: number;
  radius: number;
  samples: string[];
  keep: number;
  discard: number;
  parents: { id: bigint; images: number }[];
  /** One less the mean confidence in its samples, once it is known. */
  uncertainty?: number;
}

export const NOISE = "noise";
const PAGE = 1000;
/** Clusters on the wall at most. */
const CLUSTERS_MAX = 20_000;
/** Samples of all clusters whose decisions are asked for at most. */
const SAMPLES_MAX = 20_000;
const NOISE_SAMPLES = 9;

/** Exceptions that were marked and not said yet, by group. */
export const marked = signal<ReadonlyMap<string, ReadonlySet<string>>>(new Map());

export function exceptionsOf(key: string): ReadonlySet<string> {
  return marked.value.get(key) ?? new Set();
}

export function mark(key: string, image: string): void {
  const images = new Set(exceptionsOf(key));
  if (!images.delete(image)) images.add(image);
  marked.value = new Map(marked.value).set(key, images);
}

export function unmark(keys: readonly string[]): void {
  const left = new Map(marked.value);
  for (const key of keys) left.delete(key);
  marked.value = left;
}

function group(cluster: Cluster): Group {
  return {
    key: String(cluster.clusterId),
    id: cluster.clusterId,
    clusteringId: cluster.clusteringId,
    generation: cluster.generation,
    size: Number(cluster.size),
    radius: cluster.radius,
    samples: cluster.sampleImageIds,
    keep: Number(cluster.labelledKeep),
    discard: Number(cluster.labelledDiscard),
    parents: cluster.parents.map((parent) => ({ id: parent.clusterId, images: Number(parent.images) })),
  };
}

/** The clusters of the active clustering and its noise; `null` where there is none. */
export async function listGroups(collection: string): Promise<Group[] | null> {
  const groups: Group[] = [];
  let pageToken = "";
  let noise = 0;
  let clusteringId = 0n;
  try {
    do {
      const page = await clusterings.listClusters({ collection, clusteringId, pageSize: PAGE, pageToken });
      groups.push(...page.clusters.map(group));
      clusteringId = page.clusteringId;
      noise = Number(page.noise);
      pageToken = page.nextPageToken;
    } while (pageToken && groups.length < CLUSTERS_MAX);
  } catch (error) {
    if (isCode(error, Code.FailedPrecondition) || isCode(error, Code.NotFound)) return null;
    throw error;
  }
  if (clusteringId === 0n) return null;
  if (noise > 0) groups.push(await noiseGroup(collection, clusteringId, noise));
  return groups;
}

async function noiseGroup(collection: string, clusteringId: bigint, size: number): Promise<Group> {
  const [page, got] = await Promise.all([
    clusterings.listMembers({ collection, clusteringId, pageSize: NOISE_SAMPLES }),
    clusterings.getClustering({ collection, clusteringId }),
  ]);
  const samples = page.members.map((member) => member.imageId);
  const generation = got.clustering?.generation ?? 0n;
  return { key: NOISE, id: undefined, clusteringId, generation, size, radius: 0, samples, keep: 0, discard: 0, parents: [] };
}

/** Adds how sure the decisions on the samples are. */
export async function withUncertainty(collection: string, groups: readonly Group[]): Promise<Group[]> {
  const asked = groups.flatMap((one) => one.samples).slice(0, SAMPLES_MAX);
  const confidence = new Map<string, number>();
  for (let at = 0; at < asked.length; at += PAGE) {
    const request = { collection, imageIds: asked.slice(at, at + PAGE), view: DecisionView.BASIC };
    const answer = await patiently(() => decisions.batchGetDecisions(request));
    for (const one of answer.decisions) confidence.set(one.imageId, one.confidence);
  }
  return groups.map((one) => {
    const known = one.samples.flatMap((image) => confidence.get(image) ?? []);
    if (known.length === 0) return one;
    return { ...one, uncertainty: 1 - known.reduce((sum, value) => sum + value, 0) / known.length };
  });
}

export const ORDERS = ["size", "radius", "label", "uncertainty"] as const;
export type Order = (typeof ORDERS)[number];

/** What is labelled keep comes first, what is labelled discard last. */
function leaning(one: Group): number {
  return (one.keep - one.discard) / Math.max(one.size, 1);
}

export function sorted(groups: readonly Group[], order: Order): Group[] {
  const value = {
    size: (one: Group) => one.size,
    radius: (one: Group) => one.radius,
    label: leaning,
    uncertainty: (one: Group) => one.uncertainty ?? -1,
  }[order];
  const isNoise = (one: Group) => Number(one.key === NOISE);
  return [...groups].sort((a, b) => isNoise(a) - isNoise(b) || value(b) - value(a) || b.size - a.size);
}
