/**
 * Two builds and the Vitest projects.
 * `vite build` makes the page (`dist/web`); `vite build --ssr` (mode `node`) bundles the command line and relay
 * (`dist/node/main.js`), with every package left in node_modules but @libp2p/webrtc, which both builds patch.
 */
import { defineConfig } from 'vitest/config'
import { wasmKernels } from './cli/setup/wasm-kernels.mjs'
import { patchWebrtcDial } from './net/build/patch-webrtc-dial.ts'

export default defineConfig(({ mode }) => {
  const node = mode === 'node'
  return {
    root: node ? '.' : 'web',
    base: './',
    publicDir: false as const,
    plugins: [patchWebrtcDial(), wasmKernels()],
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    worker: { format: 'es', plugins: () => [wasmKernels()] },
    build: node
      ? {
          ssr: true,
          outDir: 'dist/node',
          emptyOutDir: true,
          target: 'node20',
          rollupOptions: {
            // The text worker is started by file name (worker_threads), so it is an entry of its own.
            input: { main: 'cli/main.ts', 'text-worker': 'cli/prompt/text-worker.ts' },
            output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
          },
        }
      : {
          outDir: '../dist/web',
          emptyOutDir: true,
          target: 'es2023',
          sourcemap: true,
          modulePreload: { polyfill: false },
        },
    ssr: { noExternal: ['@libp2p/webrtc'] },
    test: {
      root: '.',
      reporters: ['default'],
      server: { deps: { inline: ['@libp2p/webrtc'] } },
      projects: [
        {
          extends: true,
          // Properties take seconds on a machine that does other things besides.
          test: { name: 'unit', include: ['tests/unit/**/*.test.ts'], environment: 'node', testTimeout: 20_000 },
        },
        {
          extends: true,
          test: {
            name: 'gpu',
            include: ['tests/gpu/**/*.test.ts'],
            testTimeout: 120_000,
            hookTimeout: 120_000,
            fileParallelism: false,
          },
        },
        {
          extends: true,
          test: {
            name: 'integration',
            include: ['tests/integration/**/*.test.ts'],
            testTimeout: 120_000,
            hookTimeout: 120_000,
            fileParallelism: false,
          },
        },
        {
          extends: true,
          test: {
            name: 'e2e',
            include: ['tests/e2e/**/*.test.ts'],
            testTimeout: 240_000,
            hookTimeout: 240_000,
            fileParallelism: false,
          },
        },
        ...['long', 'bench'].map((name) => ({
          extends: true as const,
          test: {
            name,
            include: [`tests/${name}/**/*.test.ts`],
            testTimeout: 1_800_000,
            hookTimeout: 600_000,
            fileParallelism: false,
          },
        })),
      ],
    },
  }
})
