// A reachability plot, and the clusters that a cut through it gives.

import { clusterings } from "../api";

/** Points in cluster order; what is undefined is infinite. */
export interface Reachability {
  images: string[];
  reachability: Float64Array;
  core: Float64Array;
  /** The largest finite reachability. */
  highest: number;
}

/** What a cut gives. */
export interface Cut {
  clusters: number;
  noise: number;
  /** The cluster of each point; -1 is noise. */
  labels: Int32Array;
}

const PAGE = 1000;
/** Points that are drawn at most. */
const POINTS_MAX = 200_000;

export async function readReachability(collection: string, clusteringId: bigint, signal: AbortSignal): Promise<Reachability> {
  const images: string[] = [];
  const reachability: number[] = [];
  const core: number[] = [];
  let pageToken = "";
  do {
    const page = await clusterings.getReachability({ collection, clusteringId, pageSize: PAGE, pageToken }, { signal });
    for (const point of page.points) {
      images.push(point.imageId);
      reachability.push(point.reachability ?? Infinity);
      core.push(point.coreDistance ?? Infinity);
    }
    pageToken = page.nextPageToken;
  } while (pageToken && images.length < POINTS_MAX);
  const highest = reachability.reduce((high, value) => (Number.isFinite(value) && value > high ? value : high), 0);
  return { images, reachability: Float64Array.from(reachability), core: Float64Array.from(core), highest };
}

/** What DBSCAN at this radius would give, read off the plot: a point that is too far begins a cluster if it is a core. */
export function cutAt({ reachability, core }: Reachability, eps: number): Cut {
  const labels = new Int32Array(reachability.length).fill(-1);
  let clusters = 0;
  let noise = 0;
  for (let at = 0; at < labels.length; at += 1) {
    if ((reachability[at] ?? Infinity) <= eps) labels[at] = clusters - 1;
    else if ((core[at] ?? Infinity) <= eps) {
      labels[at] = clusters;
      clusters += 1;
    }
    if (labels[at] === -1) noise += 1;
  }
  return { clusters, noise, labels };
}
