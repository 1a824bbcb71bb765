// Writes src/generated/openapi.ts from the server's code. `PYTHON` is the Python that has the server's dependencies.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTypescript, { astToString } from "openapi-typescript";

const client = fileURLToPath(new URL("..", import.meta.url));
const root = join(client, "..", "..");
const document = execFileSync(process.env.PYTHON ?? "python3", [join(root, "tools", "openapi", "write.py")], {
  env: { ...process.env, PYTHONPATH: join(root, "src") },
  encoding: "utf8",
  maxBuffer: 64 * 1024 * 1024,
});
// A field with a default may be absent in responses.
const types = await openapiTypescript(JSON.parse(document), { defaultNonNullable: false });
mkdirSync(join(client, "src", "generated"), { recursive: true });
writeFileSync(join(client, "src", "generated", "openapi.ts"), astToString(types));
