/** Starts the servers that the tests call: one without keys, one with keys. `PYTHON` is the Python that has Scrivano. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    url: string;
    keyed: { url: string; admin: string; user: string };
    recordings: string;
  }
}

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const PYTHON = process.env["PYTHON"] ?? "python3";
const ENV = { ...process.env, PYTHONPATH: join(ROOT, "src"), CI: "true" };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = temporaryFolder();
  const keysFile = join(folder.path, "keys.json");
  const [admin, user] = [newKey(keysFile, "admin", "admin"), newKey(keysFile, "user", "submit,read")];
  const servers = await Promise.all([
    Server.start({ DATA_DIR: join(folder.path, "open"), KEEP_AUDIO: "true", VOICES: "true" }),
    Server.start({ DATA_DIR: join(folder.path, "keyed"), KEEP_AUDIO: "true", API_KEYS_FILE: keysFile }),
  ]);
  project.provide("url", servers[0].url);
  project.provide("keyed", { url: servers[1].url, admin, user });
  project.provide("recordings", join(ROOT, "tests", "data", "recordings"));
  return async () => {
    await Promise.all(servers.map((server) => server.stop()));
    folder.remove();
  };
}

export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "scrivano-client-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function newKey(file: string, name: string, scopes: string): string {
  const options = ["--file", file, "--name", name, "--scopes", scopes];
  const output = execFileSync(PYTHON, ["-m", "scrivano", "keys", "create", ...options], {
    env: ENV,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const key = /scv_[\w-]{43}/.exec(output)?.[0];
  if (!key) throw new Error(`no key in: ${output}`);
  return key;
}

/** A server in its own process. It ends with this process, however that ends. */
export class Server {
  private constructor(
    private readonly process: ChildProcess,
    readonly url: string,
  ) {}

  static start(settings: Record<string, string>): Promise<Server> {
    const process = spawn(PYTHON, ["-m", "scrivano", "serve", "--while-stdin-is-open"], {
      env: { ...ENV, WHISPER_MODEL: "nano", DEVICE: "cpu", PORT: "0", LOG_FORMAT: "json", ...settings },
      stdio: ["pipe", "pipe", "inherit"],
    });
    return new Promise((resolve, reject) => {
      createInterface({ input: process.stdout }).on("line", (line) => {
        const entry = JSON.parse(line) as { message: string; url: string };
        if (entry.message === "listening") resolve(new Server(process, entry.url));
      });
      process.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
      process.once("error", reject);
    });
  }

  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.process.once("exit", () => resolve());
      this.process.kill(signal);
    });
  }
}

