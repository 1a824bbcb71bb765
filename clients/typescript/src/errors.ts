/**
 * What the client throws. An aborted call rejects with the reason of its signal instead.
 *
 *     ScrivanoError
 *     ├── ConnectionError            no response: refused, dropped, timed out
 *     ├── HttpError                  the server refused: `status`, and its message
 *     │   ├── BadRequestError        400, 413, 415, 422: the request is wrong; the message names the field
 *     │   ├── AuthenticationError    401: no API key, or an unknown one
 *     │   ├── NotAllowedError        403: the key lacks a scope
 *     │   ├── NotFoundError          404: it does not exist, or belongs to another key
 *     │   ├── ConflictError          409: not in this state
 *     │   ├── LimitReachedError      429: `retryAfterSecs`
 *     │   ├── ModelNotReadyError     503: `state`, `retryAfterSecs`
 *     │   └── ServerError            all other 5xx
 *     ├── JobFailedError             `job`
 *     ├── JobCancelledError          `job`
 *     ├── ModelLoadError             the model could not be loaded
 *     ├── WaitTimeoutError           a time limit of the caller has passed
 *     └── WebhookVerificationError   a webhook is not from the server, or too old
 */

import type { Job } from "./job.js";
import type { ModelState } from "./model.js";

export class ScrivanoError extends Error {}

export class ConnectionError extends ScrivanoError {}

export class HttpError extends ScrivanoError {
  /** `body`: the response's JSON, or its text. */
  constructor(
    readonly status: number,
    message: string,
    readonly body?: unknown,
    /** When the server wants the next attempt, in seconds; undefined if it does not say. */
    readonly retryAfterSecs?: number,
  ) {
    super(message);
  }
}

export class BadRequestError extends HttpError {}

export class AuthenticationError extends HttpError {}

export class NotAllowedError extends HttpError {}

export class NotFoundError extends HttpError {}

export class ConflictError extends HttpError {}

export class LimitReachedError extends HttpError {}

export class ServerError extends HttpError {}

export class ModelNotReadyError extends HttpError {
  constructor(
    message: string,
    readonly state: ModelState,
    override readonly retryAfterSecs: number,
    /** Why the last load failed, if it did. */
    readonly lastError?: string,
    body?: unknown,
  ) {
    super(503, message, body, retryAfterSecs);
  }
}

export class JobFailedError extends ScrivanoError {
  constructor(readonly job: Job) {
    super(job.error ?? `job ${job.id} failed`);
  }
}

export class JobCancelledError extends ScrivanoError {
  constructor(readonly job: Job) {
    super(`job ${job.id} was cancelled`);
  }
}

export class ModelLoadError extends ScrivanoError {}

export class WaitTimeoutError extends ScrivanoError {}

export class WebhookVerificationError extends ScrivanoError {}

// Bundlers shorten the names of classes: these stay.
const NAMED = {
  ScrivanoError,
  ConnectionError,
  HttpError,
  BadRequestError,
  AuthenticationError,
  NotAllowedError,
  NotFoundError,
  ConflictError,
  LimitReachedError,
  ServerError,
  ModelNotReadyError,
  JobFailedError,
  JobCancelledError,
  ModelLoadError,
  WaitTimeoutError,
  WebhookVerificationError,
};
for (const [name, { prototype }] of Object.entries(NAMED)) Object.defineProperty(prototype, "name", { value: name });

/** The error that a response stands for. */
export function errorOf(status: number, text: string, retryAfter: string | null): HttpError {
  const body = parsed(text);
  const message = messageOf(body) ?? (text.slice(0, 200) || `the server responded with ${status}`);
  if (status === 503 && isNotReady(body)) {
    return new ModelNotReadyError(message, body.state, body.retry_after_secs, body.last_error, body);
  }
  return new (classOf(status))(status, message, body ?? text, secondsOf(retryAfter));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function messageOf(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null || !("error" in body)) return undefined;
  return typeof body.error === "string" ? body.error : undefined;
}

function isNotReady(body: unknown): body is { state: ModelState; retry_after_secs: number; last_error?: string } {
  return typeof body === "object" && body !== null && "retry_after_secs" in body && "state" in body;
}

function classOf(status: number): typeof HttpError {
  const known: Record<number, typeof HttpError> = {
    400: BadRequestError,
    401: AuthenticationError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    413: BadRequestError,
    415: BadRequestError,
    422: BadRequestError,
    429: LimitReachedError,
  };
  return known[status] ?? (status >= 500 ? ServerError : HttpError);
}

function secondsOf(retryAfter: string | null): number | undefined {
  const seconds = Number(retryAfter ?? "");
  return retryAfter && Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
}
