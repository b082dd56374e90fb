import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds a running server: `ATELIER_SERVER=http://127.0.0.1:8000 npm run dev`. */
const server = process.env["ATELIER_SERVER"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [svelte()],
  server: {
    host: "127.0.0.1",
    proxy: {
      // The first page gives the id of a room that can be made.
      "^/$": { target: server },
      "/ws": { target: server, ws: true },
      "/rooms": { target: server },
    },
  },
  build: {
    outDir: "dist",
    assetsDir: "assets",
    emptyOutDir: true,
    target: "es2022",
    reportCompressedSize: false,
    // Fonts and pictures stay files: the server's content policy allows no data: scripts.
    assetsInlineLimit: 0,
  },
  test: {
    include: ["tests/**/*.test.ts", "src/**/*.test.ts"],
    environment: "node",
    testTimeout: 20_000,
  },
});
