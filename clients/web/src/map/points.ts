// Where the pictures lie, and which of them a line goes round.

import { clusterings, patiently } from "../api";
import { DecisionKind } from "../gen/culld/v1/decision_pb";

/** All pictures of the map, by number. */
export interface Points {
  images: string[];
  x: Float32Array;
  y: Float32Array;
  decision: Uint8Array;
  /** -1 is in no cluster. */
  cluster: Float64Array;
}

/** What is seen: the map's point in the middle, and pixels per unit. */
export interface Sight {
  x: number;
  y: number;
  scale: number;
}

/** What a person looks at, whatever room there is: the middle, and how many times as near as where all is seen. */
export interface Focus {
  x: number;
  y: number;
  zoom: number;
}

export const EVERYTHING: Focus = { x: 0, y: 0, zoom: 1 };

export interface Spot {
  x: number;
  y: number;
}

const PAGE = 1000;
/** Pictures on the map at most. */
export const POINTS_MAX = 200_000;

export async function readPoints(collection: string, refresh: boolean, signal: AbortSignal, told: (read: number, all: number) => void): Promise<Points> {
  const images: string[] = [];
  const values: { x: number[]; y: number[]; decision: number[]; cluster: number[] } = { x: [], y: [], decision: [], cluster: [] };
  let pageToken = "";
  do {
    const request = { collection, refresh: refresh && !pageToken, pageSize: PAGE, pageToken };
    const page = await patiently(() => clusterings.getMap(request, { signal }), signal);
    for (const point of page.points) {
      images.push(point.imageId);
      values.x.push(point.x);
      values.y.push(point.y);
      values.decision.push(point.decision);
      values.cluster.push(point.clusterId === undefined ? -1 : Number(point.clusterId));
    }
    told(images.length, Number(page.images));
    pageToken = page.nextPageToken;
  } while (pageToken && images.length < POINTS_MAX);
  return {
    images,
    x: Float32Array.from(values.x),
    y: Float32Array.from(values.y),
    decision: Uint8Array.from(values.decision),
    cluster: Float64Array.from(values.cluster),
  };
}

/** Pictures by decision: keep, discard, review. */
export function tally(points: Points, rows: readonly number[]): [number, number, number] {
  const counts: [number, number, number] = [0, 0, 0];
  for (const row of rows) {
    const kind: DecisionKind = points.decision[row] ?? 0;
    counts[kind === DecisionKind.KEEP ? 0 : kind === DecisionKind.DISCARD ? 1 : 2] += 1;
  }
  return counts;
}

/** Those within a line that ends where it begins (a ray to the right crosses it an odd number of times). */
export function inside(points: Points, line: readonly Spot[]): number[] {
  const rows: number[] = [];
  for (let row = 0; row < points.images.length; row += 1) {
    const x = points.x[row] ?? 0;
    const y = points.y[row] ?? 0;
    let is = false;
    for (let at = 0, before = line.length - 1; at < line.length; before = at, at += 1) {
      const a = line[at];
      const b = line[before];
      if (a && b && a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) is = !is;
    }
    if (is) rows.push(row);
  }
  return rows;
}

/** The one nearest to a spot, if it is as near as that. */
export function nearest(points: Points, spot: Spot, reach: number): number | undefined {
  let best: number | undefined;
  let least = reach * reach;
  for (let row = 0; row < points.images.length; row += 1) {
    const dx = (points.x[row] ?? 0) - spot.x;
    const dy = (points.y[row] ?? 0) - spot.y;
    const squared = dx * dx + dy * dy;
    if (squared <= least) {
      least = squared;
      best = row;
    }
  }
  return best;
}
