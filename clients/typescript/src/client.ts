/** The client of one server. */

import { JobCancelledError, JobFailedError, ModelLoadError, NotFoundError, WaitTimeoutError } from "./errors.js";
import { frames } from "./event-stream.js";
import { isFinal, type JobEvent, type ModelEvent } from "./events.js";
import { formFields } from "./form.js";
import { Http } from "./http.js";
import type { History } from "./history.js";
import { isTerminal, type Job, type JobPage, type JobSummary, type Segment, type Waveform } from "./job.js";
import type { Health, ModelStatus, ServedModelStatus } from "./model.js";
import type {
  CallOptions,
  ClientOptions,
  CompareOptions,
  EnsureModelReadyOptions,
  GetJobOptions,
  ListOptions,
  Recording,
  RetryOptions,
  StreamOptions,
  StreamToken,
  SubmitOptions,
  SubtitleLimits,
  SubtitleReport,
  TranscribeOptions,
  TranscriptFormat,
  TranscriptOptions,
  UploadStatus,
} from "./options.js";
import type { Frame } from "./sse.js";
import { submit } from "./submission.js";
import { discardUpload } from "./tus.js";
import type { Comparison, VersionList } from "./version.js";
import type { Voice } from "./voice.js";
import { pause } from "./wait.js";

export type JobEventStream = AsyncGenerator<JobEvent, void, undefined>;
export type ModelEventStream = AsyncGenerator<ModelEvent, void, undefined>;

const MODEL_TIMEOUT_MS = 30 * 60_000;
const MODEL_POLL_MS = 500;
// A load that was requested this long ago has begun: a model that is still unloaded could not be loaded.
const LOAD_BEGINS_MS = 5_000;

/**
 * Calls one server. It holds no connection and needs no end.
 *
 * Every method may reject with the errors of `errors.ts`, or with the reason of its `signal`.
 */
export class ScrivanoClient {
  readonly #http: Http;
  readonly #options: ClientOptions;

  /**
   * `baseUrl`: the server's address, with its path prefix behind a proxy. Default: in a browser the folder of the page,
   * elsewhere `http://127.0.0.1:8080`.
   */
  constructor(baseUrl?: string | URL, options: ClientOptions = {}) {
    this.#http = new Http(baseUrl, options);
    this.#options = options;
  }

  /** The server's address: absolute, without a slash at the end. */
  get baseUrl(): string {
    return this.#http.baseUrl;
  }

  // The model

  modelStatus(options: CallOptions = {}): Promise<ModelStatus> {
    return this.#http.json("/model/status", options);
  }

  /** Start to load a model; does not wait for it. Needs an admin's key. */
  async loadModel(options: CallOptions & { model?: string } = {}): Promise<"load_initiated" | "already_ready"> {
    const { signal, model } = options;
    type Body = { status: "load_initiated" | "already_ready" };
    return (await this.#http.json<Body>("/model/load", { method: "POST", query: { model }, signal })).status;
  }

  /** Free the model's memory after the work in progress; without `model`, of all models. Needs an admin's key. */
  async unloadModel(options: CallOptions & { model?: string } = {}): Promise<void> {
    const { signal, model } = options;
    await this.#http.json("/model/unload", { method: "POST", query: { model }, signal });
  }

  /**
   * Load the model unless it is ready, and wait until it is.
   *
   * Rejects with `ModelLoadError` if it cannot be loaded, `WaitTimeoutError` after `timeoutMs`, and `NotAllowedError`
   * if it has to be loaded and the key is not an admin's (use `submit` with `queue: true` then).
   */
  async ensureModelReady(options: EnsureModelReadyOptions = {}): Promise<ModelStatus> {
    const { model, signal, onStatus, timeoutMs = MODEL_TIMEOUT_MS } = options;
    const startedAt = performance.now();
    const read = async () => {
      const status = await this.modelStatus({ signal });
      onStatus?.(status);
      return { status, ...served(status, model) };
    };
    let now = await read();
    if (now.state === "unloaded") await this.loadModel({ model, signal });
    let begun = now.state !== "unloaded";
    while (now.state !== "ready") {
      const waitedMs = performance.now() - startedAt;
      if (waitedMs > timeoutMs) throw new WaitTimeoutError(`the model is ${now.state} after ${timeoutMs} ms`);
      await pause(Math.min(MODEL_POLL_MS, timeoutMs - waitedMs + 1), signal);
      now = await read();
      if (now.state !== "unloaded") begun = true;
      else if (begun || waitedMs > LOAD_BEGINS_MS) {
        if (now.last_error) throw new ModelLoadError(now.last_error);
        // Somebody else has unloaded it.
        await this.loadModel({ model, signal });
        begun = false;
      }
    }
    return now.status;
  }

  /** The events of the default model from now on. Continues after interruptions; ends when the caller stops. */
  async *modelEvents(options: StreamOptions = {}): ModelEventStream {
    for await (const frame of frames(this.#http, "/model/events", options)) yield eventOf<ModelEvent>(frame);
  }

  // Jobs

  /**
   * Send a recording. Returns the id of the job.
   *
   * While the model is not ready, the server refuses with 503 and says when to try again; this call obeys. Large files
   * are uploaded resumably: their job waits for the model. A broken connection is tried again, and never makes a
   * second job.
   */
  submit(recording: Recording, options: SubmitOptions = {}): Promise<string> {
    return submit(this.#http, recording, options, this.#options.resumableFromBytes);
  }

  /**
   * Follow a job: its events, the last of which is `done` or `error`.
   *
   * After an interruption the stream continues with the next event, so that none is missed.
   */
  async *streamProgress(jobId: string, options: StreamOptions = {}): JobEventStream {
    for await (const frame of frames(this.#http, `${jobPath(jobId)}/stream`, options)) {
      const event = eventOf<JobEvent>(frame);
      yield event;
      if (isFinal(event)) return;
    }
  }

  /** Wait until the job has ended, successfully or not. */
  async waitForJob(jobId: string, options: StreamOptions & { onEvent?: (event: JobEvent) => void } = {}): Promise<Job> {
    for await (const event of this.streamProgress(jobId, options)) {
      options.onEvent?.(event);
      if (event.type === "done") return event.job;
    }
    return this.job(jobId, options);
  }

  /**
   * Send a recording and wait for its transcript.
   *
   * Rejects with `JobFailedError` or `JobCancelledError` if there is none. An abort also cancels the job, unless
   * `cancelOnAbort` is false.
   */
  async transcribe(recording: Recording, options: TranscribeOptions = {}): Promise<Job> {
    const { signal, onEvent, onSubmitted, cancelOnAbort = true } = options;
    const jobId = await this.submit(recording, options);
    try {
      onSubmitted?.(jobId);
      return finished(await this.waitForJob(jobId, { signal, onEvent }));
    } catch (error) {
      // The job may have ended just now; then there is nothing to cancel.
      if (signal?.aborted && cancelOnAbort) await this.cancel(jobId).catch(() => undefined);
      throw error;
    }
  }

  /** How much of a resumable upload is stored. `uploadUrl`: what `onUploadUrl` got. */
  uploadStatus(uploadUrl: string, options: CallOptions = {}): Promise<UploadStatus> {
    const id = new URL(uploadUrl).pathname.split("/").at(-1);
    return this.#http.json(`/uploads/${id}`, options);
  }

  /** Delete an upload that nobody will continue. */
  discardUpload(uploadUrl: string, options: CallOptions = {}): Promise<void> {
    return discardUpload(this.#http, uploadUrl, options.signal);
  }

  /** A page of jobs, newest first; with `search`, those whose transcripts have these words. */
  jobs(options: ListOptions = {}): Promise<JobPage> {
    const { signal, ...query } = options;
    return this.#http.json("/jobs", { query, signal });
  }

  /** All jobs, newest first, over as many pages as there are. */
  async *allJobs(options: ListOptions = {}): AsyncGenerator<JobSummary, void, undefined> {
    for (let cursor: string | null | undefined = options.cursor; cursor !== null; ) {
      const page: JobPage = await this.jobs({ ...options, cursor });
      yield* page.jobs;
      cursor = page.next_cursor;
    }
  }

  job(jobId: string, options: GetJobOptions = {}): Promise<Job> {
    const wait = options.waitSecs;
    return this.#http.json(jobPath(jobId), { query: { wait }, signal: options.signal });
  }

  /** Cancel a job that has not ended. Rejects with `ConflictError` if it has. */
  cancel(jobId: string, options: CallOptions = {}): Promise<Job> {
    return this.#http.json(jobPath(jobId), { method: "DELETE", signal: options.signal });
  }

  /**
   * Try a failed or cancelled job again, or make another version of a job that is done, which needs a changed option.
   *
   * Returns the job, or the new version. Rejects with `ConflictError` if the recording is no longer stored, or if
   * nothing is to be done otherwise.
   */
  retry(jobId: string, options: RetryOptions = {}): Promise<Job> {
    const { signal, ...changes } = options;
    const body = new URLSearchParams(formFields(changes));
    return this.#http.json(`${jobPath(jobId)}/retry`, { method: "POST", body, signal });
  }

  /** Delete a job that has ended, with all that belongs to it. Returns the job as it was. */
  delete(jobId: string, options: CallOptions = {}): Promise<Job> {
    return this.#http.json(jobPath(jobId), { method: "DELETE", query: { purge: true }, signal: options.signal });
  }

  /** The transcript as the text of a file. */
  transcript(jobId: string, format: TranscriptFormat = "txt", options: TranscriptOptions = {}): Promise<string> {
    const query = { format, partial: options.partial, ...limitsQuery(options) };
    return this.#http.text(`${jobPath(jobId)}/transcript`, { query, signal: options.signal });
  }

  /** The subtitles that break the limits. */
  checkSubtitles(
    jobId: string,
    format: "srt" | "vtt" | "lrc" = "srt",
    options: SubtitleLimits & CallOptions = {},
  ): Promise<SubtitleReport> {
    const query = { format, check: true, ...limitsQuery(options) };
    return this.#http.json(`${jobPath(jobId)}/transcript`, { query, signal: options.signal });
  }

  // Corrections

  /** Give a segment this text, in the job and in every file. Returns it, with the model's text in `original`. */
  correctSegment(jobId: string, index: number, text: string, options: CallOptions = {}): Promise<Segment> {
    return this.#http.json(correctionPath(jobId, index), { method: "PUT", ...jsonBody({ text }), signal: options.signal });
  }

  /** Give a segment the model's text again. */
  restoreSegment(jobId: string, index: number, options: CallOptions = {}): Promise<Segment> {
    return this.#http.json(correctionPath(jobId, index), { method: "DELETE", signal: options.signal });
  }

  /** Name speakers by their ids. Null or a blank name: the first name again. */
  renameSpeakers(jobId: string, names: Record<string, string | null>, options: CallOptions = {}): Promise<Job> {
    return this.#changeSpeakers(jobId, { names }, options);
  }

  /** Make speakers one who are the same person: from an id to the id that stays. */
  mergeSpeakers(jobId: string, merge: Record<string, string>, options: CallOptions = {}): Promise<Job> {
    return this.#changeSpeakers(jobId, { merge }, options);
  }

  #changeSpeakers(jobId: string, changes: object, { signal }: CallOptions): Promise<Job> {
    return this.#http.json(`${jobPath(jobId)}/speakers`, { method: "PATCH", ...jsonBody(changes), signal });
  }

  // Voices

  /** The enrolled voices of the key. */
  async voices(options: CallOptions = {}): Promise<Voice[]> {
    return (await this.#http.json<{ voices: Voice[] }>("/voices", options)).voices;
  }

  /**
   * Enrol a voice: from then on, jobs with `voices: true` give its speaker this name. `sample`: 5 to 30 seconds of one
   * person alone, who has agreed. Rejects with `NotAllowedError` if the server keeps no voices.
   */
  enrolVoice(name: string, sample: Blob, options: CallOptions = {}): Promise<Voice> {
    const body = new FormData();
    body.append("name", name);
    body.append("audio", sample, "name" in sample ? String(sample.name) : "sample");
    return this.#http.json("/voices", { method: "POST", body, signal: options.signal });
  }

  /** Delete a voice. Names that transcripts have got from it stay. */
  async deleteVoice(voiceId: string, options: CallOptions = {}): Promise<void> {
    await this.#http.text(`/voices/${encodeURIComponent(voiceId)}`, { method: "DELETE", signal: options.signal });
  }

  // Versions

  /** The transcripts that `retry` made of the recording, and the first one. */
  versions(jobId: string, options: CallOptions = {}): Promise<VersionList> {
    return this.#http.json(`${jobPath(jobId)}/versions`, options);
  }

  /** One version with its segments. */
  version(jobId: string, number: number, options: GetJobOptions = {}): Promise<Job> {
    const query = { wait: options.waitSecs };
    return this.#http.json(`${jobPath(jobId)}/versions/${number}`, { query, signal: options.signal });
  }

  /** Two versions word by word. Rejects with `ConflictError` if one of them is not done. */
  compareVersions(jobId: string, a: number, b: number, options: CompareOptions = {}): Promise<Comparison> {
    const query = { a, b, equal: options.equal };
    return this.#http.json(`${jobPath(jobId)}/versions/compare`, { query, signal: options.signal });
  }

  // The recording

  /** Whether the recording is stored. */
  async hasAudio(jobId: string, options: CallOptions = {}): Promise<boolean> {
    try {
      await this.#http.text(`${jobPath(jobId)}/audio`, { method: "HEAD", signal: options.signal });
      return true;
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    }
  }

  /** What to draw of a recording, also after it was deleted. `points`: at most so many peaks. */
  waveform(jobId: string, options: CallOptions & { points?: number } = {}): Promise<Waveform> {
    const query = { points: options.points };
    return this.#http.json(`${jobPath(jobId)}/waveform`, { query, signal: options.signal });
  }

  /** The recording, as it was uploaded, while it is stored. For players of long recordings, see `audioUrl`. */
  audio(jobId: string, options: CallOptions = {}): Promise<Blob> {
    return this.#http.blob(`${jobPath(jobId)}/audio`, options);
  }

  // URLs without headers

  /**
   * A token that is accepted in a URL for some minutes: for the events and the recording of one job, or, without a
   * job, for the events of the model.
   */
  streamToken(jobId?: string, options: CallOptions = {}): Promise<StreamToken> {
    const body = jsonBody(jobId === undefined ? {} : { job_id: jobId });
    return this.#http.json("/stream-tokens", { method: "POST", ...body, signal: options.signal });
  }

  /** The URL for an `EventSource` that follows a job, or, without a job, the model. It is valid for some minutes. */
  async eventSourceUrl(jobId?: string, options: CallOptions = {}): Promise<string> {
    const { token } = await this.streamToken(jobId, options);
    return this.#http.url(jobId === undefined ? "/model/events" : `${jobPath(jobId)}/stream`, { token });
  }

  /** The URL of a job's recording for `<audio>` and `<video>`. It is valid for some minutes. */
  async audioUrl(jobId: string, options: CallOptions = {}): Promise<string> {
    const { token } = await this.streamToken(jobId, options);
    return this.#http.url(`${jobPath(jobId)}/audio`, { token });
  }

  // The server

  /** Samples of the last hour. */
  history(options: CallOptions = {}): Promise<History> {
    return this.#http.json("/history", options);
  }

  /** Needs no key. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#http.json("/health", options);
  }
}

function jobPath(jobId: string): string {
  return `/jobs/${encodeURIComponent(jobId)}`;
}

function correctionPath(jobId: string, index: number): string {
  return `${jobPath(jobId)}/segments/${index}/correction`;
}

function jsonBody(value: object): { body: string; headers: Record<string, string> } {
  return { body: JSON.stringify(value), headers: { "Content-Type": "application/json" } };
}

function eventOf<Event>(frame: Frame): Event {
  const data = JSON.parse(frame.data) as Event;
  return frame.id ? { ...data, id: frame.id } : data;
}

function finished(job: Job): Job {
  if (job.status === "failed") throw new JobFailedError(job);
  if (job.status === "cancelled") throw new JobCancelledError(job);
  if (!isTerminal(job)) throw new WaitTimeoutError(`job ${job.id} is ${job.status}`);
  return job;
}

function served(status: ModelStatus, model: string | undefined): ServedModelStatus {
  return status.models?.find((one) => one.model === model) ?? status;
}

function limitsQuery(limits: SubtitleLimits) {
  return {
    profile: limits.profile,
    max_line_chars: limits.maxLineChars,
    max_lines: limits.maxLines,
    max_cue_secs: limits.maxCueSecs,
    min_cue_secs: limits.minCueSecs,
    max_chars_per_sec: limits.maxCharsPerSec,
  };
}
