/** The events of a job and of the model. `id` is the number to continue after (`Last-Event-ID`). */

import type { Job, JobSpeaker, Segment, WaitingFor } from "./job.js";

interface EventId {
  /** The event's number; absent if the server sent none. */
  id?: string;
}

export interface JobProgressEvent extends EventId {
  type: "progress";
  /** 0 to 100. */
  percent: number;
  /** Chunks that are decoded. A chunk is a piece of audio of at most 30 seconds. */
  chunk: number;
  chunks_total: number;
}

/** The language was detected. `probability`: 0 to 1. */
export interface JobLanguageEvent extends EventId {
  type: "language";
  language: string;
  probability: number;
  probabilities?: Record<string, number>;
}

/** Text as it becomes known. The segments of the `done` event replace these. */
export interface JobSegmentEvent extends EventId, Omit<Segment, "original"> {
  type: "segment";
}

/**
 * Who speaks, as far as it is known while the job runs. It replaces the event before. `segments`: for each segment that
 * was sent, by its index, the id of its speaker; null where it is not known yet. See `withSpeakers`.
 */
export interface JobSpeakersEvent extends EventId {
  type: "speakers";
  speakers: JobSpeaker[];
  segments: (string | null)[];
}

/** Why the job waits for its model; it does so no longer when `state` is `ready`. Its `id` is that of the event before. */
export interface JobWaitingEvent extends EventId, WaitingFor {
  type: "waiting_for";
}

/** The job is tried again: forget its segments. */
export interface JobRetryEvent extends EventId {
  type: "retry";
}

/** The last event of a job that has ended; see `job.status`. */
export interface JobDoneEvent extends EventId {
  type: "done";
  job: Job;
}

/** The last event of a job that fails while it is followed. */
export interface JobErrorEvent extends EventId {
  type: "error";
  message: string;
  /** Stable; docs/http.md lists the codes. */
  code?: string | null;
}

export type JobEvent =
  | JobProgressEvent
  | JobLanguageEvent
  | JobSegmentEvent
  | JobSpeakersEvent
  | JobWaitingEvent
  | JobRetryEvent
  | JobDoneEvent
  | JobErrorEvent;

export interface ModelLoadingEvent extends EventId {
  type: "model_loading";
}

export interface ModelReadyEvent extends EventId {
  type: "model_ready";
  /** ISO 8601 in UTC. */
  loaded_at: string;
}

export interface ModelUnloadedEvent extends EventId {
  type: "model_unloaded";
}

export interface ModelWaitingForGpuEvent extends EventId {
  type: "model_waiting_for_gpu";
  /** What is missing; only while an engine waits for a place in a cluster, and not for memory. */
  missing?: string | null;
  vram_needed_mb: number;
  vram_free_mb: number;
  /** Seconds until the next attempt. */
  retry_in_secs: number;
}

export type ModelEvent = ModelLoadingEvent | ModelReadyEvent | ModelUnloadedEvent | ModelWaitingForGpuEvent;

/** Whether no event follows this one. */
export function isFinal(event: JobEvent): event is JobDoneEvent | JobErrorEvent {
  return event.type === "done" || event.type === "error";
}
