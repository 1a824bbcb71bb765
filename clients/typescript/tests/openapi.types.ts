/**
 * Compiled, not run: the hand-written types are compared with those that are made from the server's OpenAPI document.
 *
 * What the server sends must be what the public types say; the server may send more fields.
 */

import type * as client from "../src/index.js";
import type { components, paths, webhooks } from "../src/generated/openapi.js";

type Schemas = components["schemas"];

/** `Sent` is a `Public`, which has no field that the server does not have. */
type Keeps<Public, Sent extends Public> = [Exclude<KeysOf<Public>, KeysOf<Sent> | "id">] extends [never] ? true : false;
type KeysOf<T> = T extends unknown ? keyof T : never;
/** Both unions have the same members: no event, status or state is missing on either side. */
type Same<A, B> = [A, B] extends [B, A] ? true : false;
/** Compiles if all are true. */
type All<Checks extends readonly true[]> = Checks;

export type Bodies = All<[
  Keeps<client.Word, Schemas["JobWord"]>,
  Keeps<client.Segment, Schemas["CorrectedSegment"]>,
  Keeps<client.AudioTrack, Schemas["JobAudio"]>,
  Keeps<client.JobWarning, Schemas["JobWarning"]>,
  Keeps<client.WaitingFor, Schemas["WaitingFor"]>,
  Keeps<client.JobOverlap, Schemas["JobOverlap"]>,
  Keeps<client.JobSpeaker, Schemas["JobSpeaker"]>,
  Keeps<client.JobQuality, Schemas["JobQuality"]>,
  Keeps<client.SegmentQuality, Schemas["SegmentQuality"]>,
  Keeps<client.JobSummary, Schemas["JobSummary"]>,
  Keeps<client.Job, Schemas["JobResponse"]>,
  Keeps<client.JobPage, Schemas["JobListResponse"]>,
  Keeps<client.ServedModelStatus, Schemas["ServedModelStatus"]>,
  Keeps<client.ModelStatus, Schemas["ModelStatusResponse"]>,
  Keeps<client.Health, Schemas["HealthResponse"]>,
  Keeps<client.StreamToken, Schemas["StreamTokenResponse"]>,
  Keeps<client.UploadStatus, Schemas["UploadResponse"]>,
  Keeps<client.Version, Schemas["VersionListResponse"]["versions"][number]>,
  Keeps<client.VersionList, Schemas["VersionListResponse"]>,
  Keeps<client.ComparisonSpan, Schemas["SpanResponse"]>,
  Keeps<client.Comparison, Schemas["ComparisonResponse"]>,
  Keeps<client.Waveform, Schemas["WaveformResponse"]>,
  Keeps<client.Voice, Schemas["VoiceResponse"]>,
  Keeps<client.HistorySample, Schemas["HistorySample"]>,
  Keeps<client.History, Schemas["HistoryResponse"]>,
]>;

export type Events = All<[
  Keeps<client.JobProgressEvent, Schemas["JobProgressEvent"]>,
  Keeps<client.JobLanguageEvent, Schemas["JobLanguageEvent"]>,
  Keeps<client.JobSegmentEvent, Schemas["JobSegmentEvent"]>,
  Keeps<client.JobSpeakersEvent, Schemas["JobSpeakersEvent"]>,
  Keeps<client.JobWaitingEvent, Schemas["JobWaitingEvent"]>,
  Keeps<client.JobRetryEvent, Schemas["JobRetryEvent"]>,
  Keeps<client.JobDoneEvent, Schemas["JobDoneEvent"]>,
  Keeps<client.JobErrorEvent, Schemas["JobErrorEvent"]>,
  Keeps<client.ModelLoadingEvent, Schemas["ModelLoadingEvent"]>,
  Keeps<client.ModelReadyEvent, Schemas["ModelReadyEvent"]>,
  Keeps<client.ModelUnloadedEvent, Schemas["ModelUnloadedEvent"]>,
  Keeps<client.ModelWaitingForGpuEvent, Schemas["ModelWaitingForGpuEvent"]>,
]>;

export type Unions = All<[
  Same<client.JobEvent["type"], Schemas["JobEvent"]["type"]>,
  Same<client.ModelEvent["type"], Schemas["ModelEvent"]["type"]>,
  Same<client.JobStatus, Schemas["JobStatus"]>,
  Same<client.ComparisonSpan["kind"], Schemas["SpanResponse"]["kind"]>,
  Same<client.Comparison["unit"], Schemas["ComparisonResponse"]["unit"]>,
  Same<client.Task, Schemas["Task"]>,
  Same<client.Priority, Schemas["Priority"]>,
  Same<client.ModelState, Schemas["ModelState"]>,
  Same<client.ModelPayload["type"], Body<webhooks["model"]>["type"]>,
  Same<client.JobPayload["status"], Body<webhooks["job"]>["status"]>,
  Same<client.TranscriptFormat, Query<paths["/jobs/{job_id}/transcript"]>["format"]>,
  Same<Exclude<client.SubtitleLimits["profile"], undefined>, Exclude<Query<paths["/jobs/{job_id}/transcript"]>["profile"], null>>,
]>;

/** What is sent. */
export type Requests = All<[
  Same<Parameters<client.ScrivanoClient["renameSpeakers"]>[1], Exclude<Schemas["SpeakerChanges"]["names"], undefined>>,
  Same<Parameters<client.ScrivanoClient["mergeSpeakers"]>[1], Exclude<Schemas["SpeakerChanges"]["merge"], undefined>>,
  Same<{ text: string }, Schemas["CorrectionBody"]>,
  Has<keyof Query<paths["/jobs"]>, "search" | "status" | "limit" | "cursor">,
  Has<keyof Query<paths["/jobs/{job_id}/versions/compare"]>, "a" | "b" | "equal">,
  Has<keyof Query<paths["/jobs/{job_id}/versions/{number}"]>, "wait">,
  Has<keyof Query<paths["/jobs/{job_id}/waveform"]>, "points">,
]>;

type Has<Known, Wanted extends Known> = [Wanted] extends [Known] ? true : false;
type Body<Hook> = Hook extends { post: { requestBody: { content: { "application/json": infer Payload } } } } ? Payload : never;
type Query<Path> = Path extends { get: { parameters: { query?: infer Parameters } } } ? Required<NonNullable<Parameters>> : never;

/** Compiles if the form has these fields. */
type Form = paths["/jobs"]["post"] extends { requestBody: { content: { "multipart/form-data": infer Fields } } } ? Fields : never;

export const fields: (keyof Form)[] = [
  "audio",
  "audio_url",
  "language",
  "languages",
  "multilingual",
  "task",
  "prompt",
  "hotwords",
  "word_timestamps",
  "vad",
  "beam_size",
  "temperature",
  "priority",
  "metadata",
  "audio_track",
  "channels",
  "channel_names",
  "speakers",
  "num_speakers",
  "min_speakers",
  "max_speakers",
  "voices",
  "model",
  "webhook_url",
  "webhook_if",
  "keep_audio",
  "queue",
];

/** Compiles if the body of a retry has these fields. */
type Changes = paths["/jobs/{job_id}/retry"]["post"] extends {
  requestBody?: { content: { "application/x-www-form-urlencoded": infer Fields } };
}
  ? Fields
  : never;

export const changes: (keyof Changes)[] = fields.filter(
  (name) => name !== "audio" && name !== "audio_url" && name !== "queue",
);
