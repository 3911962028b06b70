// Listings without paging by hand.

import { protocolError } from "./errors.js";

/** Entries asked for at a time: the most that the daemon gives. */
export const PAGE_SIZE = 1000;

interface Page {
  readonly nextPageToken: string;
}

/** The entries of a listing, one after the other; a page is asked for when the one before was taken. */
export async function* entries<P extends Page, T>(
  method: string,
  ask: (pageToken: string) => Promise<P>,
  of: (page: P) => readonly T[],
): AsyncGenerator<T> {
  let token = "";
  do {
    const page = await ask(token);
    yield* of(page);
    if (page.nextPageToken !== "" && page.nextPageToken === token) {
      throw protocolError("a page that says it is followed by itself", method);
    }
    token = page.nextPageToken;
  } while (token !== "");
}

/** Parts of a list of at most so many entries. */
export function* chunks<T>(list: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}
