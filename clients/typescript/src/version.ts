/** The versions of a job: what several models, or options, made of one recording. */

import type { JobQuality, JobStatus, Task } from "./job.js";

export interface Version {
  /** The first transcript of the job is 1. */
  number: number;
  /** A job's id: every method that takes one takes it, `transcript` and `streamProgress` too. */
  id: string;
  /** Whether the job shows this version. */
  current: boolean;
  status: JobStatus;
  /** Percent, 0 to 100. */
  progress: number;
  created_at: string;
  completed_at: string | null;
  task: Task;
  language: string | null;
  /** The model that made it, or will; null if the server did not store that. */
  model: string | null;
  /** The options that were given, by their names in the HTTP interface. */
  options: Record<string, unknown>;
  /** Only if it is done. */
  quality?: JobQuality | null;
  /** Only if it failed. */
  error?: string | null;
  error_code?: string | null;
}

export interface VersionList {
  job_id: string;
  /** Number of the version that the job shows: the newest that is done. */
  current: number;
  /** Oldest first. */
  versions: Version[];
}

/** A run of words that both versions have, or in which they differ. */
export interface ComparisonSpan {
  /** `deleted`: only `a` has it. `inserted`: only `b` has it. */
  kind: "equal" | "substituted" | "deleted" | "inserted";
  /** The words of version `a`. */
  a: string;
  b: string;
  /** Seconds from the start of the file. */
  start: number | null;
  end: number | null;
}

/** Two versions word by word. Counts are of words, or of characters in languages without spaces: see `unit`. */
export interface Comparison {
  job_id: string;
  a: Version;
  b: Version;
  unit: "word" | "character";
  length_a: number;
  length_b: number;
  equal: number;
  substituted: number;
  /** Only `a` has them. */
  deleted: number;
  /** Only `b` has them. */
  inserted: number;
  /** Share of words that differ, of the longer version: 0 to 1. */
  difference: number;
  /** Both texts in order. */
  spans: ComparisonSpan[];
}
