/** Requests to one server: URLs, keys, time limits, and responses as values or errors. */

import { ConnectionError, errorOf, ScrivanoError } from "./errors.js";
import type { ClientOptions } from "./options.js";
import { LinkedSignal } from "./wait.js";

export type Query = Record<string, string | number | boolean | undefined>;

export interface RequestOptions {
  method?: string;
  query?: Query;
  headers?: Record<string, string>;
  body?: BodyInit;
  signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_SERVER = "http://127.0.0.1:8080";

export class Http {
  /** Absolute, without a slash at the end. */
  readonly baseUrl: string;
  readonly #options: ClientOptions;

  constructor(baseUrl: string | URL | undefined, options: ClientOptions) {
    this.baseUrl = absolute(baseUrl);
    this.#options = options;
  }

  url(path: string, query: Query = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return `${this.baseUrl}${path}${text && `?${text}`}`;
  }

  /** The headers of every request, and `more`. */
  async headers(more: Record<string, string> = {}): Promise<Record<string, string>> {
    const { apiKey, headers } = this.#options;
    const key = typeof apiKey === "function" ? await apiKey() : apiKey;
    return { ...headers, ...(key ? { Authorization: `Bearer ${key}` } : {}), ...more };
  }

  /** The response, whatever its status, once its headers are there. Rejects with `ConnectionError`. */
  async fetch(url: string, init: RequestInit): Promise<Response> {
    const send = this.#options.fetch ?? fetch;
    try {
      return await send(url, init);
    } catch (error) {
      if (init.signal?.aborted) throw init.signal.reason;
      throw new ConnectionError(`no response from ${this.baseUrl}`, { cause: error });
    }
  }

  /** The text of a response that is a success. Rejects with `HttpError` or `ConnectionError`. */
  async text(path: string, options: RequestOptions = {}): Promise<string> {
    return this.#limited(path, options, (response) => response.text());
  }

  async json<T>(path: string, options: RequestOptions = {}): Promise<T> {
    const text = await this.text(path, options);
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new ScrivanoError(`${this.baseUrl} is not a Scrivano server: its response is not JSON`, { cause: error });
    }
  }

  async blob(path: string, options: RequestOptions = {}): Promise<Blob> {
    return this.#limited(path, options, (response) => response.blob(), Infinity);
  }

  async #limited<T>(
    path: string,
    { method = "GET", query, headers, body, signal }: RequestOptions,
    read: (response: Response) => Promise<T>,
    bodyTimeoutMs?: number,
  ): Promise<T> {
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const linked = new LinkedSignal(signal);
    linked.limit(timeoutMs, () => new ConnectionError(`no response from ${this.baseUrl} within ${timeoutMs} ms`));
    try {
      const init = { method, headers: await this.headers(headers), body: body ?? null, signal: linked.signal };
      const response = await this.fetch(this.url(path, query), init);
      if (!response.ok) throw errorOf(response.status, await response.text(), response.headers.get("Retry-After"));
      if (bodyTimeoutMs === Infinity) linked.limit(2 ** 31 - 1, () => undefined);
      return await read(response);
    } catch (error) {
      throw linked.signal.aborted ? linked.signal.reason : connectionError(error, this.baseUrl);
    } finally {
      linked.close();
    }
  }
}

/** What breaks while a body is read is a lost connection. */
export function connectionError(error: unknown, baseUrl: string): unknown {
  if (error instanceof ScrivanoError) return error;
  return new ConnectionError(`the connection to ${baseUrl} was lost`, { cause: error });
}

function absolute(baseUrl: string | URL | undefined): string {
  const page = globalThis.document?.baseURI;
  const url = page === undefined ? new URL(baseUrl ?? DEFAULT_SERVER) : new URL(baseUrl ?? ".", page);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}
