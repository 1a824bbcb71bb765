import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const client = fileURLToPath(new URL("../clients/typescript/src", import.meta.url));

// For `npm run dev`: a server of Scrivano that answers what the page asks.
const server = process.env.SCRIVANO_URL ?? "http://127.0.0.1:8080";
const routes = ["/jobs", "/uploads", "/model", "/health", "/history", "/stream-tokens", "/openapi.json", "/docs", "/assets/swagger"];

export default defineConfig({
  plugins: [react()],
  base: "./",
  // The client is built from its sources, with the same React.
  resolve: {
    dedupe: ["react", "react-dom"],
    alias: [
      { find: /^@scrivano\/client\/react$/, replacement: `${client}/react/index.ts` },
      { find: /^@scrivano\/client$/, replacement: `${client}/index.ts` },
    ],
  },
  build: {
    outDir: "../src/scrivano/web/page",
    emptyOutDir: true,
    assetsDir: "",
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
  },
  // The page is `/`, its files are below `/assets/page/`: relative, so that they are found below any prefix.
  experimental: {
    renderBuiltUrl: (name, { hostType }) => (hostType === "html" ? `assets/page/${name}` : { relative: true }),
  },
  server: { proxy: Object.fromEntries(routes.map((route) => [route, server])) },
});
