// The SockJS that browsers and Node programs use (`sockjs-client`) gets through to the crate `sockjs`: by each of its
// transports in Node, and in Chromium where WebSockets are blocked.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import SockJS from 'sockjs-client';
import { SockJsServer } from './support/sockjs-server.js';
import { until, within } from './support/until.js';

// What gets mangled on the way if anything does; beyond what fits into one streaming response of the test server, too.
const oddities = ['', 'plain', '  \u0000\n\r ', '"\\/', '100%25', '</script><!--', 'naïve ☃ 😀', '\u2028\u200c\ufff0\uffff', 'x'.repeat(10_000)];
const texts = [...oddities, ...Array.from({ length: 200 }, (_, index) => `message ${index}`)];

/** Connects by one transport, sends everything, and resolves with what came back and how it ended. Runs here and in pages. */
function echo(SockJS, url, transport, texts) {
  return new Promise((resolve, reject) => {
    const socket = new SockJS(url, null, { transports: [transport] });
    const received = [];
    let used;
    socket.onopen = () => {
      used = socket.transport;
      for (const text of texts) socket.send(text);
    };
    socket.onmessage = ({ data }) => {
      received.push(data);
      if (received.length === texts.length) socket.close(3333, 'enough');
    };
    socket.onclose = ({ code, reason }) => {
      if (received.length === texts.length) resolve({ received, used, code, reason });
      else reject(new Error(`${transport}: ${code} ${reason} after ${received.length} messages`));
    };
  });
}

/** Resolves with how a connection was closed by the server. */
function closed(SockJS, url, transport) {
  return new Promise((resolve) => {
    const socket = new SockJS(url, null, { transports: [transport] });
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
}

describe('sockjs-client in Node', () => {
  let server;
  before(async () => (server = await SockJsServer.start()));
  after(() => server?.close());

  for (const transport of ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling']) {
    it(`${transport} brings everything there and back in order`, async () => {
      const { received, used, code } = await within(echo(SockJS, `${server.url}/echo`, transport, texts), transport);
      assert.deepEqual(received, texts);
      assert.equal(used, transport);
      assert.equal(code, 3333);
    });

    it(`${transport} hears why the server closes`, async () => {
      const close = await within(closed(SockJS, `${server.url}/close`, transport), transport);
      assert.deepEqual(close, { code: 3000, reason: 'Go away!' });
    });

    it(`${transport} connects again after the server was restarted`, async () => {
      let own = await SockJsServer.start();
      try {
        const socket = new SockJS(`${own.url}/echo`, null, { transports: [transport] });
        await within(new Promise((resolve) => (socket.onopen = resolve)), `${transport} to open`);
        const lost = new Promise((resolve) => (socket.onclose = resolve));
        await own.close();
        own = await SockJsServer.start({ port: own.port });
        // In Node the library sees only by sending that a streaming response broke off.
        socket.send('anybody there?');
        const { code } = await within(lost, `${transport} to notice`);
        assert.ok([1002, 1006].includes(code), `${code}`);
        const { received } = await within(echo(SockJS, `${own.url}/echo`, transport, ['again']), transport);
        assert.deepEqual(received, ['again']);
      } finally {
        await own.close();
      }
    });
  }

  it('finds another way where WebSockets are disabled', async () => {
    const url = `${server.url}/disabled_websocket_echo`;
    const socket = new SockJS(url);
    await within(new Promise((resolve) => (socket.onopen = resolve)), 'any transport to open');
    assert.equal(socket.transport, 'xhr-streaming');
    socket.close();
    await assert.rejects(within(echo(SockJS, url, 'websocket', ['a']), 'the refusal'), /websocket: \d+ .* after 0 messages/);
  });

  it('carries the cookie that load balancers want', async () => {
    const { received } = await within(echo(SockJS, `${server.url}/cookie_needed_echo`, 'xhr-polling', ['a', 'b']), 'the echo');
    assert.deepEqual(received, ['a', 'b']);
  });
});

describe('sockjs-client in Chromium without WebSockets', () => {
  const library = fileURLToPath(new URL('node_modules/sockjs-client/dist/sockjs.js', import.meta.url));
  let pages, server, browser;

  before(async () => {
    pages = await servePages(await readFile(library));
    server = await SockJsServer.start({ sockjsUrl: `${pages.url}/sockjs.js` });
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [...args, '--disable-component-update', '--disable-sync'],
    });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    await pages?.close();
  });

  /** Any page of an origin, with the library and without WebSockets. */
  async function open(url) {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error('in the page:', error.message));
    await page.addInitScript(() => delete window.WebSocket);
    await page.goto(url);
    await page.addScriptTag({ url: `${pages.url}/sockjs.js` });
    assert.equal(await page.evaluate(() => typeof WebSocket), 'undefined');
    return page;
  }

  async function echoInPage(page, transport) {
    const run = `(${echo})(SockJS, ${JSON.stringify(`${server.url}/echo`)}, ${JSON.stringify(transport)}, ${JSON.stringify(texts)})`;
    return within(page.evaluate(run), `${transport} in the page`);
  }

  const everywhere = ['xhr-streaming', 'xhr-polling', 'eventsource', 'jsonp-polling', 'iframe-eventsource', 'iframe-htmlfile', 'iframe-xhr-polling'];
  for (const transport of everywhere) {
    it(`${transport} gets through from a page of another origin`, async () => {
      const page = await open(pages.url);
      const { received, used } = await echoInPage(page, transport);
      assert.deepEqual(received, texts);
      assert.equal(used, transport);
      await page.close();
    });
  }

  it('htmlfile gets through from a page of the same origin', async () => {
    const page = await open(`${server.url}/echo`);
    const { received, used } = await echoInPage(page, 'htmlfile');
    assert.deepEqual(received, texts);
    assert.equal(used, 'htmlfile');
    await page.close();
  });

  it('left to itself it chooses a transport that works', async () => {
    const page = await open(pages.url);
    const used = await page.evaluate(
      (url) =>
        new Promise((resolve, reject) => {
          const socket = new SockJS(url);
          socket.onopen = () => resolve(socket.transport);
          socket.onclose = ({ code, reason }) => reject(new Error(`${code} ${reason}`));
        }),
      `${server.url}/echo`,
    );
    assert.equal(used, 'xhr-streaming');
    await page.close();
  });

  it('a page that is left ends its session', async () => {
    const page = await open(pages.url);
    const messages = [];
    page.on('console', (message) => messages.push(message.text()));
    await page.evaluate((url) => {
      const socket = new SockJS(url, null, { transports: ['xhr-streaming'], sessionId: () => 'left' });
      socket.onopen = () => console.log('open');
    }, `${server.url}/echo`);
    await until(() => messages.includes('open'), 'the page to connect');
    await page.close();
    const poll = () => fetch(`${server.url}/echo/000/left/xhr`, { method: 'POST' }).then((response) => response.text());
    const second = 'c[2010,"Another connection still open"]\n';
    const after = await until(async () => {
      const answer = await poll();
      return answer === second ? null : answer;
    }, 'the session to end');
    assert.equal(after, 'c[1002,"Connection interrupted"]\n');
  });
});

/** Serves the library, and pages with nothing in them. */
async function servePages(script) {
  const pages = http.createServer((request, response) => {
    const isLibrary = request.url === '/sockjs.js';
    response.writeHead(200, { 'Content-Type': `${isLibrary ? 'application/javascript' : 'text/html'}; charset=utf-8` });
    response.end(isLibrary ? script : '<!doctype html><title>empty</title>');
  });
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  const { port } = pages.address();
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      pages.closeAllConnections();
      return new Promise((resolve) => pages.close(resolve));
    },
  };
}
