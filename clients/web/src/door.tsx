// Who is let in: a session that ended shows the daemon's form again, and one who is done can end it.

import type { Interceptor } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { signal } from "@preact/signals";

/** What the daemon says that it can do, where it asks who calls. */
const ASKS_WHO_CALLS = "access";

/** Whether there is a session to end. */
export const isClosed = signal(false);

export function note(features: string[]): void {
  isClosed.value = features.includes(ASKS_WHO_CALLS);
}

/** The daemon answers its form in place of the page to who has no session: loading it again is all there is to do. */
export const askAgain: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.Unauthenticated) location.reload();
    throw error;
  }
};

export function Leave() {
  if (!isClosed.value) return null;
  const leave = () => void fetch("/logout", { method: "POST", redirect: "manual" }).finally(() => location.reload());
  return (
    <button type="button" onClick={leave}>
      Sign out
    </button>
  );
}
