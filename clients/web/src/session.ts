// Who looks, and at what: kept where a reload finds it.

import { computed, effect, signal } from "@preact/signals";

const NAME_KEY = "culld.reviewer";
const TAB_KEY = "culld.tab";
const NAME_CHARACTERS_MAX = 60;

/** Storage may be switched off; then nothing is remembered, and everything else works. */
export function remembered(storage: "localStorage" | "sessionStorage", key: string): string | null {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

export function remember(storage: "localStorage" | "sessionStorage", key: string, value: string): void {
  try {
    window[storage].setItem(key, value);
  } catch {
    // Full or switched off.
  }
}

function random(): string {
  return Math.random().toString(36).slice(2, 6).padEnd(4, "0");
}

/** The name in the log. */
export const reviewer = signal(remembered("localStorage", NAME_KEY) || `reviewer-${random()}`);
/** Tells two windows of one person apart, whose items are their own; a reload keeps it. */
const tab = signal(remembered("sessionStorage", TAB_KEY) || random());
/** The name that items are leased to. */
export const lessee = computed(() => `${reviewer.value} (${tab.value})`);

effect(() => remember("localStorage", NAME_KEY, reviewer.value));
effect(() => remember("sessionStorage", TAB_KEY, tab.value));

export function rename(name: string): void {
  const cleaned = name.trim().slice(0, NAME_CHARACTERS_MAX);
  if (cleaned) reviewer.value = cleaned;
}

/** A window that was duplicated has the other's storage: the one that comes second takes a name of its own. */
export async function claimTab(): Promise<void> {
  // Only there where the page is reached securely, which localhost is.
  if (!navigator.locks) return;
  for (;;) {
    const claimed = await new Promise<boolean>((resolve) => {
      void navigator.locks.request(`${TAB_KEY}.${tab.value}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        // Held for as long as the window is open.
        return lock ? new Promise(() => undefined) : undefined;
      });
    });
    if (claimed) return;
    tab.value = random();
  }
}

export const VIEWS = ["review", "clusters", "map", "plots", "run"] as const;
export type View = (typeof VIEWS)[number];

/** Where the page is: a collection, a view, and what of it. */
export interface Place {
  collection: string;
  view: View;
  detail: string;
}

function parsed(hash: string): Place {
  const [collection = "", view = "", detail = ""] = hash.replace(/^#\/?/, "").split("/").map(safeDecode);
  const known = VIEWS.find((name) => name === view);
  return { collection: collection || "default", view: known ?? "review", detail };
}

function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

export const place = signal(parsed(location.hash));
export const collection = computed(() => place.value.collection);
window.addEventListener("hashchange", () => (place.value = parsed(location.hash)));

export function linkTo(change: Partial<Place>): string {
  const { collection, view, detail } = { ...place.value, detail: "", ...change };
  const parts = [collection, view, ...(detail ? [detail] : [])];
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}
