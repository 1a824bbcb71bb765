import { useCallback, useEffect, useRef, useState } from "react";
import type { ScrivanoClient } from "../client.js";
import type { ModelNotReadyError } from "../errors.js";
import type { Job } from "../job.js";
import type { Recording, SubmitOptions, UploadProgress } from "../options.js";
import { type JobView, NOTHING_KNOWN, ofJob, withEvent } from "./job-view.js";

/**
 * `uploading`: the recording is being sent. `waiting_for_model`: the server refused it until its model is ready, and
 * it will be sent again. `transcribing`: the job is stored on the server, and waits or runs.
 */
export type TranscriptionPhase =
  | "idle"
  | "uploading"
  | "waiting_for_model"
  | "transcribing"
  | "done"
  | "failed"
  | "cancelled";

export interface Transcription extends JobView {
  phase: TranscriptionPhase;
  /** Whether there is something to cancel. */
  busy: boolean;
  jobId: string | undefined;
  upload: UploadProgress | undefined;
  /** While the phase is `waiting_for_model`: the model's state, and when the recording is sent again. */
  notReady: ModelNotReadyError | undefined;
  /** Why there is no transcript: what was thrown, if the job itself did not fail. */
  error: unknown;
  /** Send a recording and follow its job; ends what was started before. Returns the job once it has ended. */
  start(recording: Recording, options?: Omit<SubmitOptions, "signal">): Promise<Job | undefined>;
  /** Stop the upload, or cancel the job on the server. */
  cancel(): Promise<void>;
  /** Forget everything; the job, if there is one, goes on. */
  reset(): void;
}

type State = Omit<Transcription, "start" | "cancel" | "reset" | "busy">;

const IDLE: State = {
  ...NOTHING_KNOWN,
  phase: "idle",
  jobId: undefined,
  upload: undefined,
  notReady: undefined,
  error: undefined,
};

const BUSY: readonly TranscriptionPhase[] = ["uploading", "waiting_for_model", "transcribing"];

/**
 * Transcribe one recording at a time.
 *
 * When the component is removed, an upload ends; a job that the server has stored goes on there.
 */
export function useTranscribe(client: ScrivanoClient): Transcription {
  const [state, setState] = useState<State>(IDLE);
  const run = useRef<Run | undefined>(undefined);

  const end = useCallback(() => {
    run.current?.controller.abort();
    run.current = undefined;
  }, []);
  useEffect(() => end, [end]);

  const start = useCallback(
    async (recording: Recording, options: Omit<SubmitOptions, "signal"> = {}) => {
      end();
      const current: Run = { controller: new AbortController(), jobId: undefined };
      run.current = current;
      const update = (change: (before: State) => Partial<State>) => {
        if (run.current === current) setState((before) => ({ ...before, ...change(before) }));
      };
      setState({ ...IDLE, phase: "uploading" });
      try {
        const job = await follow(client, current, recording, options, update);
        update(() => ({ ...ofJob(job), phase: phaseOf(job) }));
        return job;
      } catch (error) {
        update(() => ({ phase: "failed", error }));
        return undefined;
      }
    },
    [client, end],
  );

  const cancel = useCallback(async () => {
    const current = run.current;
    if (current === undefined) return;
    if (current.jobId !== undefined) {
      // The stream ends with the cancelled job. If it has ended already, its transcript is there.
      await client.cancel(current.jobId).catch(() => undefined);
      return;
    }
    end();
    setState({ ...IDLE, phase: "cancelled", status: "cancelled" });
  }, [client, end]);

  const reset = useCallback(() => {
    end();
    setState(IDLE);
  }, [end]);

  return { ...state, busy: BUSY.includes(state.phase), start, cancel, reset };
}

interface Run {
  controller: AbortController;
  jobId: string | undefined;
}

type Update = (change: (before: State) => Partial<State>) => void;

async function follow(
  client: ScrivanoClient,
  run: Run,
  recording: Recording,
  options: Omit<SubmitOptions, "signal">,
  update: Update,
): Promise<Job> {
  const { signal } = run.controller;
  const jobId = await client.submit(recording, {
    ...options,
    signal,
    onUploadProgress(upload) {
      update(() => ({ phase: "uploading", upload, notReady: undefined }));
      options.onUploadProgress?.(upload);
    },
    onModelNotReady(notReady) {
      update(() => ({ phase: "waiting_for_model", notReady }));
      options.onModelNotReady?.(notReady);
    },
  });
  run.jobId = jobId;
  update(() => ({ phase: "transcribing", jobId, status: "queued", notReady: undefined }));
  return client.waitForJob(jobId, {
    signal,
    lastEventId: "0",
    onEvent: (event) => update((before) => withEvent({ ...before }, event)),
  });
}

function phaseOf(job: Job): TranscriptionPhase {
  return job.status === "done" || job.status === "cancelled" ? job.status : "failed";
}
