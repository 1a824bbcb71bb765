/** What is known of a job from its events. Pure. */

import type { JobEvent } from "../events.js";
import { type Job, type JobSpeaker, type JobStatus, type Segment, type WaitingFor, withSpeakers } from "../job.js";

export interface JobView {
  /** undefined until the first event. */
  status: JobStatus | undefined;
  /** Percent, 0 to 100. */
  progress: number;
  chunk: number;
  chunksTotal: number;
  language: string | undefined;
  /** Why the job waits for its model; undefined if it does not. */
  waitingFor: WaitingFor | undefined;
  /** The text so far; of a job that is done, its transcript. */
  segments: readonly Segment[];
  /** Who speaks, as far as it is known; empty if that was not asked for. */
  speakers: readonly JobSpeaker[];
  /** The whole job, once it has ended. */
  job: Job | undefined;
  /** Why the job failed. */
  failure: string | undefined;
}

export const NOTHING_KNOWN: JobView = {
  status: undefined,
  progress: 0,
  chunk: 0,
  chunksTotal: 0,
  language: undefined,
  waitingFor: undefined,
  segments: [],
  speakers: [],
  job: undefined,
  failure: undefined,
};

export function withEvent(view: JobView, event: JobEvent): JobView {
  switch (event.type) {
    case "progress":
      return {
        ...view,
        status: "running",
        progress: event.percent,
        chunk: event.chunk,
        chunksTotal: event.chunks_total,
      };
    case "language":
      return { ...view, language: event.language };
    case "segment":
      return { ...view, status: "running", segments: withSegment(view.segments, event) };
    case "speakers":
      return { ...view, speakers: event.speakers, segments: withSpeakers(view.segments, event.segments) };
    case "waiting_for":
      return { ...view, status: view.status ?? "queued", waitingFor: event.state === "ready" ? undefined : event };
    case "retry":
      return { ...NOTHING_KNOWN, status: "queued" };
    case "done":
      return ofJob(event.job);
    case "error":
      return { ...view, status: "failed", failure: event.message };
    default:
      return view;
  }
}

export function ofJob(job: Job): JobView {
  return {
    ...NOTHING_KNOWN,
    status: job.status,
    progress: job.progress,
    language: job.language ?? undefined,
    waitingFor: job.waiting_for ?? undefined,
    segments: job.segments,
    speakers: job.speakers ?? [],
    job,
    failure: job.status === "failed" ? (job.error ?? "the job failed") : undefined,
  };
}

/** Segments arrive in order; one that was replayed takes the place of its first copy. */
function withSegment(segments: readonly Segment[], segment: Segment): readonly Segment[] {
  const last = segments.at(-1);
  if (last === undefined || segment.index > last.index) return [...segments, segment];
  return [...segments.filter(({ index }) => index !== segment.index), segment].sort((a, b) => a.index - b.index);
}
