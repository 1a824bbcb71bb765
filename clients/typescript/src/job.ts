/** Jobs and transcripts as the server sends them. Field names are those of the HTTP interface. */

import type { ModelState } from "./model.js";

export type JobStatus = "queued" | "running" | "done" | "failed" | "cancelled";

export type Task = "transcribe" | "translate";

export type Priority = "interactive" | "normal" | "bulk";

/** `start` and `end`: seconds from the start of the file. `probability`: 0 to 1. */
export interface Word {
  /** With the space before it: joined words are the text of the segment. */
  text: string;
  start: number;
  end: number;
  probability: number;
  /** An id in the job's `speakers`; only if they were asked for. */
  speaker?: string | null;
}

/** A stretch of speech and its text. `start` and `end`: seconds from the start of the file. */
export interface Segment {
  index: number;
  start: number;
  end: number;
  text: string;
  /** May be empty. */
  words: Word[];
  /** Mean natural-log probability of the tokens: 0 is certain, -1 is poor. */
  avg_logprob?: number;
  /** 0 to 1. */
  no_speech_prob?: number;
  /** Above 2.4 the text repeats itself. */
  compression_ratio?: number;
  temperature?: number;
  tokens?: number[];
  /** Only in multilingual jobs. */
  language?: string | null;
  /** An id in the job's `speakers`; only if they were asked for. */
  speaker?: string | null;
  /** How far its text can be trusted; only of jobs that are done. */
  quality?: SegmentQuality | null;
  /** What the model wrote; only in segments that were corrected. */
  original?: { text: string; words: Word[]; quality?: SegmentQuality | null } | null;
}

export interface SegmentQuality {
  /** Mean probability of its words. */
  word_probability?: number | null;
  /** Why its text may be wrong; empty if there is no reason. */
  doubtful: string[];
  /** Whether its speech had no words at first. */
  repaired: boolean;
}

/** The audio track that was transcribed. */
export interface AudioTrack {
  track: number;
  codec: string;
  channels: number;
  sample_rate: number;
  /** Seconds that the file claims; null if it claims none. */
  duration: number | null;
  /** Seconds from the start of the file to the first sound. */
  start: number;
  /** All tracks that were read; only if several were. */
  tracks?: number[];
  /** What the channels are: `voices`, `copy`, `delayed_copy`, `inverted_copy`, `one_side` or `stereo`. */
  channel_content?: string | null;
  /** How many channels or tracks were transcribed each as a speaker; 1: none. */
  sides?: number;
}

/** One of the voices of a job; `seconds`: how long they speak. An id never changes. */
export interface JobSpeaker {
  id: string;
  name: string;
  seconds: number;
}

/** A stretch in which several speak at once. */
export interface JobOverlap {
  /** Seconds from the start of the file. */
  start: number;
  end: number;
  /** Their ids. */
  speakers: string[];
}

/** Something to know about the recording, such as a damaged part. `at`: seconds from the start of the file. */
export interface JobWarning {
  code: string;
  message: string;
  at?: number | null;
}

/** How far a transcript can be trusted; docs/http.md describes it. */
export interface JobQuality {
  /** Share of the seconds of detected speech that have words, 0 to 1; null without speech. */
  coverage: number | null;
  /** Speech without words: a second or more, or less far from any word. */
  uncovered: { start: number; end: number }[];
  /** Stretches of speech that got words when they were decoded again. */
  repaired: number;
  /** Repetitions of the model that were cut out of the text. */
  loops_cut: number;
  /** Segments whose text may be wrong. Reasons: `improbable`, `guessed`, `repeats`, `too_fast`, `no_speech`, `language`. */
  doubtful: { index: number; start: number; end: number; reasons: string[] }[];
  /** Mean probability of the words; null without word times. */
  word_probability: number | null;
}

/** Why a job does not go on while its model is not ready. */
export interface WaitingFor {
  model: string;
  state: ModelState;
  last_error?: string | null;
  retry_in_secs?: number | null;
  /** Only while an engine waits for a place in a cluster, and not for memory. */
  missing?: string | null;
}

/** A job without its segments, as in lists. Times are ISO 8601 in UTC. */
export interface JobSummary {
  id: string;
  status: JobStatus;
  task: Task;
  /** Percent, 0 to 100. It never goes back, except when a job is tried again. */
  progress: number;
  /** Null or absent until it is given or detected. */
  language?: string | null;
  /** Length of the recording in seconds; null or absent until processing starts. */
  duration_secs?: number | null;
  created_at: string;
  /** Null or absent until the job has ended. */
  completed_at?: string | null;
  /** Only if the job failed. */
  error?: string | null;
  /** Only if the job failed; stable. */
  error_code?: string | null;
  webhook_url?: string | null;
  /** As uploaded. */
  filename?: string | null;
  priority?: string | null;
  /** Only if it is not the default model. */
  model?: string | null;
  metadata?: Record<string, string> | null;
  audio?: AudioTrack | null;
  warnings?: JobWarning[];
  /** Only of jobs that are done. */
  quality?: JobQuality | null;
  /** Only if they were asked for; while the job runs, those so far, who may change. */
  speakers?: JobSpeaker[] | null;
  /** Number of the version that is shown; only if the job was transcribed again. */
  version?: number | null;
  /** The job that this is a version of; only if it is one. */
  version_of?: string | null;
  /** Chunks that are decoded, of `chunks_total`; only while it runs. */
  chunk?: number | null;
  chunks_total?: number | null;
  /** The text around what was searched for; only in searches. */
  excerpt?: string | null;
}

export interface Job extends JobSummary {
  /** Empty until the job is done. */
  segments: Segment[];
  /** Only while the job waits for its model. */
  waiting_for?: WaitingFor | null;
  /** Only if the job has speakers. */
  overlaps?: JobOverlap[] | null;
}

/** The outline of a recording: the loudest sample of each `peak_secs` seconds, 0 (silence) to 255. */
export interface Waveform {
  peak_secs: number;
  peaks: number[];
}

/** A page of jobs, newest first. `next_cursor` is null on the last page. */
export interface JobPage {
  jobs: JobSummary[];
  next_cursor: string | null;
}

export const TERMINAL_STATUSES: readonly JobStatus[] = ["done", "failed", "cancelled"];

/** Whether the job has ended: it will not change unless it is retried. */
export function isTerminal(job: { status: JobStatus }): boolean {
  return TERMINAL_STATUSES.includes(job.status);
}

/** Segments with their speakers, as far as these are known. `speakers`: the `segments` of a `speakers` event. */
export function withSpeakers(segments: readonly Segment[], speakers: readonly (string | null)[]): readonly Segment[] {
  return segments.map((segment) => {
    const speaker = speakers[segment.index];
    return speaker === undefined || speaker === segment.speaker ? segment : { ...segment, speaker };
  });
}

/** The text of a job or of segments, one line a segment. */
export function textOf(source: { segments: readonly Segment[] } | readonly Segment[]): string {
  const segments = "segments" in source ? source.segments : source;
  return segments.map((segment) => segment.text.trim()).join("\n");
}
