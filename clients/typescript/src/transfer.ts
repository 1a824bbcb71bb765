/** Sending a body with progress: by XMLHttpRequest in browsers, whose `fetch` has no progress; by a stream in Node. */

import { ConnectionError, errorOf } from "./errors.js";
import { connectionError, type Http } from "./http.js";

export interface Transfer {
  method: "POST" | "PATCH";
  url: string;
  headers: Record<string, string>;
  body: Blob;
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes of the body that were sent. */
  onSent?: ((bytes: number) => void) | undefined;
}

/** A response that was read. */
export interface Answer {
  text: string;
  header(name: string): string | null;
}

/** Rejects with `HttpError` or `ConnectionError`, or with the signal's reason. */
export async function transfer(http: Http, request: Transfer): Promise<Answer> {
  const headers = await http.headers(request.headers);
  request.signal?.throwIfAborted();
  const { onSent } = request;
  const hasXhr = typeof XMLHttpRequest === "function";
  if (onSent && hasXhr) return byXhr(http, { ...request, headers });
  return byFetch(http, { ...request, headers }, onSent && counted(request.body, onSent));
}

async function byFetch(http: Http, request: Transfer, stream: ReadableStream<Uint8Array> | undefined): Promise<Answer> {
  const { method, url, headers, body, signal } = request;
  // Node sends a stream in chunks, unless it is told the length.
  const streaming = stream && { body: stream, duplex: "half", headers: { ...headers, "Content-Length": String(body.size) } };
  const response = await http.fetch(url, { method, headers, body, signal: signal ?? null, ...streaming } as RequestInit);
  const text = await read(http, response, signal);
  if (!response.ok) throw errorOf(response.status, text, response.headers.get("Retry-After"));
  return { text, header: (name) => response.headers.get(name) };
}

async function read(http: Http, response: Response, signal: AbortSignal | undefined): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    throw signal?.aborted ? signal.reason : connectionError(error, http.baseUrl);
  }
}

function counted(body: Blob, onSent: (bytes: number) => void): ReadableStream<Uint8Array> {
  let sent = 0;
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      sent += chunk.byteLength;
      onSent(sent);
    },
  });
  return body.stream().pipeThrough(count as unknown as ReadableWritablePair<Uint8Array, Uint8Array<ArrayBuffer>>);
}

function byXhr(http: Http, { method, url, headers, body, signal, onSent }: Transfer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const aborted = () => {
      xhr.abort();
      reject(signal?.reason);
    };
    const lost = () => reject(new ConnectionError(`the connection to ${http.baseUrl} was lost`));
    const arrived = () => {
      const ok = xhr.status >= 200 && xhr.status < 300;
      if (ok) resolve({ text: xhr.responseText, header: (name) => xhr.getResponseHeader(name) });
      else reject(errorOf(xhr.status, xhr.responseText, xhr.getResponseHeader("Retry-After")));
    };
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => onSent?.(event.loaded);
    xhr.onload = arrived;
    xhr.onerror = lost;
    xhr.ontimeout = lost;
    xhr.onloadend = () => signal?.removeEventListener("abort", aborted);
    signal?.addEventListener("abort", aborted);
    xhr.send(body);
  });
}
