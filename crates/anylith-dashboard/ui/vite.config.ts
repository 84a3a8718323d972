import { defineConfig } from 'vitest/config';

// The page is served from its own origin's root, by a program that has it embedded: no inline scripts or styles, which
// the content security policy forbids, and no file whose name does not change with its content.
export default defineConfig({
  base: '/',
  build: {
    // The first browsers that have `light-dark()`, of early 2024.
    target: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    sourcemap: false,
  },
  // The style sheet is read as it is, to measure its contrasts.
  test: { css: true },
});
