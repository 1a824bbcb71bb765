// Takes the code out of docs/frontend.md into build/guide: one module a block, and a page of the complete example.
// The blocks are compiled against the built package. Blocks without imports use what `context.d.ts` declares.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const client = fileURLToPath(new URL("..", import.meta.url));
const target = join(client, "build", "guide");
const guide = readFileSync(join(client, "..", "..", "docs", "frontend.md"), "utf8");
const require = createRequire(import.meta.url);

const CONTEXT = `
declare const client: import("@scrivano/client").ScrivanoClient;
declare const file: File;
declare const jobId: string;
declare const signal: AbortSignal;
`;

const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    module: "ESNext",
    moduleResolution: "Bundler",
    lib: ["ES2023", "DOM", "DOM.Iterable"],
    types: ["node"],
    jsx: "react-jsx",
    strict: true,
    noEmitOnError: true,
    skipLibCheck: true,
    outDir: "compiled",
  },
  include: ["*.ts", "*.tsx"],
};

const blocks = [...guide.matchAll(/^```(tsx?)\n(.*?)^```$/gms)].map(([, kind, code]) => ({ kind, code }));
if (blocks.length < 15) throw new Error(`only ${blocks.length} blocks of code were found in the guide`);

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "node_modules", "@scrivano"), { recursive: true });
cpSync(join(client, "dist"), join(target, "node_modules", "@scrivano", "client", "dist"), { recursive: true });
cpSync(join(client, "package.json"), join(target, "node_modules", "@scrivano", "client", "package.json"));
writeFileSync(join(target, "package.json"), '{ "type": "module", "private": true }\n');
writeFileSync(join(target, "tsconfig.json"), JSON.stringify(TSCONFIG));
writeFileSync(join(target, "context.d.ts"), CONTEXT);
blocks.forEach(({ kind, code }, number) => writeFileSync(join(target, `${nameOf(code, number)}.${kind}`), `${code}\nexport {};\n`));
const tsc = require.resolve("typescript/bin/tsc");
execFileSync(process.execPath, [tsc, "--project", target], { stdio: "inherit" });

writeFileSync(
  join(target, "index.html"),
  '<!doctype html><title>Example</title><div id="root"></div><script type="module" src="./example.tsx"></script>\n',
);
await build({ root: target, base: "./", configFile: false, logLevel: "warn", build: { outDir: "page" } });
console.log(`${blocks.length} blocks compiled`);

function nameOf(code, number) {
  if (code.startsWith("// A complete example")) return "example";
  if (code.includes('from "express"')) return "receiver";
  return `block-${number}`;
}
