import { openAsBlob } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { ScrivanoClient, textOf } from "../src/index.js";

const client = new ScrivanoClient(inject("url"));
const recording = (name: string) => openAsBlob(join(inject("recordings"), name));

test("a recording becomes its words, over a cold start", async () => {
  const states: string[] = [];
  await client.ensureModelReady({ onStatus: ({ state }) => states.push(state) });
  const types: string[] = [];
  const job = await client.transcribe(await recording("en-exact-0.flac"), { onEvent: ({ type }) => types.push(type) });

  expect(states.at(-1)).toBe("ready");
  expect(job.status).toBe("done");
  expect(textOf(job).toLowerCase()).toContain("next week");
  expect(types.at(-1)).toBe("done");
});
