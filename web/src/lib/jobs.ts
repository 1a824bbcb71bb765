/** The list of jobs, kept up to date while the page is seen. */

import { isTerminal, type JobPage, type JobStatus, type JobSummary } from "@scrivano/client";
import { client, keyWanted, messageOf } from "./server";
import { Store } from "./store";

export interface JobList {
  jobs: readonly JobSummary[];
  /** Where the next page begins; null: there is none. */
  cursor: string | null;
  loading: boolean;
  /** Whether the list was read at least once with this filter. */
  known: boolean;
  error: string | undefined;
}

export interface Filter {
  status: JobStatus | "";
  search: string;
}

const PAGE = 100;
const BUSY_MS = 1500;
const IDLE_MS = 8000;

const EMPTY: JobList = { jobs: [], cursor: null, loading: false, known: false, error: undefined };

export const jobList = new Store<JobList>(EMPTY);
export const filter = new Store<Filter>({ status: "", search: "" });
/** How fast running jobs are, by id. */
export const paces = new Store<ReadonlyMap<string, Pace>>(new Map());

export interface Pace {
  /** Seconds of audio in a second. */
  factor: number;
  secondsLeft: number;
}

interface Mark {
  at: number;
  progress: number;
}

const marks = new Map<string, Mark>();
let timer: number | undefined;
let reading: AbortController | undefined;

export function setFilter(change: Partial<Filter>): void {
  filter.update((before) => ({ ...before, ...change }));
  jobList.update((before) => ({ ...before, known: false, error: undefined }));
  refresh(true);
}

/** Read the list now, and then again and again. `anew`: what is on its way is of another filter. */
export function refresh(anew = false): void {
  if (reading && !anew) return;
  reading?.abort();
  window.clearTimeout(timer);
  const current = (reading = new AbortController());
  void read(current.signal)
    .catch((error: unknown) => {
      if (!current.signal.aborted) jobList.update((before) => ({ ...before, error: messageOf(error) }));
    })
    .finally(() => {
      if (reading !== current) return;
      reading = undefined;
      schedule();
    });
}

function schedule(): void {
  const busy = jobList.get().jobs.some((job) => !isTerminal(job));
  // A page that nobody sees, or that needs a key, need not know.
  if (document.hidden || keyWanted.get() !== "no") return;
  timer = window.setTimeout(() => refresh(), busy ? BUSY_MS : IDLE_MS);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
keyWanted.subscribe(() => {
  if (keyWanted.get() === "no") refresh(true);
});

function query() {
  const { status, search } = filter.get();
  return { limit: PAGE, status: status || undefined, search: search || undefined };
}

async function read(signal: AbortSignal): Promise<void> {
  const wanted = query();
  const [first, running] = await Promise.all([
    client.jobs({ ...wanted, signal }),
    // Old jobs may run while newer ones wait on pages that are not read again.
    wanted.status || wanted.search ? undefined : client.jobs({ limit: PAGE, status: "running", signal }),
  ]);
  if (signal.aborted) return;
  jobList.update((before) => ({
    ...merged(before, first, running?.jobs ?? []),
    loading: false,
    known: true,
    error: undefined,
  }));
  notePaces();
}

/** The first page is what it is now; of later pages, what was read, with the jobs that are known to run. */
function merged(
  before: JobList,
  first: JobPage,
  running: readonly JobSummary[],
): { jobs: readonly JobSummary[]; cursor: string | null } {
  const last = first.jobs.at(-1);
  if (!before.known || !last || first.next_cursor === null) return { jobs: first.jobs, cursor: first.next_cursor };
  const newer = new Map([...first.jobs, ...running].map((job) => [job.id, job]));
  const inFirst = new Set(first.jobs.map((job) => job.id));
  const older = before.jobs.filter((job) => !inFirst.has(job.id) && isOlder(job, last));
  return {
    jobs: [...first.jobs, ...older.map((job) => newer.get(job.id) ?? job)],
    cursor: older.length ? before.cursor : first.next_cursor,
  };
}

function isOlder(job: JobSummary, than: JobSummary): boolean {
  return job.created_at < than.created_at || (job.created_at === than.created_at && job.id < than.id);
}

export async function more(): Promise<void> {
  const { cursor, loading } = jobList.get();
  if (cursor === null || loading) return;
  jobList.update((before) => ({ ...before, loading: true }));
  try {
    const page = await client.jobs({ ...query(), cursor });
    jobList.update((before) => ({
      ...before,
      jobs: [...before.jobs, ...page.jobs.filter((job) => !before.jobs.some((known) => known.id === job.id))],
      cursor: page.next_cursor,
      loading: false,
    }));
  } catch (error) {
    jobList.update((before) => ({ ...before, loading: false, error: messageOf(error) }));
  }
}

function notePaces(): void {
  const now = performance.now() / 1000;
  const found = new Map<string, Pace>();
  for (const job of jobList.get().jobs) {
    if (job.status !== "running") {
      marks.delete(job.id);
      continue;
    }
    const pace = paceOf(job, now);
    if (pace) found.set(job.id, pace);
  }
  paces.set(found);
}

/** From the progress since the job was first seen running. */
function paceOf(job: JobSummary, now: number): Pace | undefined {
  const mark = marks.get(job.id);
  if (!mark || job.progress < mark.progress) {
    marks.set(job.id, { at: now, progress: job.progress });
    return undefined;
  }
  const [seconds, percent] = [now - mark.at, job.progress - mark.progress];
  if (seconds < 2 || percent <= 0 || !job.duration_secs) return undefined;
  return {
    factor: ((percent / 100) * job.duration_secs) / seconds,
    secondsLeft: ((100 - job.progress) * seconds) / percent,
  };
}

// What is done to a job shows at once.

function replace(job: JobSummary): void {
  jobList.update((before) => ({
    ...before,
    jobs: before.jobs.map((known) => (known.id === job.id ? { ...known, ...job } : known)),
  }));
}

export async function cancelJob(id: string): Promise<void> {
  replace(await client.cancel(id));
  refresh(true);
}

export async function retryJob(id: string): Promise<void> {
  replace(await client.retry(id));
  refresh(true);
}

export async function deleteJob(id: string): Promise<void> {
  await client.delete(id);
  jobList.update((before) => ({ ...before, jobs: before.jobs.filter((job) => job.id !== id) }));
}
