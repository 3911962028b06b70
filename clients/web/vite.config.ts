import { defineConfig } from "vite";

import { licenses } from "./licenses.ts";

// Names carry no digests: the daemon serves a fixed list of files, and tells the browser by their ETags what is new.
export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [licenses()],
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
        codeSplitting: false,
      },
    },
  },
  server: { proxy: { "/culld.v1.": "http://127.0.0.1:7357", "/v1": "http://127.0.0.1:7357" } },
});
