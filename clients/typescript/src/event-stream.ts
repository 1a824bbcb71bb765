/** Event streams over `fetch`, which can send a key: read, watched, and opened again where they broke off. */

import { ConnectionError, errorOf, HttpError } from "./errors.js";
import { connectionError, type Http } from "./http.js";
import type { StreamOptions } from "./options.js";
import { type Frame, SseParser } from "./sse.js";
import { backoffMs, LinkedSignal, pause } from "./wait.js";

// The server sends something every 15 s. After three times that, the connection counts as lost.
const SILENCE_MS = 45_000;
const RETRIES = 30;
// A connection that lasted this long was no failure, even if nothing happened on it.
const STABLE_MS = 30_000;

/**
 * The frames of a stream, over as many connections as necessary, until the caller stops, the signal is aborted, or
 * the server refuses for good. Rejects with `HttpError` or, after too many failures in a row, `ConnectionError`.
 */
export async function* frames(http: Http, path: string, options: StreamOptions): AsyncGenerator<Frame, void, undefined> {
  const { signal, onConnect, onDisconnect, retries = RETRIES } = options;
  let lastEventId = options.lastEventId;
  for (let failures = 0; ; ) {
    let failure: unknown = new ConnectionError(`the stream ${path} ended`);
    let connectedAt = Infinity;
    try {
      for await (const item of connection(http, path, lastEventId, signal)) {
        if (item === CONNECTED) {
          connectedAt = performance.now();
          onConnect?.();
          continue;
        }
        lastEventId = item.id || lastEventId;
        failures = 0;
        yield item;
      }
    } catch (error) {
      if (signal?.aborted || !passes(error)) throw error;
      failure = error;
    }
    failures = performance.now() - connectedAt > STABLE_MS ? 1 : failures + 1;
    if (failures > retries) throw failure;
    const delayMs = delayAfter(failure, failures);
    onDisconnect?.(failure, delayMs);
    await pause(delayMs, signal);
  }
}

/** Whether the same request may succeed later. */
export function passes(error: unknown): boolean {
  if (error instanceof ConnectionError) return true;
  return error instanceof HttpError && (error.status >= 500 ? error.status !== 507 : [408, 425, 429].includes(error.status));
}

export function delayAfter(error: unknown, failures: number): number {
  const askedMs = error instanceof HttpError ? (error.retryAfterSecs ?? 0) * 1000 : 0;
  return Math.max(askedMs, backoffMs(failures));
}

const CONNECTED = Symbol("connected");

async function* connection(
  http: Http,
  path: string,
  lastEventId: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Frame | typeof CONNECTED, void, undefined> {
  const linked = new LinkedSignal(signal);
  const watch = () => linked.limit(SILENCE_MS, () => new ConnectionError(`the stream ${path} has gone silent`));
  watch();
  try {
    const headers = await http.headers({
      Accept: "text/event-stream",
      ...(lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId }),
    });
    const response = await http.fetch(http.url(path), { headers, signal: linked.signal, cache: "no-store" });
    if (!response.ok || response.body === null) {
      throw errorOf(response.status, await response.text(), response.headers.get("Retry-After"));
    }
    yield CONNECTED;
    const parser = new SseParser();
    for await (const bytes of chunks(response.body)) {
      watch();
      yield* parser.push(bytes);
    }
  } catch (error) {
    throw linked.signal.aborted ? linked.signal.reason : connectionError(error, http.baseUrl);
  } finally {
    linked.close();
  }
}

/** Not every browser can iterate a stream. Leaving the loop closes the connection. */
async function* chunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
