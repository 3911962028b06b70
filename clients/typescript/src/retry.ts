// When to try again, and how long to wait before.

import { CulldError } from "./errors.js";

/** How patient the client is with a daemon that is busy, stopping or away. */
export interface RetryPolicy {
  /** The wait before the second try, in milliseconds. Default 100. */
  readonly initialDelayMs: number;
  /** What each wait is of the one before. Default 2. */
  readonly multiplier: number;
  /** The longest wait, in milliseconds; the daemon may ask for a longer one. Default 5,000. */
  readonly maxDelayMs: number;
  /** By which share of itself a wait is drawn shorter or longer, [0, 1]. Default 0.25. */
  readonly jitter: number;
  /**
   * How long to try in all since something last worked, in milliseconds; 0 never tries again. Default 30,000. A deadline
   * that is nearer comes first.
   */
  readonly patienceMs: number;
}

/** What holds where nothing else is said. */
export const DEFAULT_RETRY: RetryPolicy = {
  initialDelayMs: 100,
  multiplier: 2,
  maxDelayMs: 5_000,
  jitter: 0.25,
  patienceMs: 30_000,
};

/** The waits between tries of one thing. */
export class Backoff {
  readonly #policy: RetryPolicy;
  readonly #now: () => number;
  readonly #random: () => number;
  #failures = 0;
  #failedSince: number;

  constructor(policy: RetryPolicy, now: () => number = () => performance.now(), random: () => number = Math.random) {
    this.#policy = policy;
    this.#now = now;
    this.#random = random;
    this.#failedSince = now();
  }

  /** Something worked: what fails from now on begins anew. */
  reset(): void {
    this.#failures = 0;
  }

  /** How long to wait before the next try, in milliseconds; `undefined` where there is to be none. */
  next(error: CulldError): number | undefined {
    if (!error.retryable) return undefined;
    const { initialDelayMs, multiplier, maxDelayMs, jitter, patienceMs } = this.#policy;
    const now = this.#now();
    if (this.#failures === 0) this.#failedSince = now;
    const full = Math.min(initialDelayMs * multiplier ** this.#failures, maxDelayMs);
    const drawn = full * (1 + jitter * (2 * this.#random() - 1));
    // All who were turned away come back spread out, and none of them too early.
    const wait = error.retryAfterMs === undefined ? drawn : error.retryAfterMs + full * jitter * this.#random();
    this.#failures += 1;
    return now + wait - this.#failedSince > patienceMs ? undefined : wait;
  }

  /** Waits for the next try; false where there is to be none. */
  async wait(error: CulldError, signal?: AbortSignal): Promise<boolean> {
    const wait = this.next(error);
    if (wait === undefined) return false;
    await pause(wait, signal);
    return !signal?.aborted;
  }
}

/** Waits, or returns as soon as the signal says that nobody waits any more. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}
