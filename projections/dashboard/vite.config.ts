import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, loadEnv } from 'vite';

// `npm run dev` serves the sources and passes everything of the API to a server that runs.
const server = loadEnv('', '.', 'PULSETRAIL_')['PULSETRAIL_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte({ configFile: false })],
  build: {
    target: 'es2023',
    // The content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    proxy: { '/api': { target: server, changeOrigin: false, ws: true }, '/docs': server },
  },
});
