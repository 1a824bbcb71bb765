/** Resumable uploads by tus 1.0: sent in parts, and continued where the server has stored them. */

import { ConflictError, ConnectionError, errorOf, HttpError, NotFoundError } from "./errors.js";
import { delayAfter, passes } from "./event-stream.js";
import { uploadMetadata } from "./form.js";
import type { Http } from "./http.js";
import type { SubmitOptions } from "./options.js";
import { transfer } from "./transfer.js";
import { LinkedSignal, pause } from "./wait.js";

const VERSION = { "Tus-Resumable": "1.0.0" };
const PART_BYTES = 32 * 1024 * 1024;
const RETRIES = 10;
const HEAD_TIMEOUT_MS = 60_000;

/** What the server has: `offset` in bytes; `jobId` once the upload is a job. */
interface Stored {
  offset: number;
  jobId: string | null;
}

export class ResumableUpload {
  readonly #http: Http;
  readonly #file: Blob;
  readonly #fields: Record<string, string>;
  readonly #options: SubmitOptions;
  readonly #onLoaded: ((bytes: number) => void) | undefined;
  #url: string | undefined;
  #failures = 0;

  /** `onLoaded` is called with the number of bytes of the file that were sent. */
  constructor(
    http: Http,
    file: Blob,
    fields: Record<string, string>,
    options: SubmitOptions,
    onLoaded?: (bytes: number) => void,
  ) {
    this.#http = http;
    this.#file = file;
    this.#fields = fields;
    this.#options = options;
    this.#onLoaded = onLoaded;
    this.#url = options.uploadUrl;
  }

  /** Returns the job's id. Rejects with `HttpError`, `ConnectionError`, or the signal's reason. */
  async run(): Promise<string> {
    try {
      for (let stored = await this.#start(); ; stored = await this.#next(stored)) {
        if (stored.jobId !== null) return stored.jobId;
      }
    } catch (error) {
      if (this.#options.signal?.aborted && !this.#options.onUploadUrl) void this.#discard();
      throw error;
    }
  }

  async #start(): Promise<Stored> {
    return this.#url === undefined ? this.#retried(() => this.#create()) : this.#retried(() => this.#look());
  }

  async #create(): Promise<Stored> {
    const headers = { ...VERSION, "Upload-Length": String(this.#file.size), "Upload-Metadata": uploadMetadata(this.#fields) };
    const url = this.#http.url("/uploads");
    const response = await transfer(this.#http, {
      method: "POST",
      url,
      headers,
      body: new Blob([]),
      signal: this.#options.signal,
    });
    this.#url = new URL(response.header("Location") ?? "", url).href;
    this.#options.onUploadUrl?.(this.#url);
    return { offset: 0, jobId: response.header("X-Job-Id") };
  }

  /** Send one part. If that fails, ask what arrived. */
  async #next({ offset }: Stored): Promise<Stored> {
    try {
      const stored = await this.#append(offset);
      this.#failures = 0;
      return stored;
    } catch (error) {
      if (error instanceof NotFoundError) return this.#again(error);
      if (this.#options.signal?.aborted || !mayContinue(error)) throw error;
      await this.#afterFailure(error);
      const stored = await this.#retried(() => this.#look());
      if (stored.offset > offset) this.#failures = 0;
      this.#onLoaded?.(stored.offset);
      return stored;
    }
  }

  async #append(offset: number): Promise<Stored> {
    const part = this.#file.slice(offset, offset + (this.#options.partBytes ?? PART_BYTES));
    const response = await transfer(this.#http, {
      method: "PATCH",
      url: this.#url ?? "",
      headers: { ...VERSION, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" },
      body: part,
      signal: this.#options.signal,
      onSent: this.#onLoaded && ((bytes) => this.#onLoaded?.(offset + Math.min(bytes, part.size))),
    });
    return { offset: numberOf(response.header("Upload-Offset")), jobId: response.header("X-Job-Id") };
  }

  /** What the server has stored. An upload that has expired is begun again. */
  async #look(): Promise<Stored> {
    const linked = new LinkedSignal(this.#options.signal);
    linked.limit(HEAD_TIMEOUT_MS, () => new ConnectionError(`no response from ${this.#http.baseUrl}`));
    try {
      const headers = await this.#http.headers(VERSION);
      const response = await this.#http.fetch(this.#url ?? "", { method: "HEAD", headers, signal: linked.signal });
      if (response.status === 404) return await this.#again(new NotFoundError(404, "the upload has expired"));
      if (!response.ok) {
        // It has no body that says what is wrong.
        const message = `the server responded with ${response.status} to HEAD of an upload`;
        throw errorOf(response.status, message, response.headers.get("Retry-After"));
      }
      const length = numberOf(response.headers.get("Upload-Length"));
      if (length !== this.#file.size) {
        throw new HttpError(409, `the upload is of another file: it has ${length} bytes, this one ${this.#file.size}`);
      }
      const jobId = response.headers.get("X-Job-Id");
      return { offset: numberOf(response.headers.get("Upload-Offset")), jobId };
    } finally {
      linked.close();
    }
  }

  async #again(error: NotFoundError): Promise<Stored> {
    await this.#afterFailure(error);
    return this.#create();
  }

  async #retried(step: () => Promise<Stored>): Promise<Stored> {
    for (;;) {
      try {
        return await step();
      } catch (error) {
        if (this.#options.signal?.aborted || !passes(error)) throw error;
        await this.#afterFailure(error);
      }
    }
  }

  async #afterFailure(error: unknown): Promise<void> {
    this.#failures += 1;
    if (this.#failures > (this.#options.retries ?? RETRIES)) throw error;
    await pause(delayAfter(error, this.#failures), this.#options.signal);
  }

  /** Nobody can continue an aborted upload whose URL nobody was given. */
  async #discard(): Promise<void> {
    if (this.#url !== undefined) await discardUpload(this.#http, this.#url).catch(() => undefined);
  }
}

/** Delete an unfinished upload. One that is not there, or that has become a job, is left alone. */
export async function discardUpload(http: Http, url: string, signal?: AbortSignal): Promise<void> {
  const headers = await http.headers(VERSION);
  await http.fetch(url, { method: "DELETE", headers, signal: signal ?? null });
}

/** 409: another offset. 423: another request took over. 460: the part was damaged on its way. */
function mayContinue(error: unknown): boolean {
  return passes(error) || error instanceof ConflictError || (error instanceof HttpError && [423, 460].includes(error.status));
}

function numberOf(header: string | null): number {
  const value = Number(header ?? NaN);
  if (!Number.isSafeInteger(value) || value < 0) throw new ConnectionError("the server sent no upload offset");
  return value;
}
