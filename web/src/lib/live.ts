/** One job: read when it has ended, followed while it runs. */

import { isTerminal, type Job, NotFoundError, type Segment, withSpeakers } from "@scrivano/client";
import { useEffect, useState } from "react";
import { apiKey, client, messageOf } from "./server";
import { useStore } from "./store";

export interface LiveJob {
  /** undefined until it is read. */
  job: Job | undefined;
  /** The text so far; of a job that is done, its transcript. */
  segments: readonly Segment[];
  progress: number;
  chunk: number;
  chunksTotal: number;
  missing: boolean;
  error: string | undefined;
  /** Changes one segment of what is shown. */
  setSegment(segment: Segment): void;
  /** Read the job again, for example after it was retried. */
  reload(): void;
}

interface State {
  job: Job | undefined;
  segments: readonly Segment[];
  progress: number;
  chunk: number;
  chunksTotal: number;
  missing: boolean;
  error: string | undefined;
}

const NOTHING: State = {
  job: undefined,
  segments: [],
  progress: 0,
  chunk: 0,
  chunksTotal: 0,
  missing: false,
  error: undefined,
};

const RETRY_MS = 3000;

export function useLiveJob(id: string): LiveJob {
  const [state, setState] = useState<State>(NOTHING);
  const [round, setRound] = useState(0);
  const key = useStore(apiKey);

  useEffect(() => {
    setState(NOTHING);
  }, [id]);

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    void (async () => {
      for (;;) {
        try {
          await follow(id, signal, setState);
          return;
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof NotFoundError) return setState((before) => ({ ...before, missing: true }));
          setState((before) => ({ ...before, error: messageOf(error) }));
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
    })();
    return () => controller.abort();
  }, [id, round, key]);

  return {
    ...state,
    setSegment: (segment) =>
      setState((before) => {
        const segments = before.segments.map((one) => (one.index === segment.index ? segment : one));
        return { ...before, segments, job: before.job && { ...before.job, segments } };
      }),
    reload: () => setRound((before) => before + 1),
  };
}

type SetState = (change: (before: State) => State) => void;

async function follow(id: string, signal: AbortSignal, setState: SetState): Promise<void> {
  const job = await client.job(id, { signal });
  if (signal.aborted) return;
  setState((before) => ({
    ...before,
    job,
    error: undefined,
    missing: false,
    progress: job.progress,
    segments: job.status === "done" ? job.segments : isTerminal(job) ? [] : before.segments,
  }));
  if (!isTerminal(job)) await followRunning(id, signal, setState);
}

async function followRunning(id: string, signal: AbortSignal, setState: SetState): Promise<void> {
  const refresher = window.setInterval(() => void readAgain(id, signal, setState), 4000);
  let segments: readonly Segment[] = [];
  let fresh: Partial<State> = {};
  let frame = 0;
  // Many events may come at once, for example after a reload: they are drawn together.
  const show = (change: Partial<State>) => {
    fresh = { ...fresh, ...change };
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      const now = fresh;
      fresh = {};
      if (!signal.aborted) setState((before) => ({ ...before, ...now, error: undefined }));
    });
  };
  try {
    for await (const event of client.streamProgress(id, { signal, lastEventId: "0" })) {
      switch (event.type) {
        case "progress":
          show({ progress: event.percent, chunk: event.chunk, chunksTotal: event.chunks_total });
          break;
        case "segment":
          segments = [...segments.filter(({ index }) => index < event.index), event];
          show({ segments });
          break;
        case "speakers":
          segments = withSpeakers(segments, event.segments);
          show({ segments });
          setState((before) => ({ ...before, job: before.job && { ...before.job, speakers: event.speakers } }));
          break;
        case "language":
          setState((before) => ({ ...before, job: before.job && { ...before.job, language: event.language } }));
          break;
        case "retry":
          segments = [];
          show({ segments: [], progress: 0, chunk: 0, chunksTotal: 0 });
          break;
        case "done":
        case "error": {
          const job = await client.job(id, { signal });
          show({ job, segments: job.status === "done" ? job.segments : segments, progress: job.progress });
          return;
        }
      }
    }
  } finally {
    window.clearInterval(refresher);
  }
}

/** What no event tells: the length of the recording, and what the job waits for. */
async function readAgain(id: string, signal: AbortSignal, setState: SetState): Promise<void> {
  try {
    const job = await client.job(id, { signal });
    if (!isTerminal(job) && !signal.aborted) setState((before) => ({ ...before, job, error: undefined }));
  } catch (error) {
    if (!signal.aborted) setState((before) => ({ ...before, error: messageOf(error) }));
  }
}
