// How to reach a daemon: its address, TLS and token.

import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { readFileSync } from "node:fs";
import type { SecureClientSessionOptions } from "node:http2";

import { DEFAULT_RETRY, type RetryPolicy } from "./retry.js";
import { PatientTransport } from "./transport.js";

/** Where the daemon listens unless told otherwise. */
export const DEFAULT_ADDRESS = "127.0.0.1:7357";
/** The deadline of a unary call unless told otherwise, in milliseconds. */
export const DEFAULT_TIMEOUT_MS = 60_000;
/** How often a silent connection is asked whether it is still there, in milliseconds. */
const PING_INTERVAL_MS = 20_000;
/** Memory of a connection at most, in MB: Node's own limit of 10 is less than one large image. */
const SESSION_MEMORY_MB = 1024;
/** How long it has for the answer, in milliseconds. */
const PING_TIMEOUT_MS = 10_000;

/** Whom to trust, and what to show. Certificates and keys are PEM. */
export interface TlsOptions {
  /** Certificates of authorities to trust instead of the system's. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[];
  /** The client's certificate, with its chain, where the daemon asks for one. */
  readonly cert?: string | Buffer;
  /** The certificate's private key. */
  readonly key?: string | Buffer;
  /** What the key is encrypted with. */
  readonly passphrase?: string;
  /** The name that the daemon's certificate is of, where it isn't the address's. */
  readonly serverName?: string;
}

/** How to connect. Everything has a default. */
export interface ConnectOptions {
  /**
   * `host:port`, or `http://…` or `https://…`. Default: the environment's CULLD_SERVER, else `127.0.0.1:7357`.
   */
  readonly address?: string;
  /**
   * TLS; `true` trusts the system's authorities. Default: by the environment's CULLD_CA, CULLD_CLIENT_CERT and
   * CULLD_CLIENT_KEY, which name files, else as the address says.
   */
  readonly tls?: TlsOptions | boolean;
  /**
   * The token to show, or who gives it, asked for each call. Default: the environment's CULLD_TOKEN, or what is in the
   * file that CULLD_TOKEN_FILE names. Without TLS it is sent to this machine only.
   */
  readonly token?: string | (() => string | Promise<string>);
  /** Send a token without TLS to another machine, too: whoever listens can use it. Default false. */
  readonly insecureToken?: boolean;
  /** The collection to work on. Default: the environment's CULLD_COLLECTION, else `default`. */
  readonly collection?: string;
  /** Who acts, for the daemon's log; at most 128 characters. Default none. */
  readonly actor?: string;
  /** The deadline of a unary call that names none, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number;
  /** How to try again; what is left out keeps its default. */
  readonly retry?: Partial<RetryPolicy>;
}

/** A connection, made when it is first needed, and again whenever it broke. */
export interface Connection {
  readonly transport: Transport;
  readonly retry: RetryPolicy;
  close(): void;
}

/** Prepares a connection; nothing is sent yet. */
export function connection(options: ConnectOptions): Connection {
  const address = options.address ?? (process.env["CULLD_SERVER"] || DEFAULT_ADDRESS);
  const tls = options.tls ?? (address.startsWith("http://") ? undefined : tlsOfEnvironment());
  const url = urlOf(address, tls);
  const token = options.token ?? (process.env["CULLD_TOKEN"] || fileOf("CULLD_TOKEN_FILE")?.toString().trim());
  if (token !== undefined && url.protocol === "http:" && !isLoopback(url.hostname) && !options.insecureToken) {
    throw new TypeError(`without TLS the token would be readable on the way to ${url.host}: use tls, or insecureToken`);
  }
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  const secure = url.protocol === "https:" && typeof tls === "object" ? secureOptions(tls) : {};
  const nodeOptions = { ...secure, maxSessionMemory: SESSION_MEMORY_MB };
  const ping = { pingIntervalMs: PING_INTERVAL_MS, pingTimeoutMs: PING_TIMEOUT_MS };
  const sessionManager = new Http2SessionManager(url.origin, ping, nodeOptions);
  const inner = createGrpcTransport({ baseUrl: url.origin, sessionManager });
  const headers = async (): Promise<Headers> => {
    const shown = typeof token === "function" ? await token() : token;
    return new Headers(shown ? { authorization: `Bearer ${shown}` } : {});
  };
  let closed = false;
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const transport = new PatientTransport(inner, { retry, timeoutMs, headers, isClosed: () => closed });
  const close = (): void => {
    closed = true;
    sessionManager.abort();
  };
  return { transport, retry, close };
}

/** The file that a variable of the environment names. */
function fileOf(variable: string): Buffer | undefined {
  const path = process.env[variable];
  return path ? readFileSync(path) : undefined;
}

/** TLS by the same variables as the command line's. */
function tlsOfEnvironment(): TlsOptions | undefined {
  const [ca, cert, key] = ["CULLD_CA", "CULLD_CLIENT_CERT", "CULLD_CLIENT_KEY"].map(fileOf);
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

function urlOf(address: string, tls: TlsOptions | boolean | undefined): URL {
  const scheme = tls ? "https" : "http";
  let url: URL;
  try {
    url = new URL(address.includes("://") ? address : `${scheme}://${address}`);
  } catch (cause) {
    throw new TypeError(`${address} is no address: host:port, http://… or https://…`, { cause });
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError(`${address} is no address: ${url.protocol}`);
  if (tls && url.protocol === "http:") throw new TypeError(`${address} says that there is no TLS, the options say that there is`);
  return url;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

function secureOptions(tls: TlsOptions): SecureClientSessionOptions {
  return {
    ...(tls.ca !== undefined && { ca: Array.isArray(tls.ca) ? [...tls.ca] : (tls.ca as string | Buffer) }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key }),
    ...(tls.passphrase !== undefined && { passphrase: tls.passphrase }),
    ...(tls.serverName !== undefined && { servername: tls.serverName }),
  };
}
