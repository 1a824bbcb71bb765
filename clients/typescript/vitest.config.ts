import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "tests/support/server.ts",
    include: ["tests/**/*.test.{ts,tsx}"],
    // A shared machine may be slow; a test that hangs still ends.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // The files share two servers, and load and unload their models.
    fileParallelism: false,
  },
});
