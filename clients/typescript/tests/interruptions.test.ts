import { afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { ModelNotReadyError, ScrivanoClient, textOf } from "../src/index.js";
import { FlakyNetwork } from "./support/flaky.js";
import { CLIP_WORDS, long, recording } from "./support/recordings.js";
import { Server, temporaryFolder } from "./support/server.js";

const direct = new ScrivanoClient(inject("url"));
let network: FlakyNetwork;
let client: ScrivanoClient;

beforeAll(async () => {
  await direct.ensureModelReady();
});

beforeEach(async () => {
  network = await FlakyNetwork.before(inject("url"));
  client = new ScrivanoClient(network.url);
});

afterEach(() => network.close());

describe("a broken connection", () => {
  test("loses no event of a job", async () => {
    const id = await client.submit(await long(240));
    const expected: string[] = [];
    const seen: string[] = [];
    let connections = 0;
    const stream = client.streamProgress(id, {
      lastEventId: "0",
      onConnect: () => {
        connections += 1;
        if (connections < 3) setTimeout(() => network.cut(), 100);
      },
    });
    for await (const event of stream) seen.push(event.id ?? "");
    for await (const event of direct.streamProgress(id, { lastEventId: "0" })) expected.push(event.id ?? "");

    expect(connections).toBeGreaterThan(1);
    expect(seen).toEqual(expected);
  });

  test("makes no second job of one submission", async () => {
    network.dropResponses = true;
    const submitted = client.submit(await recording(), { filename: "once.flac" });
    while (network.opened < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    network.dropResponses = false;
    const id = await submitted;
    const named: string[] = [];
    for await (const job of direct.allJobs()) if (job.filename === "once.flac") named.push(job.id);

    expect(named).toEqual([id]);
  });

  test("continues a resumable upload with the bytes that are missing", async () => {
    const file = await long(60);
    network.cutAfterSent = 700_000;
    const loaded: number[] = [];
    const id = await client.submit(file, {
      resumable: true,
      partBytes: 1_000_000,
      retries: 20,
      filename: "ünïcode.wav",
      onUploadProgress: (progress) => {
        loaded.push(progress.loaded);
        if (progress.loaded > 1_200_000) network.cutAfterSent = Infinity;
      },
    });

    expect(network.opened).toBeGreaterThan(2);
    expect(loaded.at(-1)).toBe(file.size);
    expect((await direct.job(id)).filename).toBe("ünïcode.wav");
    expect((await direct.audio(id)).size).toBe(file.size);
    await direct.cancel(id).catch(() => undefined);
  });
});

describe("a resumable upload", () => {
  test("is continued by another call with its URL", async () => {
    const file = await recording();
    const controller = new AbortController();
    let uploadUrl = "";
    const first = direct.submit(file, {
      resumable: true,
      partBytes: 20_000,
      signal: controller.signal,
      onUploadUrl: (url) => (uploadUrl = url),
      onUploadProgress: ({ loaded }) => {
        if (loaded >= 20_000) controller.abort();
      },
    });
    await expect(first).rejects.toMatchObject({ name: "AbortError" });
    const id = await direct.submit(file, { uploadUrl });
    const again = await direct.submit(file, { uploadUrl });

    expect(again).toBe(id);
    expect(textOf(await direct.waitForJob(id))).toContain(CLIP_WORDS);
  });

  test("that has expired is begun again", async () => {
    const uploadUrl = `${direct.baseUrl}/uploads/00000000-0000-4000-8000-000000000000`;
    const id = await direct.submit(await recording(), { uploadUrl });

    expect((await direct.waitForJob(id)).status).toBe("done");
  });

  test("of another file is refused", async () => {
    let uploadUrl = "";
    await direct.submit(await recording(), { resumable: true, onUploadUrl: (url) => (uploadUrl = url) });

    await expect(direct.submit(await long(1), { uploadUrl })).rejects.toThrow("the upload is of another file");
  });

  test("is deleted when it is aborted and nobody has its URL", async () => {
    const controller = new AbortController();
    const methods: string[] = [];
    const watched = new ScrivanoClient(direct.baseUrl, {
      fetch: async (input, init) => {
        methods.push(init?.method ?? "GET");
        const response = await fetch(input, init);
        if (init?.method === "PATCH") controller.abort();
        return response;
      },
    });
    const submitted = watched.submit(await recording(), { resumable: true, partBytes: 20_000, signal: controller.signal });

    await expect(submitted).rejects.toMatchObject({ name: "AbortError" });
    while (!methods.includes("DELETE")) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe("a server that starts again", () => {
  test("goes on with its jobs, and the client with them; while the model is not ready, submissions wait", async () => {
    const folder = temporaryFolder();
    // It is bound again: below the ports that systems give away, so that nobody else has it meanwhile.
    const port = String(20_000 + Math.floor(Math.random() * 12_000));
    let server = await Server.start({ DATA_DIR: folder.path, PORT: port, GPU_POLL_INTERVAL_SECS: "1" });
    try {
      const restarted = new ScrivanoClient(server.url);
      const refused = await restarted.submit(await recording(), { modelTimeoutMs: 0 }).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(ModelNotReadyError);
      expect(refused).toMatchObject({ state: "unloaded", retryAfterSecs: 30 });

      const waits: number[] = [];
      const id = await restarted.submit(await long(300), {
        onModelNotReady: ({ retryAfterSecs }) => waits.push(retryAfterSecs),
      });
      expect(waits.every((secs) => [10, 30].includes(secs))).toBe(true);

      const followed = restarted.waitForJob(id);
      await server.stop("SIGKILL");
      server = await Server.start({ DATA_DIR: folder.path, PORT: port, ADMISSION: "queue" });
      await restarted.loadModel();

      expect((await followed).status).toBe("done");
    } finally {
      await server.stop();
      folder.remove();
    }
  }, 600_000);
});
