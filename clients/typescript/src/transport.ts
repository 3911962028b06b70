// Calls with retries, one request id per act, deadlines, and errors of our own: a transport around Connect's, so that
// the generated clients have all this as well.

import { create, type DescMessage, type DescMethodStreaming, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Code, type ContextValues, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { randomUUID } from "node:crypto";

import { CulldError, errorOf, fromConnect } from "./errors.js";
import { Backoff, pause, type RetryPolicy } from "./retry.js";

/** The longest wait that a timer of Node can be set to, in milliseconds. */
const TIMER_MAX_MS = 2 ** 31 - 1;

type HeaderInit = ConstructorParameters<typeof Headers>[0];

/** What all calls have in common. */
export interface CallDefaults {
  readonly retry: RetryPolicy;
  /** The deadline of a unary call that names none, in milliseconds. */
  readonly timeoutMs: number;
  /** What goes with every call, such as a token. */
  readonly headers: () => Promise<Headers>;
  /** Whether the caller closed the connection. */
  readonly isClosed: () => boolean;
}

/** A transport that tries again what may succeed later. */
export class PatientTransport implements Transport {
  readonly #inner: Transport;
  readonly #defaults: CallDefaults;

  constructor(inner: Transport, defaults: CallDefaults) {
    this.#inner = inner;
    this.#defaults = defaults;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeaderInit,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const message = withRequestId(method.input, input);
    const deadline = performance.now() + Math.min(timeoutMs ?? this.#defaults.timeoutMs, TIMER_MAX_MS);
    const backoff = new Backoff(this.#defaults.retry);
    for (;;) {
      let error: CulldError;
      try {
        const left = deadline - performance.now();
        if (left <= 0) throw late(method.name);
        if (this.#defaults.isClosed()) throw closed(method.name);
        const headers = await this.#headers(header);
        return await this.#inner.unary(method, signal, Math.ceil(left), headers, message as MessageInitShape<I>, contextValues);
      } catch (caught) {
        error = this.#error(caught, method.name, signal);
      }
      const wait = backoff.next(error);
      if (wait === undefined) throw error;
      if (performance.now() + wait >= deadline) throw late(method.name, error);
      await pause(wait, signal);
      if (signal?.aborted) throw fromConnect(error.cause, method.name, signal);
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeaderInit,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    try {
      if (this.#defaults.isClosed()) throw closed(method.name);
      const headers = await this.#headers(header);
      const response = await this.#inner.stream(method, signal, timeoutMs, headers, input, contextValues);
      return { ...response, message: this.#translated(response.message, method.name, signal) };
    } catch (error) {
      throw this.#error(error, method.name, signal);
    }
  }

  async *#translated<T>(messages: AsyncIterable<T>, method: string, signal: AbortSignal | undefined): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (error) {
      throw this.#error(error, method, signal);
    }
  }

  #error(caught: unknown, method: string, signal: AbortSignal | undefined): CulldError {
    return this.#defaults.isClosed() ? closed(method) : fromConnect(caught, method, signal);
  }

  async #headers(given: HeaderInit): Promise<Headers> {
    const headers = await this.#defaults.headers();
    new Headers(given).forEach((value, name) => headers.set(name, value));
    return headers;
  }
}

function late(method: string, cause?: CulldError): CulldError {
  const why = cause ? `: ${cause.message}` : "";
  return errorOf({ code: Code.DeadlineExceeded, message: `${method} was not answered in time${why}`, method, cause });
}

function closed(method: string): CulldError {
  return errorOf({ code: Code.Canceled, message: `${method}: the client is closed`, method });
}

/** The message, with a request id where it takes one and has none: the same for all tries. */
function withRequestId<I extends DescMessage>(schema: I, input: MessageInitShape<I>) {
  const field = schema.fields.find((candidate) => candidate.name === "request_id");
  const message = create(schema, input);
  if (field !== undefined) {
    const reflected = reflect(schema, message);
    if (reflected.get(field) === "") reflected.set(field, randomUUID());
  }
  return message;
}
