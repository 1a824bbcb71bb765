/** What the methods of the client take. */

import type { JobEvent } from "./events.js";
import type { ModelNotReadyError } from "./errors.js";
import type { JobStatus, Priority, Task } from "./job.js";
import type { ModelStatus } from "./model.js";

export interface ClientOptions {
  /** For a server with API keys. A function is called before each request, so that a key can be changed. */
  apiKey?: string | (() => string | undefined | Promise<string | undefined>);
  /** Default: the global `fetch`. */
  fetch?: typeof fetch;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** How long to wait for the response to a request that sends no recording. Default: 60 000 ms. */
  timeoutMs?: number;
  /** Recordings of at least this many bytes are uploaded resumably. Default: 16 MiB. */
  resumableFromBytes?: number;
}

export interface CallOptions {
  /** Ends the call: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/** A recording: a file (`File` and `Blob` are read piece by piece), bytes, or the URL from which the server fetches it. */
export type Recording = Blob | ArrayBuffer | ArrayBufferView | URL;

export interface UploadProgress {
  /** Bytes that were sent. */
  loaded: number;
  /** Size of the recording in bytes. */
  total: number;
  /** `loaded` of `total`, 0 to 1. */
  fraction: number;
  /** Bytes per second over the last seconds; 0 until it is known. */
  bytesPerSecond: number;
  /** Seconds that the rest takes at this speed; undefined until the speed is known. */
  secondsLeft: number | undefined;
}

/** A resumable upload. */
export interface UploadStatus {
  id: string;
  /** Size of the whole file. */
  size_bytes: number;
  /** Bytes that are stored. */
  offset_bytes: number;
  created_at: string;
  /** When it is deleted, unless more bytes arrive. */
  expires_at: string;
  /** Null until the upload is complete. */
  job_id: string | null;
}

/** How the job is done; docs/http.md describes each field. What is left out is the server's setting. */
export interface JobOptions {
  /** A code or an English name; without it the language is detected. */
  language?: string;
  /** The languages that are possible. */
  languages?: readonly string[];
  multilingual?: boolean;
  task?: Task;
  prompt?: string;
  hotwords?: string;
  wordTimestamps?: boolean;
  vad?: boolean;
  beamSize?: number;
  temperature?: number;
  priority?: Priority;
  metadata?: Record<string, string>;
  /** A number, from 0, or a language. */
  audioTrack?: number | string;
  /** What to do with several channels: `split` makes each a speaker. */
  channels?: "auto" | "mix" | "split";
  /** Who speaks on each channel. */
  channelNames?: string[];
  /** Whether to tell the speakers apart. */
  speakers?: boolean;
  numSpeakers?: number;
  minSpeakers?: number;
  maxSpeakers?: number;
  /** Whether speakers who sound like enrolled voices get their names. */
  voices?: boolean;
  model?: string;
  webhookUrl?: string;
  /** Call the webhook only if one of these holds for the transcript, such as `coverage<0.98,doubtful`. */
  webhookIf?: string;
  /** Whether the recording stays stored after the job has ended. */
  keepAudio?: boolean;
  /** `true`: the job is accepted in any state of the model, and waits for it. */
  queue?: boolean;
  /** Fields that this version of the client does not know, as they are sent in the form. */
  fields?: Record<string, string>;
}

export interface SubmitOptions extends JobOptions, CallOptions {
  /** Default: the name of the `File`, or `audio`. */
  filename?: string;
  /** Makes the server recognise a repeated submission. Default: a new one for each call. */
  idempotencyKey?: string;
  onUploadProgress?: (progress: UploadProgress) => void;
  /** Called before the client waits for the model: the server refused with 503 and says when to try again. */
  onModelNotReady?: (error: ModelNotReadyError) => void;
  /** How long to try again while the model is not ready. 0: do not. Default: 30 minutes (a load may download). */
  modelTimeoutMs?: number;
  /** Whether to upload resumably (the job then waits for the model). Default: by size. */
  resumable?: boolean;
  /** Bytes of one request of a resumable upload, for proxies that limit them. Default: 32 MiB. */
  partBytes?: number;
  /** A resumable upload that was begun earlier: continue it. */
  uploadUrl?: string;
  /** Called when a resumable upload has begun, with its URL, to continue it after the page was closed. */
  onUploadUrl?: (url: string) => void;
  /** How often a broken connection is tried again in a row. Default: 10. */
  retries?: number;
}

export interface StreamOptions extends CallOptions {
  /** Continue after this event. `"0"`: start with the first event of the job. Default: the newest progress. */
  lastEventId?: string;
  /** Called whenever the stream is connected: at first, and after each interruption. */
  onConnect?: () => void;
  /** Called when the connection is lost, before it is tried again after `delayMs`. */
  onDisconnect?: (error: unknown, delayMs: number) => void;
  /** How often in a row a connection may fail. Default: 30, which is about five minutes. */
  retries?: number;
}

export interface TranscribeOptions extends SubmitOptions {
  /** Called with the job's id when the recording is stored. */
  onSubmitted?: (jobId: string) => void;
  onEvent?: (event: JobEvent) => void;
  /** Whether an abort by `signal` also cancels the job on the server. Default: true. */
  cancelOnAbort?: boolean;
}

export interface EnsureModelReadyOptions extends CallOptions {
  /** One of the served models. Default: the default model. */
  model?: string;
  /** Default: 30 minutes (a load may download). */
  timeoutMs?: number;
  /** Called with each state that was read. */
  onStatus?: (status: ModelStatus) => void;
}

export interface ListOptions extends CallOptions {
  status?: JobStatus;
  /** Only jobs whose transcript or file name has all of these words; those in quotation marks must stand together. */
  search?: string;
  /** 1 to 200. Default: 50. */
  limit?: number;
  /** `next_cursor` of the previous page. */
  cursor?: string;
}

/** What a new version, or a new attempt, does otherwise. What is left out stays as it is in the job. */
export type RetryOptions = Omit<JobOptions, "queue"> & CallOptions;

export interface CompareOptions extends CallOptions {
  /** Whether to return the words that both have, too. Default: true. */
  equal?: boolean;
}

export interface GetJobOptions extends CallOptions {
  /** Wait up to this many seconds, at most 60, for the job to end. */
  waitSecs?: number;
}

export type TranscriptFormat = "txt" | "srt" | "vtt" | "tsv" | "json" | "verbose_json" | "lrc" | "rttm";

/** Limits of subtitles; docs/formats.md describes them. */
export interface SubtitleLimits {
  profile?: "netflix" | "bbc" | "youtube";
  maxLineChars?: number;
  maxLines?: number;
  maxCueSecs?: number;
  minCueSecs?: number;
  maxCharsPerSec?: number;
}

export interface TranscriptOptions extends SubtitleLimits, CallOptions {
  /** If the job is not done: the text so far. */
  partial?: boolean;
}

/** A subtitle that breaks a limit. */
export interface SubtitleBreach {
  cue: number;
  rule: string;
  value: number;
  limit: number;
  [field: string]: unknown;
}

export interface SubtitleReport {
  profile: string | null;
  limits: Record<string, number>;
  /** How many subtitles there are. */
  cues: number;
  breaches: SubtitleBreach[];
}

/** Lets a URL without headers read the events and the recording of one job, or the events of the model. */
export interface StreamToken {
  token: string;
  /** ISO 8601 in UTC. */
  expires_at: string;
}
