/** Recordings on their way to the server. */

import { AuthenticationError, type UploadProgress } from "@scrivano/client";
import { keptFile } from "./files";
import { refresh } from "./jobs";
import { client, keepRecording, keyWanted, messageOf } from "./server";
import { Store } from "./store";
import { claim, forget, isSame, keep, release, type Unfinished, unfinished } from "./unfinished";

/** `fileless`: begun before the page was loaded; the browser does not have the file any more. */
export type UploadState = "waiting" | "sending" | "fetching" | "failed" | "fileless";

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
  /** What to do with several channels; empty: as the server is set. */
  channels: "" | "auto" | "split" | "mix";
  /** Who speaks on each channel, separated by commas. */
  channelNames: string;
  keepAudio: boolean;
  urgent: boolean;
}

interface Task {
  /** Absent while it is `fileless`. */
  recording: File | URL | undefined;
  choices: Choices;
  controller: AbortController;
  /** What was begun, and where the server has it. */
  begun: Unfinished | undefined;
}

// More at once would share the same line, and each would take longer to become a job.
const AT_ONCE = 2;
// Hours: a laptop may be closed in between.
const RETRIES = 100_000;

export const uploads = new Store<readonly Upload[]>([]);

const tasks = new Map<number, Task>();
let lastId = 0;

/** A file whose upload was interrupted continues there. */
export function upload(recordings: readonly (File | URL)[], choices: Choices): void {
  for (const recording of recordings) {
    const id = recording instanceof File ? interrupted(recording) : undefined;
    if (id !== undefined && recording instanceof File) goOn(id, recording);
    else add({ recording, choices, begun: undefined }, "waiting");
  }
  next();
}

function add(task: Omit<Task, "controller">, state: UploadState, progress?: UploadProgress): void {
  const id = ++lastId;
  tasks.set(id, { ...task, controller: new AbortController() });
  const { recording, begun } = task;
  const name = begun?.name ?? (recording instanceof URL ? recording.href : (recording?.name ?? ""));
  uploads.update((before) => [...before, { id, name, state, progress, error: undefined }]);
}

function interrupted(file: File): number | undefined {
  const found = uploads.get().find(({ id, state }) => {
    const begun = tasks.get(id)?.begun;
    return state === "fileless" && begun && isSame(file, begun);
  });
  return found?.id;
}

function goOn(id: number, file: File): void {
  const task = tasks.get(id);
  if (task) task.recording = file;
  change(id, { state: "waiting" });
}

/** Continue an interrupted upload with its file. Returns whether it is that file. */
export function resume(id: number, file: File): boolean {
  const begun = tasks.get(id)?.begun;
  if (!begun || !isSame(file, begun)) return false;
  goOn(id, file);
  next();
  return true;
}

export function tryAgain(id: number): void {
  const task = tasks.get(id);
  if (task) task.controller = new AbortController();
  change(id, { state: "waiting", error: undefined, progress: undefined });
  next();
}

export function stop(id: number): void {
  const task = tasks.get(id);
  task?.controller.abort();
  if (task?.begun) {
    // If it cannot be reached now, the server deletes it after a day.
    client.discardUpload(task.begun.url).catch(() => undefined);
    forget(task.begun.url);
  }
  remove(id);
}

function next(): void {
  if (keyWanted.get() !== "no") return;
  const list = uploads.get();
  const busy = list.filter(({ state }) => state === "sending" || state === "fetching").length;
  const ready = list.filter(({ state }) => state === "waiting").slice(0, Math.max(0, AT_ONCE - busy));
  for (const { id } of ready) void send(id);
}

async function send(id: number): Promise<void> {
  const task = tasks.get(id);
  if (!task?.recording) return;
  const { recording, controller, choices } = task;
  const isFile = recording instanceof File;
  change(id, { state: isFile ? "sending" : "fetching" });
  try {
    const jobId = await client.submit(recording, {
      ...optionsOf(choices),
      signal: controller.signal,
      // Resumable uploads are accepted in any state of the model, and continue after a lost connection.
      resumable: isFile,
      uploadUrl: task.begun?.url,
      onUploadUrl: (url) => {
        if (isFile) begin(task, url, recording);
      },
      queue: true,
      retries: RETRIES,
      onUploadProgress: (progress) => change(id, { progress }),
    });
    if (isFile) keepRecording(jobId, recording);
    finish(task);
    remove(id);
    refresh(true);
  } catch (error) {
    if (controller.signal.aborted) return;
    // It continues when the page has the key.
    if (error instanceof AuthenticationError) change(id, { state: "waiting" });
    else change(id, { state: "failed", error: messageOf(error) });
  } finally {
    next();
  }
}

/** An upload that has expired on the server begins again, with another URL. */
function begin(task: Task, url: string, file: File): void {
  finish(task);
  const { name, size, lastModified: modified } = file;
  task.begun = { url, name, size, modified, choices: task.choices };
  claim(url);
  keep(task.begun, file);
}

function finish({ begun }: Task): void {
  if (!begun) return;
  forget(begun.url);
  release(begun.url);
}

function optionsOf(choices: Choices) {
  return {
    task: choices.task,
    language: choices.language || undefined,
    multilingual: choices.multilingual || undefined,
    speakers: choices.speakers || undefined,
    channels: choices.speakers ? choices.channels || undefined : undefined,
    channelNames: choices.speakers && choices.channels !== "mix" ? namesIn(choices.channelNames) : undefined,
    model: choices.model || undefined,
    prompt: choices.prompt.trim() || undefined,
    hotwords: choices.hotwords.trim() || undefined,
    keepAudio: choices.keepAudio || undefined,
    priority: choices.urgent ? ("interactive" as const) : undefined,
  };
}

function namesIn(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  return names.some(Boolean) ? names : [];
}

function change(id: number, fields: Partial<Upload>): void {
  uploads.update((before) => before.map((one) => (one.id === id ? { ...one, ...fields } : one)));
}

function remove(id: number): void {
  tasks.delete(id);
  uploads.update((before) => before.filter((one) => one.id !== id));
}

window.addEventListener("beforeunload", (event) => {
  if (uploads.get().some(({ state }) => state !== "failed" && state !== "fileless")) event.preventDefault();
});

/** Go on with what a page before this one began. */
async function goOnAfterReload(): Promise<void> {
  for (const begun of await unfinished()) {
    const { url, choices } = begun;
    claim(url);
    const recording = await keptFile(url);
    add({ recording, choices, begun }, recording ? "waiting" : "fileless");
    if (!recording) void look(lastId, url);
  }
  next();
}

/** How far an interrupted upload got, and whether it did after all. */
async function look(id: number, url: string): Promise<void> {
  try {
    const { offset_bytes: loaded, size_bytes: total, job_id: jobId } = await client.uploadStatus(url);
    if (jobId === null) {
      const progress = { loaded, total, fraction: loaded / total, bytesPerSecond: 0, secondsLeft: undefined };
      return change(id, { progress });
    }
    const task = tasks.get(id);
    if (task) finish(task);
    remove(id);
  } catch {
    // It has expired, or the server cannot be reached: the upload begins again, or continues, once its file is there.
  }
}

keyWanted.subscribe(next);
void goOnAfterReload();
