/** The server behind the page: its client, the API key, and whether it can be reached. */

import {
  AuthenticationError,
  HttpError,
  type Job,
  type JobSummary,
  ScrivanoClient,
  type Segment,
} from "@scrivano/client";
import { recall, remember } from "./storage";
import { Store } from "./store";

export type PageSegment = Segment & {
  original?: { text: string } | null;
  speaker?: string | null;
};

export interface Stretch {
  start: number;
  end: number;
}

export interface Speaker {
  id: string;
  name?: string | null;
  seconds?: number;
}

/** What newer servers add to a job. */
interface Additions {
  excerpt?: string | null;
  chunk?: number | null;
  chunks_total?: number | null;
  quality?: { uncovered?: Stretch[]; coverage?: number | null } | null;
  speakers?: Speaker[] | null;
}

export type PageJob = Omit<JobSummary, keyof Additions> & Additions;
export type WholeJob = Omit<Job, keyof Additions | "segments"> & Additions & { segments: PageSegment[] };

interface PageOfJobs {
  jobs: PageJob[];
  next_cursor: string | null;
}

/** The server at one moment. Figures that cannot be had on a machine are null. */
export interface Sample {
  at: string;
  queued: number;
  running: number;
  /** Seconds of speech that were decoded since the sample before. */
  audio_secs: number;
  /** The share of this time in which a model decoded. */
  busy: number;
  cpu_cores: number | null;
  memory_mb: number | null;
  gpu_used_mb: number | null;
}

export interface History {
  interval_secs: number;
  cpu_cores: number | null;
  gpu_name: string | null;
  gpu_total_mb: number | null;
  samples: Sample[];
}

// The key is asked for when the server refuses without one.
export const apiKey = new Store<string | null>(recall("key", "sessionStorage") ?? recall("key"));
export const keyWanted = new Store<"no" | "missing" | "refused">("no");
export const reachable = new Store(true);

export function setKey(key: string | null, keep: boolean): void {
  remember("key", null);
  remember("key", null, "sessionStorage");
  if (key) remember("key", key, keep ? "localStorage" : "sessionStorage");
  apiKey.set(key);
  keyWanted.set("no");
}

/** `fetch`, which notes whether the server is there and what it thinks of the key. */
async function watchedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  try {
    const response = await fetch(input, init);
    // A proxy speaks for a server that is not there.
    reachable.set(response.status !== 502 && response.status !== 504);
    if (response.status === 401) keyWanted.set(apiKey.get() ? "refused" : "missing");
    return response;
  } catch (error) {
    if (!init?.signal?.aborted) reachable.set(false);
    throw error;
  }
}

export const client = new ScrivanoClient(undefined, {
  apiKey: () => apiKey.get() ?? undefined,
  fetch: watchedFetch,
});

interface Request {
  method?: string;
  json?: unknown;
  signal?: AbortSignal;
}

/** Routes that the client does not have. */
async function call<T>(path: string, { method = "GET", json, signal }: Request = {}): Promise<T> {
  const headers: Record<string, string> = {};
  const key = apiKey.get();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const body = json === undefined ? null : JSON.stringify(json);
  const response = await watchedFetch(`${client.baseUrl}${path}`, { method, headers, body, signal: signal ?? null });
  const text = await response.text();
  if (!response.ok) throw errorFrom(response.status, text);
  return JSON.parse(text) as T;
}

function errorFrom(status: number, text: string): HttpError {
  let message = `the server responded with ${status}`;
  try {
    message = (JSON.parse(text) as { error?: string }).error ?? message;
  } catch {
    // Not JSON: a proxy.
  }
  return status === 401 ? new AuthenticationError(status, message) : new HttpError(status, message);
}

export function listJobs(query: Record<string, string | number | undefined>, signal?: AbortSignal): Promise<PageOfJobs> {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return call(`/jobs?${search}`, { signal });
}

const path = (jobId: string) => `/jobs/${encodeURIComponent(jobId)}`;

export const waveform = (jobId: string, points: number, signal?: AbortSignal) =>
  call<{ peak_secs: number; peaks: number[] }>(`${path(jobId)}/waveform?points=${points}`, { signal });

export const correct = (jobId: string, index: number, text: string) =>
  call<PageSegment>(`${path(jobId)}/segments/${index}/correction`, { method: "PUT", json: { text } });

export const restore = (jobId: string, index: number) =>
  call<PageSegment>(`${path(jobId)}/segments/${index}/correction`, { method: "DELETE" });

export const history = (signal?: AbortSignal) => call<History>("/history", { signal });

/** Names speakers by their ids, or merges them: an id, and the id that stays. */
export const changeSpeakers = (
  jobId: string,
  changes: { names: Record<string, string> } | { merge: Record<string, string> },
) => call<unknown>(`${path(jobId)}/speakers`, { method: "PATCH", json: changes });

interface OpenApi {
  paths: Record<string, Record<string, unknown>>;
}

let document_: Promise<OpenApi> | undefined;

async function openApi(): Promise<OpenApi | undefined> {
  document_ ??= call<OpenApi>("/openapi.json");
  try {
    return await document_;
  } catch {
    // Switched off, or not reached: asked for again.
    document_ = undefined;
    return undefined;
  }
}

/** Whether this server has a route, by its OpenAPI document. */
export async function hasRoute(method: string, template: string): Promise<boolean> {
  return method in ((await openApi())?.paths[template] ?? {});
}

/** Whether `POST /jobs` of this server takes a field. */
export async function hasField(name: string): Promise<boolean> {
  const route = (await openApi())?.paths["/jobs"]?.post;
  return JSON.stringify(route ?? {}).includes(`"${name}":{`);
}

// Recordings that this page has sent: they can be played without the server.
const ownRecordings = new Map<string, Blob>();

export function keepRecording(jobId: string, recording: Blob): void {
  ownRecordings.set(jobId, recording);
  // A browser keeps a picked file on disk, but a page that is open for weeks need not hold all of them.
  if (ownRecordings.size > 100) ownRecordings.delete(ownRecordings.keys().next().value ?? "");
}

/** A URL that a player can open, and how to let go of it. */
export async function audioUrl(jobId: string, signal: AbortSignal): Promise<{ url: string; release: () => void }> {
  const own = ownRecordings.get(jobId);
  if (own) {
    const url = URL.createObjectURL(own);
    return { url, release: () => URL.revokeObjectURL(url) };
  }
  const release = () => undefined;
  if (!apiKey.get()) return { url: `${client.baseUrl}${path(jobId)}/audio`, release };
  return { url: await client.audioUrl(jobId, { signal }), release };
}

export async function hasAudio(jobId: string, signal: AbortSignal): Promise<boolean> {
  if (ownRecordings.has(jobId)) return true;
  const key = apiKey.get();
  const headers: Record<string, string> = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await watchedFetch(`${client.baseUrl}${path(jobId)}/audio`, { method: "HEAD", headers, signal });
  return response.ok;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
