// The exchange of a review: one item is looked at, the next one lies ready, answers go off behind.

import { Code } from "@connectrpc/connect";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { effect, signal } from "@preact/signals";

import { decisions, isCode, online, patiently, requestId, sleep, thumbnailUrl } from "../api";
import { ReviewAnswer } from "../gen/culld/v1/decision_service_pb";
import type { NextReviewResponse, QualityEstimate } from "../gen/culld/v1/decision_service_pb";
import { DecisionView } from "../gen/culld/v1/decision_pb";
import { complain, say } from "../parts/notices";
import { lessee, remember, remembered, reviewer } from "../session";
import { counted } from "../words";

/** An item to judge. */
export interface Item {
  id: string;
  shown: string[];
  images: number;
  expiresMs: number;
  skippedBefore: boolean;
}

/** What can be taken back. */
interface Spent {
  sequence: string;
  words: string;
  /** The pictures it was said of. */
  shown: string[];
}

/** How things stand while there is no item: something is on its way, or nothing will come by itself. */
export type Waiting = "fetching" | "done" | "held by others" | "failed";

/** An item whose lease ends so soon is not begun. */
const LEASE_LEFT_MS = 5_000;
/** How often it is looked whether the lease ran out, and whether others gave something back. */
const LOOK_MS = 5_000;
/** What was not asked for by a key takes no keys for so long: the last one may have been meant for what was there. */
const SETTLE_MS = 350;
/** Pictures whose shapes are remembered. */
const SHAPES_MAX = 45;
/** Answers that can be taken back in one window. */
const SPENT_MAX = 200;

const WORDS: Record<number, string> = {
  [ReviewAnswer.KEEP]: "kept",
  [ReviewAnswer.DISCARD]: "discarded",
  [ReviewAnswer.MIXED]: "mixed",
  [ReviewAnswer.SKIP]: "skipped",
};

function item(response: NextReviewResponse): Item | null {
  const found = response.item;
  if (!found) return null;
  return {
    id: found.itemId,
    shown: found.shownImageIds,
    images: Number(found.images),
    expiresMs: found.expireTime ? timestampMs(found.expireTime as Timestamp) : Infinity,
    skippedBefore: found.skippedBefore,
  };
}

export class Desk {
  readonly current = signal<Item | null>(null);
  readonly waiting = signal<Waiting>("fetching");
  readonly exceptions = signal<ReadonlySet<string>>(new Set());
  readonly estimate = signal<QualityEstimate | null>(null);
  readonly enough = signal(false);
  readonly names = signal<ReadonlyMap<string, string>>(new Map());
  readonly spent = signal<Spent[]>([]);
  readonly undone = signal<Spent[]>([]);
  /** Width by height of pictures that were had lately: the next ones will be much like them. */
  shapes: readonly number[] = [];
  /** Acts that were not answered yet. */
  readonly pending = signal(0);

  #next: Item | null = null;
  /** Judged, and on its way: still held. */
  #sending: Item[] = [];
  #queue: Promise<void> = Promise.resolve();
  /** Undos that are on their way: what is shown is about to go. */
  #taking = 0;
  #settlesAt = 0;
  readonly #stop = new AbortController();
  readonly #collection: string;
  readonly #forget: () => void;

  constructor(collection: string) {
    this.#collection = collection;
    this.spent.value = this.#restored();
    let wasOnline = online.value;
    this.#forget = effect(() => {
      const isBack = online.value && !wasOnline;
      wasOnline = online.value;
      // A daemon that was away may have forgotten what it leased.
      if (isBack) this.renew();
    });
    this.#enqueue(() => this.#fill());
    void this.#watch();
  }

  close(): void {
    this.#stop.abort();
    this.#forget();
  }

  toggle(index: number): void {
    const image = this.current.value?.shown[index];
    if (!image) return;
    const exceptions = new Set(this.exceptions.value);
    if (!exceptions.delete(image)) exceptions.add(image);
    this.exceptions.value = exceptions;
  }

  /** Gives the answer, and shows what comes next at once. */
  answer(answer: ReviewAnswer): void {
    const judged = this.current.value;
    if (!judged || this.#taking > 0 || performance.now() < this.#settlesAt) return;
    if (answer === ReviewAnswer.MIXED && judged.images < 2) {
      say("One picture can't be mixed: keep it, discard it, or skip.");
      return;
    }
    const hasSides = answer === ReviewAnswer.KEEP || answer === ReviewAnswer.DISCARD;
    const exceptions = hasSides ? [...this.exceptions.value] : [];
    this.#show(this.#next && this.#isFresh(this.#next) ? this.#next : null);
    this.#next = null;
    this.#sending.push(judged);
    this.#enqueue(async () => {
      try {
        await this.#send(judged, answer, exceptions);
      } finally {
        this.#sending = this.#sending.filter((one) => one !== judged);
      }
      await this.#fill();
    });
  }

  /** Takes the last answer of this window back. */
  undo(): void {
    this.#takeBack(this.spent, this.undone, "Nothing to take back in this window.", "Taken back");
  }

  /** Takes the last undo back. */
  redo(): void {
    this.#takeBack(this.undone, this.spent, "Nothing to say again.", "Said again");
  }

  /** Lets go of what is held, and asks anew. */
  renew(): void {
    this.#enqueue(() => this.#replace());
  }

  /** Puts something else before the person than was there, unasked. */
  async #replace(): Promise<void> {
    this.#drop();
    await this.#fill();
    this.#settlesAt = performance.now() + SETTLE_MS;
  }

  #takeBack(from: typeof this.spent, to: typeof this.spent, nothing: string, done: string): void {
    this.#taking += 1;
    this.#enqueue(async () => {
      try {
        const last = from.value.at(-1);
        if (!last) {
          say(nothing);
          return;
        }
        const request = { collection: this.#collection, eventSequence: BigInt(last.sequence), actor: reviewer.value, requestId: requestId() };
        const taken = await patiently(() => decisions.undoEvent(request), this.#stop.signal);
        from.value = from.value.slice(0, -1);
        to.value = [...to.value, { ...last, sequence: String(taken.eventSequence) }].slice(-SPENT_MAX);
        this.#remember();
        say(`${done}: ${last.words}.`);
        this.#drop();
        // Groups around the boundary are made anew with each answer: where it is none of them any more, it is the one that
        // has most of its pictures.
        this.#show(await this.#fetch([], last.shown));
        await this.#fill();
      } catch (error) {
        // What can't be taken back now never can: somebody else did.
        if (isCode(error, Code.FailedPrecondition) || isCode(error, Code.NotFound)) from.value = from.value.slice(0, -1);
        throw error;
      } finally {
        this.#taking -= 1;
      }
    });
  }

  async #send(judged: Item, answer: ReviewAnswer, exceptions: string[]): Promise<void> {
    try {
      await this.#say(judged, judged.id, answer, exceptions);
    } catch (error) {
      if (!isCode(error, Code.Aborted)) throw error;
      // A daemon that was started anew has forgotten what it leased: the same pictures have the same answer.
      const again = await this.#leaseAgain(judged);
      if (again) return this.#say(judged, again.id, answer, exceptions);
      say("That group changed or went back before the answer arrived, so it was not counted. Here is what is worth most now.");
      await this.#replace();
    }
  }

  async #say(judged: Item, itemId: string, answer: ReviewAnswer, exceptions: string[]): Promise<void> {
    const request = {
      collection: this.#collection,
      itemId,
      answer,
      exceptionImageIds: exceptions,
      actor: reviewer.value,
      requestId: requestId(),
    };
    const taken = await patiently(() => decisions.answerReview(request), this.#stop.signal);
    const but = exceptions.length ? `, ${counted(exceptions.length, "exception")}` : "";
    const words = `${counted(judged.images, "picture")} ${WORDS[answer] ?? ""}${but}`;
    const spent = { sequence: String(taken.eventSequence), words, shown: judged.shown };
    this.spent.value = [...this.spent.value, spent].slice(-SPENT_MAX);
    this.undone.value = [];
    this.#remember();
  }

  /** The very same item under another lease, where there still is such a one. */
  async #leaseAgain(judged: Item): Promise<Item | null> {
    const found = await this.#fetch([this.current.value, this.#next], judged.shown);
    const isSame = found?.images === judged.images && found.shown.every((image) => judged.shown.includes(image));
    return isSame ? found : null;
  }

  /** Fetches until one item is looked at and another lies ready, or there is none. */
  async #fill(): Promise<void> {
    while (!this.current.value || !this.#next) {
      const found = await this.#fetch([this.current.value, this.#next]);
      if (!found) return;
      if (this.current.value) this.#next = found;
      else this.#show(found);
    }
  }

  /** The item that is worth most beside those that are held, or that of some pictures. */
  async #fetch(holding: readonly (Item | null)[], preferred: readonly string[] = []): Promise<Item | null> {
    const held = [...this.#sending, ...holding].flatMap((one) => (one ? [one.id] : []));
    const request = { collection: this.#collection, reviewer: lessee.value, heldItemIds: held, preferredImageIds: [...preferred] };
    const response = await patiently(() => decisions.nextReview(request), this.#stop.signal);
    this.estimate.value = response.estimate ?? null;
    this.enough.value = response.enough;
    const found = item(response);
    if (found) void this.#lookUp(found);
    else if (!this.current.value) this.waiting.value = response.leased > 0n ? "held by others" : "done";
    return found;
  }

  #show(found: Item | null): void {
    this.exceptions.value = new Set();
    this.current.value = found;
    if (!found) this.waiting.value = "fetching";
  }

  #drop(): void {
    this.#show(null);
    this.#next = null;
  }

  #isFresh(one: Item): boolean {
    return one.expiresMs - Date.now() > LEASE_LEFT_MS;
  }

  /** Has pictures and names of an item there before it is looked at. */
  async #lookUp(found: Item): Promise<void> {
    for (const image of found.shown) this.#have(image);
    const request = { collection: this.#collection, imageIds: found.shown, view: DecisionView.FULL };
    try {
      const response = await patiently(() => decisions.batchGetDecisions(request), this.#stop.signal);
      const keys = response.decisions.map((one) => [one.imageId, one.sourceKeys[0] ?? ""] as const);
      this.names.value = new Map([...[...this.names.value].slice(-100), ...keys]);
    } catch {
      // Names are a convenience: pictures are judged by their looks.
    }
  }

  #have(image: string): void {
    const picture = new Image();
    picture.onload = () => {
      const shape = picture.naturalWidth / Math.max(picture.naturalHeight, 1);
      this.shapes = [...this.shapes, shape].slice(-SHAPES_MAX);
    };
    picture.src = thumbnailUrl(this.#collection, image);
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await sleep(LOOK_MS, this.#stop.signal).catch(() => undefined);
      const held = this.current.value;
      // A window that nobody sees holds nothing back from others.
      if (document.hidden) continue;
      if (held && !this.#isFresh(held) && this.pending.value === 0) {
        say("Nobody answered for a while, so the group went back. Here is what is worth most now.");
        this.renew();
      } else if (!held && this.waiting.value === "held by others" && this.pending.value === 0) {
        this.#enqueue(() => this.#fill());
      }
    }
  }

  #enqueue(act: () => Promise<void>): void {
    this.pending.value += 1;
    this.#queue = this.#queue
      .then(() => (this.#stop.signal.aborted ? undefined : act()))
      .catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        complain(error);
        if (!this.current.value) this.waiting.value = "failed";
      })
      .finally(() => (this.pending.value -= 1));
  }

  #key(): string {
    return `culld.spent.${this.#collection}`;
  }

  #remember(): void {
    remember("sessionStorage", this.#key(), JSON.stringify(this.spent.value));
  }

  #restored(): Spent[] {
    try {
      const found: unknown = JSON.parse(remembered("sessionStorage", this.#key()) ?? "[]");
      if (!Array.isArray(found)) return [];
      return found.filter((one): one is Spent => /^\d+$/.test(String(one?.sequence)) && typeof one?.words === "string" && Array.isArray(one?.shown));
    } catch {
      return [];
    }
  }
}
