import { defineConfig } from "vite";

export default defineConfig(({ command }) => ({
  root: "web",
  base: command === "build" ? "/static/" : "/",
  esbuild: { jsx: "automatic" },
  // For `npm run dev`: the container answers what belongs to the API.
  server: { proxy: { "/api": "http://localhost" } },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    // Nginx recognizes fingerprints of hexadecimal digits, and lets browsers keep these files.
    rollupOptions: { output: { hashCharacters: "hex" } },
  },
}));
