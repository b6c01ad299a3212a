// Chromium, and a page in it that speaks DDP over SockJS.
import http from 'node:http';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const quiet = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export class Browser {
  static async start() {
    const browser = new Browser();
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL('page/client.js', import.meta.url))],
      bundle: true,
      write: false,
      define: { global: 'window' },
      logLevel: 'error',
    });
    const page = `<!doctype html><meta charset="utf-8"><title>page</title><script>${outputFiles[0].text.replaceAll('</', '<\\/')}</script>`;
    browser.server = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(page)).listen(0, '127.0.0.1');
    await once(browser.server, 'listening');
    // An empty profile of its own, which goes with it.
    browser.chromium = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: quiet });
    return browser;
  }

  /** A page whose `ddp` is connected to this SockJS endpoint; `before` runs in it before anything else. */
  async open(sockjs, { transports, before } = {}) {
    const context = await this.chromium.newContext();
    const page = await context.newPage();
    if (before) await page.addInitScript(before);
    await page.goto(`http://127.0.0.1:${this.server.address().port}/`);
    await page.evaluate(([url, list]) => window.ddp.open(url, list), [sockjs, transports]);
    await page.waitForFunction(() => window.ddp.connections === 1);
    return page;
  }

  async close() {
    await this.chromium?.close();
    this.server?.closeAllConnections();
    this.server?.close();
  }
}
