// Long work of the daemon, to wait for.

import { type Client as ConnectClient, Code } from "@connectrpc/connect";

import { errorOf, protocolError } from "./errors.js";
import type { AdminService } from "./gen/culld/v1/admin_service_pb.js";
import type { Operation as OperationMessage } from "./gen/culld/v1/operation_pb.js";
import type { RetryPolicy } from "./retry.js";
import { resumed } from "./watch.js";

/** How to wait. */
export interface WaitOptions {
  /** Told whenever the daemon says how far it is: at once, and at most ten times a second. */
  readonly onProgress?: (operation: OperationMessage) => void;
  /** Stops waiting once it is aborted; the work goes on. */
  readonly signal?: AbortSignal;
  /** The longest wait, in milliseconds. Default none. */
  readonly timeoutMs?: number;
}

/** Work that outlives the connection which asked for it. `T` is what it ends with. */
export class Operation<T> {
  readonly #admin: ConnectClient<typeof AdminService>;
  readonly #retry: RetryPolicy;
  readonly #result: (operation: OperationMessage) => T | undefined;
  #state: OperationMessage;

  /** @internal */
  constructor(
    admin: ConnectClient<typeof AdminService>,
    retry: RetryPolicy,
    state: OperationMessage,
    result: (operation: OperationMessage) => T | undefined,
  ) {
    this.#admin = admin;
    this.#retry = retry;
    this.#state = state;
    this.#result = result;
  }

  /** `operations/` and a number. */
  get name(): string {
    return this.#state.name;
  }

  /** As it was when last looked at. */
  get state(): OperationMessage {
    return this.#state;
  }

  /** Looks at it. */
  async refresh(): Promise<OperationMessage> {
    const { operation } = await this.#admin.getOperation({ name: this.name });
    return this.#look(operation, "GetOperation");
  }

  /** Asks it to stop; `wait` then ends in a CancelledError. */
  async cancel(): Promise<void> {
    const { operation } = await this.#admin.cancelOperation({ name: this.name });
    this.#look(operation, "CancelOperation");
  }

  /** Its progress, until it is done. */
  async *watch(options: Pick<WaitOptions, "signal"> = {}): AsyncGenerator<OperationMessage> {
    const open = (signal: AbortSignal) => this.#admin.watchOperation({ name: this.name }, { signal });
    for await (const { operation } of resumed(open, this.#retry, options.signal)) {
      yield this.#look(operation, "WatchOperation");
    }
  }

  /** Waits for its end, and answers its result; throws an error of its code and reason where it failed. */
  async wait(options: WaitOptions = {}): Promise<T> {
    const { onProgress, signal, timeoutMs } = options;
    const timer = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const signals = [signal, timer].filter((one) => one !== undefined);
    try {
      for await (const state of this.watch({ signal: AbortSignal.any(signals) })) onProgress?.(state);
    } catch (error) {
      if (!timer?.aborted || signal?.aborted) throw error;
      throw errorOf({ code: Code.DeadlineExceeded, message: `${this.name} was not done within ${timeoutMs} ms`, method: "WatchOperation", cause: error });
    }
    const state = this.#state;
    if (state.result.case === "error") {
      const { code, message, reason } = state.result.value;
      throw errorOf({ code, message, reason, method: state.method });
    }
    const result = state.done ? this.#result(state) : undefined;
    if (result === undefined) throw protocolError(`${this.name} ended without a result`, state.method);
    return result;
  }

  #look(operation: OperationMessage | undefined, method: string): OperationMessage {
    if (operation === undefined) throw protocolError("an answer without an operation", method);
    this.#state = operation;
    return operation;
  }
}
