import { describe, expect, test } from "vitest";
import { errorOf } from "../src/errors.js";
import { formFields, multipart, uploadMetadata } from "../src/form.js";
import { ProgressMeter } from "../src/progress.js";
import { randomId } from "../src/random.js";
import { SseParser } from "../src/sse.js";
import { backoffMs, pause } from "../src/wait.js";
import { ScrivanoClient } from "../src/index.js";

const utf8 = (text: string) => new TextEncoder().encode(text);

describe("server-sent events", () => {
  const stream = 'id: 7\r\nevent: progress\r\ndata: {"a":\r\ndata: "ü"}\r\n\r\n: ping\n\ndata:x\rid: 8\r\r\nevent: none\n\n';
  const frames = [
    { id: "7", event: "progress", data: '{"a":\n"ü"}' },
    { id: "8", event: "message", data: "x" },
  ];

  test("are parsed as the standard says", () => {
    expect(new SseParser().push(utf8(stream))).toEqual(frames);
  });

  test("are the same however the bytes are divided", () => {
    const bytes = utf8(stream);
    for (let size = 1; size <= bytes.length; size += 1) {
      const parser = new SseParser();
      const found = [];
      for (let at = 0; at < bytes.length; at += size) found.push(...parser.push(bytes.subarray(at, at + size)));
      expect(found, `${size} bytes at a time`).toEqual(frames);
    }
  });

  test("keep the last id, and ignore fields that they do not know", () => {
    const parser = new SseParser();
    expect(parser.push(utf8("id: 1\ndata: a\n\nretry: 5\nother\ndata: b\n\n"))).toEqual([
      { id: "1", event: "message", data: "a" },
      { id: "1", event: "message", data: "b" },
    ]);
  });
});

describe("a form", () => {
  test("has the fields that are set, as the server names them", () => {
    const fields = formFields({ wordTimestamps: false, languages: ["de", "en"], beamSize: 1, metadata: { a: "ü" }, fields: { x: "y" } });

    expect(fields).toEqual({ word_timestamps: "false", languages: "de,en", beam_size: "1", metadata: '{"a":"ü"}', x: "y" });
    expect(formFields({ languages: [] })).toEqual({});
  });

  test("is read by a standard parser as it was meant", async () => {
    const file = new Blob(["bytes"], { type: "audio/flac" });
    const { body, contentType, headBytes } = multipart({ prompt: 'say "ü"\r\nagain' }, file, 'a "b".flac');
    const form = await new Response(body, { headers: { "Content-Type": contentType } }).formData();
    const audio = form.get("audio") as File;

    expect(form.get("prompt")).toBe('say "ü"\r\nagain');
    expect([await audio.text(), audio.type]).toEqual(["bytes", "audio/flac"]);
    expect(await body.slice(headBytes, headBytes + 5).text()).toBe("bytes");
  });

  test("is written in base64 for tus", () => {
    expect(uploadMetadata({ filename: "ü.mp3", language: "en" })).toBe("filename w7wubXAz,language ZW4=");
  });
});

describe("progress", () => {
  test("has the speed of the last seconds and the time left", () => {
    let now = 0;
    const meter = new ProgressMeter(1000, () => now);
    expect(meter.at(0)).toMatchObject({ fraction: 0, bytesPerSecond: 0, secondsLeft: undefined });
    now = 1000;
    expect(meter.at(100)).toMatchObject({ fraction: 0.1, bytesPerSecond: 100, secondsLeft: 9 });
    now = 20_000;
    expect(meter.at(200).bytesPerSecond).toBe(0);
    now = 21_000;
    expect(meter.at(700).bytesPerSecond).toBe(500);
  });

  test("may go back, and never passes the end", () => {
    let now = 0;
    const meter = new ProgressMeter(100, () => now);
    meter.at(80);
    now = 1000;
    expect(meter.at(40)).toMatchObject({ loaded: 40, bytesPerSecond: 0 });
    expect(meter.at(140).fraction).toBe(1);
    expect(new ProgressMeter(0).at(0).fraction).toBe(1);
  });
});

describe("waiting", () => {
  test("grows and stays below its limit", () => {
    const delays = [1, 2, 3, 4, 5, 6, 20].map((failures) => backoffMs(failures, () => 0.5));
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    expect(backoffMs(1, () => 0)).toBe(375);
  });

  test("ends with the signal", async () => {
    const controller = new AbortController();
    const paused = pause(60_000, controller.signal);
    controller.abort(new Error("enough"));
    await expect(paused).rejects.toThrow("enough");
    await expect(pause(60_000, controller.signal)).rejects.toThrow("enough");
  });
});

test("an id is a UUID of version 4", () => {
  const ids = Array.from({ length: 200 }, randomId);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(200);
});

test.each([
  ["http://host:8080", "http://host:8080"],
  ["http://host/speech//", "http://host/speech"],
  ["https://host/speech/?x=1#y", "https://host/speech"],
  [new URL("http://host/"), "http://host"],
  [undefined, "http://127.0.0.1:8080"],
])("the address %s is %s", (given, address) => {
  expect(new ScrivanoClient(given).baseUrl).toBe(address);
});

test.each([
  [400, "BadRequestError"],
  [401, "AuthenticationError"],
  [403, "NotAllowedError"],
  [404, "NotFoundError"],
  [409, "ConflictError"],
  [418, "HttpError"],
  [422, "BadRequestError"],
  [429, "LimitReachedError"],
  [500, "ServerError"],
  [507, "ServerError"],
])("the status %i is a %s", (status, name) => {
  const error = errorOf(status, '{"error": "what to do"}', "7");
  expect(error).toMatchObject({ status, name, message: "what to do", retryAfterSecs: 7, body: { error: "what to do" } });
  expect(String(error)).toBe(`${name}: what to do`);
});

test.each([
  ["<html>", null, "<html>", undefined],
  ["", "soon", "the server responded with 502", undefined],
])("a response of a proxy, %o, is an error, too", (text, retryAfter, message, retryAfterSecs) => {
  expect(errorOf(502, text, retryAfter)).toMatchObject({ message, retryAfterSecs });
});
