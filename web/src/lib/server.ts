/** The server behind the page: its client, the API key, and whether it can be reached. */

import { ScrivanoClient } from "@scrivano/client";
import { recall, remember } from "./storage";
import { Store } from "./store";

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
  if (!apiKey.get()) return { url: `${client.baseUrl}/jobs/${encodeURIComponent(jobId)}/audio`, release };
  return { url: await client.audioUrl(jobId, { signal }), release };
}

export async function hasAudio(jobId: string, signal: AbortSignal): Promise<boolean> {
  return ownRecordings.has(jobId) || client.hasAudio(jobId, { signal });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
