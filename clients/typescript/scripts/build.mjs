// Writes dist/: ES modules, CommonJS, and their types. `tsc` is the only tool.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

process.chdir(new URL("..", import.meta.url).pathname);
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const compile = (...options) =>
  execFileSync(process.execPath, [tsc, "--project", "tsconfig.build.json", ...options], { stdio: "inherit" });

rmSync("dist", { recursive: true, force: true });
compile("--outDir", "dist/esm");
compile("--outDir", "dist/cjs", "--module", "CommonJS", "--moduleResolution", "Node10", "--verbatimModuleSyntax", "false");
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
if (existsSync("src/generated/openapi.ts")) copyFileSync("src/generated/openapi.ts", "dist/openapi.d.ts");
