/** From a recording to a job's id: the form or the resumable upload, tried again as the server asks. */

import { ConnectionError, HttpError, ModelNotReadyError, ScrivanoError } from "./errors.js";
import { delayAfter, passes } from "./event-stream.js";
import { formFields, multipart } from "./form.js";
import type { Http } from "./http.js";
import type { Recording, SubmitOptions } from "./options.js";
import { ProgressMeter } from "./progress.js";
import { randomId } from "./random.js";
import { transfer } from "./transfer.js";
import { ResumableUpload } from "./tus.js";
import { pause } from "./wait.js";

const MODEL_TIMEOUT_MS = 30 * 60_000;
const RESUMABLE_FROM_BYTES = 16 * 1024 * 1024;
const RETRIES = 3;

export async function submit(
  http: Http,
  recording: Recording,
  options: SubmitOptions,
  resumableFromBytes = RESUMABLE_FROM_BYTES,
): Promise<string> {
  options.signal?.throwIfAborted();
  const fields = formFields(options);
  if (recording instanceof URL) return submitForm(http, { ...fields, audio_url: recording.href }, undefined, options);
  const file = isBlob(recording) ? recording : new Blob([recording as BlobPart]);
  if (file.size === 0) throw new ScrivanoError("the recording is empty");
  const filename = options.filename ?? nameOf(file);
  const meter = new ProgressMeter(file.size);
  const onLoaded = options.onUploadProgress && ((bytes: number) => options.onUploadProgress?.(meter.at(bytes)));
  if (options.resumable ?? (options.uploadUrl !== undefined || file.size >= resumableFromBytes)) {
    return new ResumableUpload(http, file, { ...fields, filename }, options, onLoaded).run();
  }
  return submitForm(http, fields, { file, filename, onLoaded }, options);
}

interface Upload {
  file: Blob;
  filename: string;
  onLoaded: ((bytes: number) => void) | undefined;
}

/** The server recognises a repeated submission by its key, so a submission whose response was lost is sent again. */
async function submitForm(
  http: Http,
  fields: Record<string, string>,
  upload: Upload | undefined,
  options: SubmitOptions,
): Promise<string> {
  const { signal, onModelNotReady, modelTimeoutMs = MODEL_TIMEOUT_MS, retries = RETRIES } = options;
  const idempotencyKey = options.idempotencyKey ?? randomId();
  const deadline = performance.now() + modelTimeoutMs;
  for (let failures = 0; ; ) {
    try {
      return await send(http, fields, upload, idempotencyKey, signal);
    } catch (error) {
      if (signal?.aborted || !passes(error) || isLimit(error)) throw error;
      if (error instanceof ModelNotReadyError) {
        const delayMs = error.retryAfterSecs * 1000;
        if (performance.now() + delayMs > deadline) throw error;
        onModelNotReady?.(error);
        await pause(delayMs, signal);
        continue;
      }
      failures += 1;
      if (failures > retries) throw error;
      await pause(delayAfter(error, failures), signal);
    }
  }
}

async function send(
  http: Http,
  fields: Record<string, string>,
  upload: Upload | undefined,
  idempotencyKey: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { body, contentType, headBytes } = multipart(fields, upload?.file, upload?.filename ?? "");
  const onLoaded = upload?.onLoaded;
  const response = await transfer(http, {
    method: "POST",
    url: http.url("/jobs"),
    headers: { "Content-Type": contentType, "Idempotency-Key": idempotencyKey },
    body,
    signal,
    onSent: onLoaded && ((bytes) => onLoaded(bytes - headBytes)),
  });
  const { job_id: jobId } = JSON.parse(response.text) as { job_id?: string };
  if (!jobId) throw new ConnectionError("the server accepted the recording without a job id");
  return jobId;
}

/** A limit of the key or of the queue is for the caller to see; only the model is waited for. */
function isLimit(error: unknown): boolean {
  return error instanceof HttpError && error.status === 429;
}

/** Also of another realm, such as a frame. */
function isBlob(recording: Recording): recording is Blob {
  return "stream" in recording && typeof recording.stream === "function";
}

function nameOf(file: Blob): string {
  return "name" in file && typeof file.name === "string" && file.name ? file.name : "audio";
}
