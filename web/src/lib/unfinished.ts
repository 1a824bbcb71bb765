/** Uploads that a page began and did not end: what the browser remembers of them, so that the next page goes on. */

import { dropFile, dropFilesExcept, keepFile } from "./files";
import { client } from "./server";
import { recallAll, remember } from "./storage";
import type { Choices } from "./uploads";

export interface Unfinished {
  /** Where the server has it. */
  url: string;
  name: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
  choices: Choices;
}

const PREFIX = "upload.";
const ANSWER_MS = 400;

export function isSame(file: File, { name, size, modified }: Unfinished): boolean {
  return file.name === name && file.size === size && file.lastModified === modified;
}

export function keep(upload: Unfinished, file: File): void {
  remember(PREFIX + upload.url, JSON.stringify(upload));
  keepFile(upload.url, file);
}

export function forget(url: string): void {
  remember(PREFIX + url, null);
  dropFile(url);
}

/** Those of this server that no other tab is sending. */
export async function unfinished(): Promise<Unfinished[]> {
  const known = recallAll(PREFIX);
  void dropFilesExcept((url) => recallAll(PREFIX).has(url));
  const all = [...known.values()].map((text) => JSON.parse(text) as Unfinished);
  const here = all.filter(({ url }) => url.startsWith(`${client.baseUrl}/uploads/`));
  if (here.length === 0) return [];
  const elsewhere = await inOtherTabs(here.map(({ url }) => url));
  return here.filter(({ url }) => !elsewhere.has(url));
}

// Tabs ask each other which uploads they send.

type Message = { ask: string[] } | { mine: string[] };

const tabs = new BroadcastChannel("scrivano.uploads");
const sending = new Set<string>();

tabs.addEventListener("message", ({ data }: MessageEvent<Message>) => {
  const mine = "ask" in data ? data.ask.filter((url) => sending.has(url)) : [];
  if (mine.length) tabs.postMessage({ mine } satisfies Message);
});

/** Answer other tabs that this one has it. */
export function claim(url: string): void {
  sending.add(url);
}

export function release(url: string): void {
  sending.delete(url);
}

function inOtherTabs(urls: string[]): Promise<Set<string>> {
  return new Promise((resolve) => {
    const found = new Set<string>();
    const hear = ({ data }: MessageEvent<Message>) => {
      if ("mine" in data) for (const url of data.mine) found.add(url);
    };
    tabs.addEventListener("message", hear);
    tabs.postMessage({ ask: urls } satisfies Message);
    window.setTimeout(() => {
      tabs.removeEventListener("message", hear);
      resolve(found);
    }, ANSWER_MS);
  });
}
