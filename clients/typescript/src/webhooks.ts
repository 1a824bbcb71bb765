/** Webhooks of the server: their payloads, and the check that they come from it (Standard Webhooks). */

import type { Job } from "./job.js";
import { WebhookVerificationError } from "./errors.js";

/** A job that has ended. */
export type JobPayload = Job;

export type ModelPayload = { type: "model_ready"; loaded_at: string } | { type: "model_unloaded" };

/** Sent by `POST /webhooks/test`. */
export interface TestPayload {
  type: "test";
  sent_at: string;
}

export type WebhookPayload = JobPayload | ModelPayload | TestPayload;

export function isJobPayload(payload: unknown): payload is JobPayload {
  return isObject(payload) && typeof payload.id === "string" && typeof payload.status === "string";
}

export function isModelPayload(payload: unknown): payload is ModelPayload {
  return isObject(payload) && (payload.type === "model_ready" || payload.type === "model_unloaded");
}

export function isTestPayload(payload: unknown): payload is TestPayload {
  return isObject(payload) && payload.type === "test";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** The headers of a request: of `fetch`, of Node (lower case), or any object with `get`. */
export type WebhookHeaders =
  | { get(name: string): string | null | undefined }
  | Record<string, string | readonly string[] | undefined>;

export interface VerifyOptions {
  /** How far the time stamp may be from now, in seconds. Default: 300. */
  toleranceSecs?: number;
  /** The time in milliseconds since 1970. Default: `Date.now`. */
  now?: () => number;
}

const PREFIX = "whsec_";

/**
 * Verify the signature of a webhook, and return its payload.
 *
 * `body` must be exactly what was received, before any parsing. `secret` is the server's `WEBHOOK_SECRET`, with or
 * without `whsec_`; give several while a secret is being changed. Rejects with `WebhookVerificationError`.
 */
export async function verifyWebhook(
  body: string | ArrayBuffer | Uint8Array,
  headers: WebhookHeaders,
  secret: string | readonly string[],
  options: VerifyOptions = {},
): Promise<WebhookPayload> {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
  const id = required(headers, "webhook-id");
  const timestamp = required(headers, "webhook-timestamp");
  const signatures = required(headers, "webhook-signature");
  checkTime(timestamp, options);
  const signed = concatenated(new TextEncoder().encode(`${id}.${timestamp}.`), bytes);
  const secrets = typeof secret === "string" ? secret.split(",") : secret;
  if (!(await anyMatches(signatures, signed, secrets))) {
    throw new WebhookVerificationError("no signature of the webhook matches the secret");
  }
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as WebhookPayload;
  } catch (error) {
    throw new WebhookVerificationError("the body of the webhook is not JSON", { cause: error });
  }
}

function required(headers: WebhookHeaders, name: string): string {
  const value = isGetter(headers) ? headers.get(name) : headers[name];
  if (typeof value !== "string" || !value) throw new WebhookVerificationError(`the header ${name} is missing`);
  return value;
}

function isGetter(headers: WebhookHeaders): headers is { get(name: string): string | null | undefined } {
  return typeof headers.get === "function";
}

function checkTime(timestamp: string, { toleranceSecs = 300, now = Date.now }: VerifyOptions): void {
  const seconds = /^\d{1,15}$/.test(timestamp) ? Number(timestamp) : NaN;
  if (!(Math.abs(now() / 1000 - seconds) <= toleranceSecs)) {
    throw new WebhookVerificationError("the time stamp of the webhook is too old or too new");
  }
}

async function anyMatches(signatures: string, signed: Uint8Array<ArrayBuffer>, secrets: readonly string[]) {
  const keys = await Promise.all(secrets.map(importKey));
  const given = signatures.split(" ").filter((one) => one.startsWith("v1,")).map((one) => decoded(one.slice(3)));
  // All are compared, by `verify`, which takes constant time.
  const matches = keys.flatMap((key) =>
    given.map((signature) => signature !== undefined && crypto.subtle.verify("HMAC", key, signature, signed)),
  );
  return (await Promise.all(matches)).some(Boolean);
}

async function importKey(secret: string): Promise<CryptoKey> {
  const text = secret.trim();
  const key = decoded(text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text);
  if (key === undefined || key.length === 0) {
    throw new WebhookVerificationError("the webhook secret must be base64, with or without the prefix whsec_");
  }
  return crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

/** undefined: not base64. */
function decoded(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function concatenated(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
