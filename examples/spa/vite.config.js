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
    // Nginx lets browsers keep a file whose name has a hexadecimal hash.
    rollupOptions: {
      output: {
        hashCharacters: "hex",
        entryFileNames: "[name]-[hash:16].js",
        chunkFileNames: "[name]-[hash:16].js",
        assetFileNames: "[name]-[hash:16][extname]",
      },
    },
  },
}));
