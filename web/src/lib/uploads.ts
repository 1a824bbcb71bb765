/** Recordings on their way to the server. */

import type { UploadProgress } from "@scrivano/client";
import { refresh } from "./jobs";
import { client, keepRecording, messageOf } from "./server";
import { Store } from "./store";

export type UploadState = "waiting" | "sending" | "fetching" | "failed";

export interface Upload {
  id: number;
  name: string;
  state: UploadState;
  progress: UploadProgress | undefined;
  error: string | undefined;
}

export interface Choices {
  language: string;
  task: "transcribe" | "translate";
  model: string;
  prompt: string;
  hotwords: string;
  multilingual: boolean;
  speakers: boolean;
  keepAudio: boolean;
  urgent: boolean;
}

interface Task {
  recording: File | URL;
  choices: Choices;
  controller: AbortController;
}

// More at once would share the same line, and each would take longer to become a job.
const AT_ONCE = 2;
// Hours: a laptop may be closed in between.
const RETRIES = 100_000;

export const uploads = new Store<readonly Upload[]>([]);

const tasks = new Map<number, Task>();
let lastId = 0;

export function upload(recordings: readonly (File | URL)[], choices: Choices): void {
  for (const recording of recordings) {
    const id = ++lastId;
    tasks.set(id, { recording, choices, controller: new AbortController() });
    const name = recording instanceof URL ? recording.href : recording.name;
    uploads.update((before) => [...before, { id, name, state: "waiting", progress: undefined, error: undefined }]);
  }
  next();
}

export function tryAgain(id: number): void {
  const task = tasks.get(id);
  if (task) task.controller = new AbortController();
  change(id, { state: "waiting", error: undefined, progress: undefined });
  next();
}

export function stop(id: number): void {
  tasks.get(id)?.controller.abort();
  remove(id);
}

function next(): void {
  const list = uploads.get();
  const busy = list.filter(({ state }) => state === "sending" || state === "fetching").length;
  const ready = list.filter(({ state }) => state === "waiting").slice(0, Math.max(0, AT_ONCE - busy));
  for (const { id } of ready) void send(id);
}

async function send(id: number): Promise<void> {
  const task = tasks.get(id);
  if (!task) return;
  const { recording, controller } = task;
  change(id, { state: recording instanceof URL ? "fetching" : "sending" });
  try {
    const jobId = await client.submit(recording, {
      ...optionsOf(task.choices),
      signal: controller.signal,
      // Resumable uploads are accepted in any state of the model, and continue after a lost connection.
      resumable: !(recording instanceof URL),
      queue: true,
      retries: RETRIES,
      onUploadProgress: (progress) => change(id, { progress }),
    });
    if (recording instanceof File) keepRecording(jobId, recording);
    remove(id);
    refresh(true);
  } catch (error) {
    if (!controller.signal.aborted) change(id, { state: "failed", error: messageOf(error) });
  } finally {
    next();
  }
}

function optionsOf(choices: Choices) {
  const fields: Record<string, string> = {};
  if (choices.keepAudio) fields.keep_audio = "true";
  if (choices.speakers) fields.speakers = "true";
  return {
    fields,
    task: choices.task,
    language: choices.language || undefined,
    multilingual: choices.multilingual || undefined,
    model: choices.model || undefined,
    prompt: choices.prompt.trim() || undefined,
    hotwords: choices.hotwords.trim() || undefined,
    priority: choices.urgent ? ("interactive" as const) : undefined,
  };
}

function change(id: number, fields: Partial<Upload>): void {
  uploads.update((before) => before.map((one) => (one.id === id ? { ...one, ...fields } : one)));
}

function remove(id: number): void {
  tasks.delete(id);
  uploads.update((before) => before.filter((one) => one.id !== id));
}

window.addEventListener("beforeunload", (event) => {
  if (uploads.get().some(({ state }) => state !== "failed")) event.preventDefault();
});
