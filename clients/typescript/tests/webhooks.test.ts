import { createHmac, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { describe, expect, test } from "vitest";
import {
  isJobPayload,
  isModelPayload,
  isTestPayload,
  ScrivanoClient,
  verifyWebhook,
  type WebhookPayload,
  WebhookVerificationError,
} from "../src/index.js";
import { recording } from "./support/recordings.js";
import { Server, temporaryFolder } from "./support/server.js";

const SECRET = `whsec_${randomBytes(32).toString("base64")}`;
const NOW = 1_769_860_800;
const BODY = '{"type": "model_unloaded"}';

function signed(body = BODY, secret = SECRET, timestamp = NOW) {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const digest = createHmac("sha256", key).update(`msg_1.${timestamp}.${body}`).digest("base64");
  return { "webhook-id": "msg_1", "webhook-timestamp": String(timestamp), "webhook-signature": `v1,${digest}` };
}

const now = () => NOW * 1000;

describe("a signature", () => {
  test.each([
    ["text", BODY, signed()],
    ["bytes", new TextEncoder().encode(BODY), new Headers(signed())],
    ["a buffer of Node", Buffer.from(BODY), signed()],
  ])("of %s is verified", async (_, body, headers) => {
    expect(await verifyWebhook(body, headers, SECRET, { now })).toEqual({ type: "model_unloaded" });
  });

  test("may be by either of two secrets, and one of several", async () => {
    const other = `whsec_${randomBytes(32).toString("base64")}`;
    const both = { ...signed(), "webhook-signature": `v1a,x ${signed(BODY, other)["webhook-signature"]} ${signed()["webhook-signature"]}` };

    await verifyWebhook(BODY, signed(), [other, SECRET], { now });
    await verifyWebhook(BODY, signed(), `${other},${SECRET}`, { now });
    await verifyWebhook(BODY, both, SECRET.replace("whsec_", ""), { now });
  });

  test.each([
    ["another body", '{"type": "model_unloaded" }', signed(), SECRET],
    ["another secret", BODY, signed(BODY, `whsec_${randomBytes(32).toString("base64")}`), SECRET],
    ["another id", BODY, { ...signed(), "webhook-id": "msg_2" }, SECRET],
    ["an old time stamp", BODY, signed(BODY, SECRET, NOW - 301), SECRET],
    ["a future time stamp", BODY, signed(BODY, SECRET, NOW + 301), SECRET],
    ["no time stamp", BODY, { ...signed(), "webhook-timestamp": "now" }, SECRET],
    ["a signature of another version", BODY, { ...signed(), "webhook-signature": signed()["webhook-signature"].replace("v1", "v2") }, SECRET],
    ["a signature that is no base64", BODY, { ...signed(), "webhook-signature": "v1,*" }, SECRET],
    ["no signature", BODY, { ...signed(), "webhook-signature": "" }, SECRET],
    ["no headers", BODY, {}, SECRET],
    ["no secret", BODY, signed(), ""],
    ["no JSON", "x", signed("x"), SECRET],
  ])("is refused with %s", async (_, body, headers, secret) => {
    await expect(verifyWebhook(body, headers, secret, { now })).rejects.toThrow(WebhookVerificationError);
  });
});

test("payloads are told apart", () => {
  const job = { id: "1", status: "done", segments: [] };
  const ready = { type: "model_ready", loaded_at: "2026-01-31T12:00:00.000Z" };

  expect([job, ready, { type: "test" }, null, "x", { type: "other" }].map(isJobPayload)).toEqual([true, false, false, false, false, false]);
  expect([job, ready, { type: "model_unloaded" }, null, { type: "other" }].map(isModelPayload)).toEqual([false, true, true, false, false]);
  expect([job, ready, { type: "test", sent_at: "" }].map(isTestPayload)).toEqual([false, false, true]);
});

test("the server's own calls are verified", async () => {
  const folder = temporaryFolder();
  const received: { body: Buffer; headers: Record<string, string | string[] | undefined> }[] = [];
  const receiver = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    received.push({ body: Buffer.concat(parts), headers: request.headers });
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const { port } = receiver.address() as { port: number };
  const server = await Server.start({ DATA_DIR: folder.path, WEBHOOK_SECRET: SECRET });
  try {
    const client = new ScrivanoClient(server.url);
    const id = await client.submit(await recording(), { webhookUrl: `http://127.0.0.1:${port}/hook`, queue: true });
    const payloads: WebhookPayload[] = [];
    while (!payloads.some(isJobPayload)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      for (const { body, headers } of received.splice(0)) payloads.push(await verifyWebhook(body, headers, SECRET));
    }

    expect(payloads.filter(isModelPayload).map(({ type }) => type)).toEqual(["model_ready"]);
    expect(payloads.find(isJobPayload)).toEqual(await client.job(id));
  } finally {
    await server.stop();
    receiver.close();
    folder.remove();
  }
});
