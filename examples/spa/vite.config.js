import { defineConfig } from "vite";

export default defineConfig({
  root: "web",
  base: "/static/",
  esbuild: { jsx: "automatic" },
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
});
