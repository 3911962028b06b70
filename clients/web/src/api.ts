// The daemon as the page sees it: typed clients, patience while it is away, and errors in words.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { signal } from "@preact/signals";

import { askAgain } from "./door";
import { AdminService } from "./gen/culld/v1/admin_service_pb";
import { ClusteringService } from "./gen/culld/v1/clustering_service_pb";
import { CollectionService } from "./gen/culld/v1/collection_service_pb";
import { DecisionService } from "./gen/culld/v1/decision_service_pb";
import { ImageService } from "./gen/culld/v1/image_service_pb";

const transport = createGrpcWebTransport({ baseUrl: location.origin, interceptors: [askAgain] });

export const admin = createClient(AdminService, transport);
export const clusterings = createClient(ClusteringService, transport);
export const collections = createClient(CollectionService, transport);
export const decisions = createClient(DecisionService, transport);
export const images = createClient(ImageService, transport);

/** Whether the daemon answered when last asked. */
export const online = signal(true);

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;
/** Longest side of the picture that a closer look asks for, in pixels. */
const LARGE_EDGE_PX = 2048;

/** Waits, or rejects once the signal says that nobody waits any more. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("nobody waits any more", "AbortError"));
    });
  });
}

/** Whether an error says that nobody answered, rather than what. */
function isAway(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return error instanceof TypeError;
  if (error.code === Code.Unavailable) return true;
  // A connection that breaks off leaves a call without its end.
  const broken = error.code === Code.Unknown || error.code === Code.Internal || error.code === Code.DataLoss;
  return broken && (error.cause instanceof TypeError || /trailer|premature|fetch|network/i.test(error.rawMessage));
}

/**
 * Makes a call again and again while nobody answers. Safe for mutations as well: they carry a request id, and a retry
 * gets the first answer.
 */
export async function patiently<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    try {
      const answer = await call();
      online.value = true;
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      const busy = error instanceof ConnectError && error.code === Code.ResourceExhausted && /in flight|wait|too much/.test(error.rawMessage);
      const away = isAway(error);
      if (!busy) online.value = !away;
      if (!busy && !away) throw error;
      await sleep(wait * (0.75 + Math.random() / 2), signal);
    }
  }
}

/** Names a mutation, so that a retry of it is known as one. */
export function requestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An error for people. */
export function plain(error: unknown): string {
  if (error instanceof ConnectError) {
    return isAway(error) ? "The daemon doesn't answer." : sentence(error.rawMessage || `It failed (${Code[error.code]}).`);
  }
  return sentence(error instanceof Error ? error.message : String(error));
}

function sentence(text: string): string {
  const end = /[.!?]$/.test(text) ? "" : ".";
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}

export function isCode(error: unknown, code: Code): boolean {
  return error instanceof ConnectError && error.code === code;
}

/** Where the small picture of an image is. */
export function thumbnailUrl(collection: string, image: string): string {
  return `/v1/collections/${encodeURIComponent(collection)}/images/${image}/thumbnail`;
}

/** Where as large a picture of it is as can be had. */
export function previewUrl(collection: string, image: string): string {
  return `${thumbnailUrl(collection, image)}?edge=${LARGE_EDGE_PX}`;
}
