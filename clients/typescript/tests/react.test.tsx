import "./support/dom.js";
import { cleanup, render, renderHook, screen, waitFor } from "@testing-library/react";
import { act, StrictMode } from "react";
import { afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type ModelEvent, NotFoundError, ScrivanoClient, textOf } from "../src/index.js";
import { useJobStream, useModelEvents, useModelStatus, useTranscribe } from "../src/react/index.js";
import { NOTHING_KNOWN, withEvent } from "../src/react/job-view.js";
import { FlakyNetwork } from "./support/flaky.js";
import { CLIP_WORDS, long, recording } from "./support/recordings.js";

const client = new ScrivanoClient(inject("url"));
const strict = { wrapper: StrictMode };
const patient = { timeout: 240_000 };

beforeAll(async () => {
  await client.ensureModelReady();
});

afterEach(cleanup);

describe("useJobStream", () => {
  test("shows a job while it runs, and to its end", async () => {
    const id = await client.submit(await recording());
    const { result } = renderHook(() => useJobStream(client, id), strict);
    expect(result.current).toMatchObject({ status: undefined, progress: 0, segments: [], connected: false });
    await waitFor(() => expect(result.current.status).toBe("done"), patient);

    expect(textOf(result.current)).toContain(CLIP_WORDS);
    expect(result.current).toMatchObject({ progress: 100, language: "en", error: undefined });
    await waitFor(() => expect(result.current.connected).toBe(false), patient);
  });

  test("shows why a job failed", async () => {
    const id = await client.submit(new Blob(["no recording"]));
    const { result } = renderHook(() => useJobStream(client, id), strict);
    await waitFor(() => expect(result.current.job?.status).toBe("failed"), patient);

    expect(result.current.failure).toBe(result.current.job?.error);
  });

  test("follows another job when the id changes, and none without an id", async () => {
    const [first, second] = [await client.submit(await recording()), await client.submit(new Blob(["none"]))];
    type Props = { id: string | null };
    const { result, rerender } = renderHook(({ id }: Props) => useJobStream(client, id), {
      ...strict,
      initialProps: { id: first } as Props,
    });
    await waitFor(() => expect(result.current.job?.id).toBe(first), patient);
    rerender({ id: second });
    expect(result.current.job).toBeUndefined();
    await waitFor(() => expect(result.current.job?.id).toBe(second), patient);
    rerender({ id: null });

    expect(result.current).toMatchObject(NOTHING_KNOWN);
  });

  test("says that a job does not exist", async () => {
    const { result } = renderHook(() => useJobStream(client, "nothing"), strict);
    await waitFor(() => expect(result.current.error).toBeInstanceOf(NotFoundError), patient);
  });

  test("survives an interruption and loses no segment", async () => {
    const network = await FlakyNetwork.before(inject("url"));
    const id = await client.submit(await long(240));
    const flaky = new ScrivanoClient(network.url);
    const { result } = renderHook(() => useJobStream(flaky, id), strict);
    const connected: boolean[] = [];
    await waitFor(() => expect(result.current.connected).toBe(true), patient);
    act(() => network.cut());
    await waitFor(() => {
      connected.push(result.current.connected);
      expect(result.current.status).toBe("done");
    }, patient);
    await network.close();

    expect(network.opened).toBeGreaterThan(1);
    expect(connected).toContain(false);
    expect(result.current.segments).toEqual((await client.job(id)).segments);
  });

  test("closes its connection when the component is removed", async () => {
    const network = await FlakyNetwork.before(inject("url"));
    const id = await client.submit(await long(600));
    const flaky = new ScrivanoClient(network.url);
    const { result, unmount } = renderHook(() => useJobStream(flaky, id));
    await waitFor(() => expect(result.current.connected).toBe(true), patient);
    expect(network.closed).toBe(0);
    unmount();
    await waitFor(() => expect(network.closed).toBe(1), patient);

    // The stream would also have been closed at the end of the job.
    expect((await client.job(id)).completed_at).toBeNull();
    await client.cancel(id);
    await network.close();

    expect(result.current.error).toBeUndefined();
  });
});

describe("the model's hooks", () => {
  const { url, admin } = inject("keyed");
  const keyed = new ScrivanoClient(url, { apiKey: admin });

  test("follow a load and an unload", async () => {
    await keyed.unloadModel();
    await expect.poll(async () => (await keyed.modelStatus()).state, patient).toBe("unloaded");
    const events: ModelEvent[] = [];
    const { result } = renderHook(
      () => ({ status: useModelStatus(keyed), events: useModelEvents(keyed, (event) => events.push(event)) }),
      strict,
    );
    await waitFor(() => expect(result.current.status.connected && result.current.events.connected).toBe(true), patient);
    await act(() => result.current.status.load());
    await waitFor(() => expect(result.current.status.ready).toBe(true), patient);
    expect(result.current.status.status?.loaded_at).toBeTruthy();
    await act(() => result.current.status.unload());
    await waitFor(() => expect(result.current.status.state).toBe("unloaded"), patient);

    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(["model_ready", "model_unloaded"]));
    expect(result.current.status.error).toBeUndefined();
  });

  test("are right again after an interruption in which the model changed", async () => {
    const network = await FlakyNetwork.before(url);
    const flaky = new ScrivanoClient(network.url, { apiKey: admin });
    const { result } = renderHook(() => useModelStatus(flaky), strict);
    await waitFor(() => expect(result.current.connected).toBe(true), patient);
    act(() => network.cut());
    await act(async () => void (await keyed.ensureModelReady()));
    await waitFor(() => expect(result.current.ready).toBe(true), patient);
    await network.close();
  });

  test("say that the server cannot be reached", async () => {
    const nowhere = new ScrivanoClient("http://127.0.0.1:1");
    const { result } = renderHook(() => useModelStatus(nowhere));
    await waitFor(() => expect(result.current.error).toBeTruthy(), patient);
    expect(result.current.ready).toBe(false);
  });

  test("are not called when they are not enabled", () => {
    const { result } = renderHook(() => useModelEvents(keyed, () => undefined, { enabled: false }));
    expect(result.current).toEqual({ connected: false, error: undefined });
  });
});

describe("useTranscribe", () => {
  test("goes from a file to its words", async () => {
    const phases: string[] = [];
    const { result } = renderHook(() => {
      const transcription = useTranscribe(client);
      phases.push(transcription.phase);
      return transcription;
    }, strict);
    const file = await recording();
    let ended: Promise<unknown> = Promise.resolve();
    act(() => void (ended = result.current.start(file, { filename: "hook.flac" })));
    await waitFor(() => expect(result.current.phase).toBe("done"), patient);

    expect(await ended).toBe(result.current.job);
    expect(textOf(result.current)).toContain(CLIP_WORDS);
    expect(result.current).toMatchObject({ phase: "done", busy: false, progress: 100, upload: { fraction: 1 } });
    expect(result.current.job?.filename).toBe("hook.flac");
    expect([...new Set(phases)]).toEqual(expect.arrayContaining(["idle", "uploading", "transcribing", "done"]));
    act(() => result.current.reset());
    expect(result.current).toMatchObject({ phase: "idle", segments: [], jobId: undefined });
  });

  test("cancels the job on the server", async () => {
    const { result } = renderHook(() => useTranscribe(client), strict);
    const file = await long(600);
    let ended: Promise<unknown> = Promise.resolve();
    act(() => void (ended = result.current.start(file)));
    await waitFor(() => expect(result.current.jobId).toBeTruthy(), patient);
    await act(async () => {
      await result.current.cancel();
      await ended;
    });

    expect(result.current).toMatchObject({ phase: "cancelled", status: "cancelled", busy: false });
    expect((await client.job(result.current.jobId!)).status).toBe("cancelled");
  });

  test("cancels an upload", async () => {
    const never = new ScrivanoClient(inject("url"), {
      fetch: (_, init) => new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted")))),
    });
    const { result } = renderHook(() => useTranscribe(never), strict);
    const file = await recording();
    act(() => void result.current.start(file));
    expect(result.current).toMatchObject({ phase: "uploading", busy: true });
    await act(() => result.current.cancel());

    expect(result.current).toMatchObject({ phase: "cancelled", error: undefined, busy: false });
  });

  test("says why there is no transcript", async () => {
    const { result } = renderHook(() => useTranscribe(client), strict);
    await act(() => result.current.start(new Blob(["no recording"])));
    expect(result.current).toMatchObject({ phase: "failed", error: undefined });
    expect(result.current.failure).toContain("recording");
    await act(() => result.current.start(new Blob([])));
    expect(result.current.error).toMatchObject({ message: "the recording is empty" });
  });

  test("leaves a job to the server when the component is removed", async () => {
    const { result, unmount } = renderHook(() => useTranscribe(client));
    const file = await recording();
    act(() => void result.current.start(file));
    await waitFor(() => expect(result.current.jobId).toBeTruthy(), patient);
    unmount();

    expect((await client.waitForJob(result.current.jobId!)).status).toBe("done");
  });
});

test("a component shows text while it is made", async () => {
  const id = await client.submit(await recording());
  function View() {
    const { segments } = useJobStream(client, id);
    return <main>{segments.map(({ index, text }) => <p key={index}>{text}</p>)}</main>;
  }
  render(<View />, strict);

  expect(await screen.findByText(new RegExp(CLIP_WORDS), {}, patient)).toBeTruthy();
});

test("a job that waits for its model says so until the model is ready", () => {
  const waiting = { type: "waiting_for" as const, model: "nano", state: "loading" as const };
  const view = withEvent(NOTHING_KNOWN, waiting);

  expect(view).toMatchObject({ status: "queued", waitingFor: { model: "nano", state: "loading" } });
  expect(withEvent(view, { ...waiting, state: "ready" }).waitingFor).toBeUndefined();
});

test("a job that is tried again forgets its text, and a replayed segment is not shown twice", () => {
  const segment = (index: number) => ({ type: "segment" as const, index, start: index, end: index + 1, text: `${index}`, words: [] });
  const view = [segment(0), segment(1), segment(0)].reduce(withEvent, NOTHING_KNOWN);

  expect(view.segments.map(({ index }) => index)).toEqual([0, 1]);
  expect(withEvent(view, { type: "retry" })).toEqual({ ...NOTHING_KNOWN, status: "queued" });
});
