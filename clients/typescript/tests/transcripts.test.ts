import { beforeAll, describe, expect, inject, test } from "vitest";
import {
  BadRequestError,
  ConflictError,
  type JobEvent,
  NotFoundError,
  ScrivanoClient,
  textOf,
  withSpeakers,
} from "../src/index.js";
import { CLIP_WORDS, recording } from "./support/recordings.js";

const client = new ScrivanoClient(inject("url"));
let serial = 0;

beforeAll(async () => {
  await client.ensureModelReady();
});

async function done(options = {}) {
  const id = await client.submit(await recording(), { filename: `transcript-${++serial}.flac`, ...options });
  return client.waitForJob(id);
}

describe("a search", () => {
  test("finds jobs by the words of their transcripts, with the text around them", async () => {
    const job = await done();
    const found = await client.jobs({ search: CLIP_WORDS.toUpperCase(), limit: 200 });
    const named: string[] = [];
    for await (const one of client.allJobs({ search: `"${CLIP_WORDS}"`, limit: 1 })) named.push(one.id);

    expect(found.jobs.map(({ id }) => id)).toContain(job.id);
    expect(found.jobs[0]?.excerpt).toContain(CLIP_WORDS);
    expect(named).toContain(job.id);
    expect((await client.jobs({ search: "zebrafish" })).jobs).toEqual([]);
  });
});

describe("a segment", () => {
  test("is corrected in the job, in files and in searches, and restored", async () => {
    const job = await done();
    const [before] = job.segments;
    const corrected = await client.correctSegment(job.id, 0, "An armadillo arrives.");

    expect(corrected).toMatchObject({ index: 0, text: "An armadillo arrives.", original: { text: before?.text } });
    expect((await client.job(job.id)).segments[0]).toEqual(corrected);
    expect(await client.transcript(job.id, "srt")).toContain("An armadillo arrives.");
    expect((await client.jobs({ search: "armadillo" })).jobs.map(({ id }) => id)).toContain(job.id);
    expect(await client.restoreSegment(job.id, 0)).toEqual(before);
    await expect(client.correctSegment(job.id, 999, "Nothing")).rejects.toThrow(NotFoundError);
  });
});

describe("speakers", () => {
  test("are named, named as at first, and merged", async () => {
    const job = await done({ speakers: true, numSpeakers: 2 });
    expect(job.speakers?.map(({ id }) => id)).toEqual(["S1", "S2"]);

    const named = await client.renameSpeakers(job.id, { S1: "Narrator" });
    expect(named.speakers?.map(({ name }) => name)).toEqual(["Narrator", "Speaker 2"]);
    expect(await client.transcript(job.id, "vtt")).toContain("<v Narrator>");
    expect((await client.renameSpeakers(job.id, { S1: null })).speakers).toEqual(job.speakers);

    const merged = await client.mergeSpeakers(job.id, { S2: "S1" });
    expect(merged.speakers?.map(({ id }) => id)).toEqual(["S1"]);
    expect(new Set(merged.segments.map(({ speaker }) => speaker))).toEqual(new Set(["S1"]));
    await expect(client.renameSpeakers(job.id, { S9: "Nobody" })).rejects.toThrow(BadRequestError);
  });

  test("are known while the job runs", async () => {
    const id = await client.submit(await recording(), { filename: "live.flac", speakers: true });
    await client.waitForJob(id);
    const events: JobEvent[] = [];
    for await (const event of client.streamProgress(id, { lastEventId: "0" })) events.push(event);

    const told = events.filter((event) => event.type === "segment");
    const guess = events.filter((event) => event.type === "speakers").at(-1);
    expect(guess === undefined || withSpeakers(told, guess.segments).length === told.length).toBe(true);
  });

  test("are given to segments as far as they are known", async () => {
    const { segments } = await done();
    const [first] = segments;

    expect(withSpeakers(segments, ["S2"])[0]).toEqual({ ...first, speaker: "S2" });
    expect(withSpeakers(segments, [])).toEqual(segments);
  });

  test("have voices that can be enrolled and deleted", async () => {
    const voice = await client.enrolVoice("Ada", await recording());
    expect(voice.name).toBe("Ada");
    expect((await client.voices()).map(({ id }) => id)).toContain(voice.id);
    expect((await done({ voices: true })).speakers?.map(({ name }) => name)).toContain("Ada");

    await client.deleteVoice(voice.id);
    expect((await client.voices()).map(({ id }) => id)).not.toContain(voice.id);
    await expect(client.deleteVoice(voice.id)).rejects.toThrow(NotFoundError);
  });

  test("that nobody asked for cannot be named", async () => {
    const job = await done();

    await expect(client.renameSpeakers(job.id, { S1: "Narrator" })).rejects.toThrow(ConflictError);
  });
});

describe("versions", () => {
  test("are made by a retry with changes, listed, read, and compared", async () => {
    const first = await done();
    const made = await client.retry(first.id, { task: "translate", beamSize: 1 });
    expect(made).toMatchObject({ version: 2, version_of: first.id, task: "translate" });
    await client.waitForJob(made.id);

    const list = await client.versions(first.id);
    expect(list).toMatchObject({ job_id: first.id, current: 2 });
    expect(list.versions.map(({ number, status, current }) => [number, status, current])).toEqual([
      [1, "done", false],
      [2, "done", true],
    ]);
    expect(list.versions[1]?.options).toMatchObject({ beam_size: 1 });
    expect((await client.version(first.id, 1)).segments).toEqual(first.segments);
    expect(textOf(await client.version(first.id, 2, { waitSecs: 1 }))).toBe(textOf(await client.job(first.id)));
    expect(await client.transcript(list.versions[0]?.id ?? "")).toContain(CLIP_WORDS);

    const compared = await client.compareVersions(first.id, 1, 2);
    expect(compared).toMatchObject({ job_id: first.id, unit: "word", a: { number: 1 }, b: { number: 2 } });
    expect(compared.equal + compared.substituted + compared.deleted).toBe(compared.length_a);
    const same = await client.compareVersions(first.id, 1, 1);
    expect([same.difference, same.spans.map(({ kind }) => kind)]).toEqual([0, ["equal"]]);
    expect((await client.compareVersions(first.id, 1, 1, { equal: false })).spans).toEqual([]);
  });

  test("need a change, and a transcript to compare with", async () => {
    const job = await done();

    await expect(client.retry(job.id)).rejects.toThrow(ConflictError);
    await expect(client.compareVersions(job.id, 1, 2)).rejects.toThrow(NotFoundError);
  });
});

describe("a recording", () => {
  test("is drawn, and is kept if that was asked for", async () => {
    const kept = await done({ keepAudio: true });
    const dropped = await done({ keepAudio: false });
    const { peaks, peak_secs } = await client.waveform(kept.id, { points: 50 });

    expect(peaks.length).toBeLessThanOrEqual(50);
    expect(peaks.length * peak_secs).toBeCloseTo(kept.duration_secs ?? 0, 0);
    expect(Math.max(...peaks)).toBeGreaterThan(0);
    expect(await client.hasAudio(kept.id)).toBe(true);
    await expect.poll(() => client.hasAudio(dropped.id), { timeout: 240_000 }).toBe(false);
    await expect(client.hasAudio("not/a job")).resolves.toBe(false);
  });
});

test("the last hour is told in samples", async () => {
  const { interval_secs, samples } = await client.history();

  expect(interval_secs).toBeGreaterThan(0);
  for (const sample of samples) expect(Date.parse(sample.at)).not.toBeNaN();
});

test("an upload that nobody continues is deleted", async () => {
  const controller = new AbortController();
  let url = "";
  const submitted = client.submit(await recording(), {
    resumable: true,
    signal: controller.signal,
    onUploadUrl: (uploadUrl) => {
      url = uploadUrl;
      controller.abort();
    },
  });
  await expect(submitted).rejects.toMatchObject({ name: "AbortError" });
  expect(await client.uploadStatus(url)).toMatchObject({ size_bytes: (await recording()).size, job_id: null });
  await client.discardUpload(url);

  await expect(client.uploadStatus(url)).rejects.toThrow(NotFoundError);
  await client.discardUpload(url);
});
