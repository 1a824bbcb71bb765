import { beforeAll, describe, expect, inject, test } from "vitest";
import {
  AuthenticationError,
  BadRequestError,
  ConflictError,
  ConnectionError,
  isTerminal,
  type JobEvent,
  JobCancelledError,
  JobFailedError,
  type ModelEvent,
  NotAllowedError,
  NotFoundError,
  ScrivanoClient,
  textOf,
  type UploadProgress,
} from "../src/index.js";
import { CLIP_WORDS, long, recording } from "./support/recordings.js";

const client = new ScrivanoClient(inject("url"));

beforeAll(async () => {
  await client.ensureModelReady();
});

describe("a recording", () => {
  test("becomes its words, with progress of the upload and all events", async () => {
    const events: JobEvent[] = [];
    const uploads: UploadProgress[] = [];
    const ids: string[] = [];
    const job = await client.transcribe(await recording(), {
      filename: "talk.flac",
      language: "en",
      metadata: { customer: "42" },
      onSubmitted: (id) => ids.push(id),
      onEvent: (event) => events.push(event),
      onUploadProgress: (progress) => uploads.push(progress),
    });

    expect(job).toMatchObject({ status: "done", filename: "talk.flac", language: "en", metadata: { customer: "42" } });
    expect(job.id).toBe(ids[0]);
    expect(textOf(job)).toContain(CLIP_WORDS);
    expect(events.at(-1)?.type).toBe("done");
    expect(uploads.at(-1)?.fraction).toBe(1);
    expect(uploads.every(({ loaded, total }) => loaded <= total)).toBe(true);
  });

  test.each([
    ["bytes", async () => new Uint8Array(await (await recording()).arrayBuffer())],
    ["a buffer", async () => (await recording()).arrayBuffer()],
    ["a file", async () => new File([await recording()], 'quo"tes and ünïcode.flac')],
  ])("may be %s", async (_, make) => {
    const given = await make();
    const job = await client.transcribe(given);

    expect(textOf(job)).toContain(CLIP_WORDS);
    expect(job.filename).toBe(given instanceof File ? given.name : "audio");
  });

  test("that is none fails with the server's reason", async () => {
    const failure = await client.transcribe(new Blob(["no recording"])).catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(JobFailedError);
    expect((failure as JobFailedError).job).toMatchObject({ status: "failed", error_code: "not_media" });
    expect((failure as JobFailedError).message).toBe((failure as JobFailedError).job.error);
  });

  test("of a wrong task is refused with the server's message", async () => {
    const wrong = { fields: { task: "sing" } };

    await expect(client.submit(await recording(), wrong)).rejects.toThrow(BadRequestError);
    await expect(client.submit(await recording(), wrong)).rejects.toThrow("task must be 'transcribe' or 'translate'");
  });

  test("is fetched by the server from a URL", async () => {
    const id = await client.submit(await recording());
    await client.waitForJob(id);
    const again = await client.transcribe(new URL(`${client.baseUrl}/jobs/${id}/audio`));

    expect(textOf(again)).toContain(CLIP_WORDS);
  });
});

describe("a job", () => {
  test("is listed, read, written to files, and deleted", async () => {
    const id = await client.submit(await recording(), { filename: "list.flac" });
    const done = await client.waitForJob(id);
    const page = await client.jobs({ status: "done", limit: 1 });
    const all: string[] = [];
    for await (const job of client.allJobs({ limit: 1 })) all.push(job.id);

    expect(page.jobs).toHaveLength(1);
    expect(all).toContain(id);
    expect(await client.job(id)).toEqual(done);
    expect(await client.transcript(id)).toContain(CLIP_WORDS);
    expect(await client.transcript(id, "vtt", { profile: "netflix", maxLines: 1 })).toMatch(/^WEBVTT\n/);
    expect(await client.checkSubtitles(id, "srt", { profile: "bbc" })).toMatchObject({ profile: "bbc", breaches: [] });
    expect((await client.audio(id)).size).toBe((await recording()).size);
    expect((await client.delete(id)).id).toBe(id);
    await expect(client.job(id)).rejects.toThrow(NotFoundError);
  });

  test("that is cancelled ends its stream, and can be retried", async () => {
    const id = await client.submit(await long(600));
    const ended = client.waitForJob(id);
    await client.cancel(id);

    expect((await ended).status).toBe("cancelled");
    await expect(client.cancel(id)).rejects.toThrow(ConflictError);
    expect(isTerminal(await client.retry(id))).toBe(false);
    await client.cancel(id);
  });

  test("is cancelled by the abort of its transcription", async () => {
    const controller = new AbortController();
    let id = "";
    const transcribed = client.transcribe(await long(600), {
      signal: controller.signal,
      onSubmitted: (jobId) => {
        id = jobId;
        controller.abort();
      },
    });

    await expect(transcribed).rejects.toMatchObject({ name: "AbortError" });
    expect((await client.job(id)).status).toBe("cancelled");
  });

  test("that somebody else cancels is not a transcript", async () => {
    const transcribed = client.transcribe(await long(600), { onSubmitted: (id) => void client.cancel(id) });

    await expect(transcribed).rejects.toThrow(JobCancelledError);
  });

  test("is not submitted by an aborted call", async () => {
    const reason = new Error("the user left");
    await expect(client.submit(await recording(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test("replays its events", async () => {
    const id = await client.submit(await recording());
    await client.waitForJob(id);
    const types: string[] = [];
    for await (const event of client.streamProgress(id, { lastEventId: "0" })) types.push(event.type);

    expect(types).toEqual(expect.arrayContaining(["language", "segment", "progress"]));
    expect(types.at(-1)).toBe("done");
  });

  test("that does not exist cannot be followed", async () => {
    await expect(client.streamProgress("nothing").next()).rejects.toThrow(NotFoundError);
  });
});

describe("a server with keys", () => {
  const { url, admin, user } = inject("keyed");
  const withKey = (apiKey: string) => new ScrivanoClient(url, { apiKey });

  test("takes them from a function, at each request", async () => {
    let key = "scv_wrong";
    const changing = new ScrivanoClient(url, { apiKey: () => Promise.resolve(key) });
    await expect(changing.jobs()).rejects.toThrow(AuthenticationError);
    key = user;

    expect((await changing.jobs()).jobs).toEqual([]);
  });

  test("lets an admin load the model, tells what happens, and refuses others", async () => {
    await expect(withKey(user).loadModel()).rejects.toThrow(NotAllowedError);
    await withKey(admin).unloadModel();
    await expect.poll(async () => (await withKey(user).modelStatus()).state, { timeout: 240_000 }).toBe("unloaded");
    const events: ModelEvent[] = [];
    const controller = new AbortController();
    const following = (async () => {
      for await (const event of withKey(user).modelEvents({ signal: controller.signal, onConnect: () => connected() })) {
        events.push(event);
        if (event.type === "model_unloaded") return;
      }
    })();
    let connected = () => {};
    await new Promise<void>((resolve) => (connected = resolve));
    const states: string[] = [];
    await withKey(admin).ensureModelReady({ onStatus: ({ state }) => states.push(state) });
    await withKey(admin).unloadModel();
    await following;
    controller.abort();

    expect(states[0]).toBe("unloaded");
    expect(states.at(-1)).toBe("ready");
    expect(events.map(({ type }) => type)).toEqual(["model_loading", "model_ready", "model_unloaded"]);
  });

  test("gives a URL that needs no header for the events and the recording of one job", async () => {
    const id = await withKey(user).submit(await recording(), { queue: true });
    const events = await fetch(await withKey(user).eventSourceUrl(id));
    const audio = await fetch(await withKey(user).audioUrl(id), { headers: { Range: "bytes=0-3" } });
    const wrong = new URL(await withKey(user).audioUrl(id));
    wrong.pathname = "/model/events";

    expect(await events.text()).toContain("event: done");
    expect([audio.status, await audio.text()]).toEqual([206, "fLaC"]);
    expect((await fetch(wrong)).status).toBe(401);
    const model = await fetch(await withKey(user).eventSourceUrl());
    expect(model.status).toBe(200);
    await model.body?.cancel();
  });
});

test("a server that is not there is a connection error", async () => {
  const nowhere = new ScrivanoClient("http://127.0.0.1:1", { timeoutMs: 5000 });

  await expect(nowhere.health()).rejects.toThrow(ConnectionError);
  await expect(nowhere.submit(await recording(), { retries: 0 })).rejects.toThrow(ConnectionError);
});
