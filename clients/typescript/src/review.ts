// Review items, and what is said of them.

import type { Client as ConnectClient } from "@connectrpc/connect";

import { AbortedError } from "./errors.js";
import {
  type AnswerReviewResponse,
  type DecisionService,
  type NextReviewResponse,
  type QualityEstimate,
  ReviewAnswer,
  type ReviewItem as ReviewItemMessage,
} from "./gen/culld/v1/decision_service_pb.js";

/** What a person says of the images shown. */
export type Answer = "keep" | "discard" | "mixed" | "skip";

const ANSWERS: Readonly<Record<Answer, ReviewAnswer>> = {
  keep: ReviewAnswer.KEEP,
  discard: ReviewAnswer.DISCARD,
  mixed: ReviewAnswer.MIXED,
  skip: ReviewAnswer.SKIP,
};

/** What goes with an answer. */
export interface AnswerOptions {
  /** Of the images shown those of the other side, with keep and discard. */
  readonly exceptions?: readonly string[];
  /** Words for the log; at most 1,000 characters. */
  readonly note?: string;
  /** Who says so, for the log. Default: the client's actor, else the reviewer. */
  readonly actor?: string;
  /** Gives up once it is aborted. */
  readonly signal?: AbortSignal;
}

/** How to take review items. */
export interface ReviewOptions {
  /** Who reviews; at most 128 characters. Two reviewers never hold the same item. */
  readonly reviewer: string;
  /** Of the items leased to this reviewer those still held; the others are released. */
  readonly held?: readonly string[];
  /** Gives up once it is aborted. */
  readonly signal?: AbortSignal;
}

/** A few images to look at, which stand for a group. Answer them. */
export class ReviewItem {
  readonly #decisions: ConnectClient<typeof DecisionService>;
  readonly #collection: string;
  readonly #actor: string;
  /** The item as the daemon gave it. */
  readonly message: ReviewItemMessage;
  /** How good the decisions are thought to be without its answer. */
  readonly estimate: QualityEstimate | undefined;
  /** Whether more answers are not worth a person's time. */
  readonly enough: boolean;

  /** @internal */
  constructor(
    decisions: ConnectClient<typeof DecisionService>,
    collection: string,
    actor: string,
    message: ReviewItemMessage,
    next: NextReviewResponse,
  ) {
    this.#decisions = decisions;
    this.#collection = collection;
    this.#actor = actor;
    this.message = message;
    this.estimate = next.estimate;
    this.enough = next.enough;
  }

  /** Names the lease. */
  get id(): string {
    return this.message.itemId;
  }

  /** The images to show, at most 9. */
  get shown(): readonly string[] {
    return this.message.shownImageIds;
  }

  /** Images in all, those shown included. */
  get images(): number {
    return Number(this.message.images);
  }

  /**
   * Says what it is: one judgement, durable when this resolves. An AbortedError (`ITEM_STALE`) says that it was overtaken:
   * take the next one.
   */
  async answer(answer: Answer, options: AnswerOptions = {}): Promise<AnswerReviewResponse> {
    const { exceptions, note, actor, signal } = options;
    return this.#decisions.answerReview(
      {
        collection: this.#collection,
        itemId: this.id,
        answer: ANSWERS[answer],
        exceptionImageIds: [...(exceptions ?? [])],
        note: note ?? "",
        actor: actor ?? this.#actor,
      },
      { ...(signal && { signal }) },
    );
  }
}

/** Items until enough was said, or none is left; `judge` answers each, and one that is stale is passed over. */
export async function reviewAll(
  next: () => Promise<ReviewItem | undefined>,
  judge: (item: ReviewItem) => Promise<Answer | (AnswerOptions & { readonly answer: Answer }) | undefined>,
  pastEnough: boolean,
): Promise<number> {
  let judgements = 0;
  for (;;) {
    const item = await next();
    if (item === undefined || (item.enough && !pastEnough)) return judgements;
    const said = await judge(item);
    if (said === undefined) return judgements;
    try {
      await (typeof said === "string" ? item.answer(said) : item.answer(said.answer, said));
      judgements += 1;
    } catch (error) {
      if (!(error instanceof AbortedError && error.reason === "ITEM_STALE")) throw error;
    }
  }
}
