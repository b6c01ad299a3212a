// Whoever can speak DDP to the control port runs programs as root. Programs may; pages of other sites may not, by none of SockJS'
// transports, and least of all by those for which a browser sends no `Origin`.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import SockJS from 'sockjs-client';
import { Ddp } from './support/ddp.js';
import { request } from './support/http.js';
import { within } from './support/until.js';
import { World } from './support/world.js';

// Every path of SockJS that a page can ask for something, with the method that it takes.
const paths = [
  'GET /sockjs/info', 'GET /sockjs/websocket', 'GET /sockjs/0/s/websocket', 'GET /websocket', 'GET /sockjs/0/s/eventsource',
  'GET /sockjs/0/s/htmlfile?c=a', 'GET /sockjs/0/s/jsonp?c=a', 'POST /sockjs/0/s/jsonp_send', 'POST /sockjs/0/s/xhr',
  'POST /sockjs/0/s/xhr_streaming', 'POST /sockjs/0/s/xhr_send', 'OPTIONS /sockjs/0/s/xhr', 'GET /sockjs/iframe.html',
];
const transports = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];
const inBrowsers = [...transports, 'jsonp-polling', 'htmlfile', 'iframe-eventsource', 'iframe-htmlfile', 'iframe-xhr-polling'];

describe('the control port', () => {
  let world;
  before(async () => (world = await World.start()));
  after(() => world?.close());

  const ask = (line, headers, host = `127.0.0.1:${world.port}`) => {
    const [method, path] = line.split(' ');
    return request(world.port, host, path, { method, headers });
  };

  for (const transport of transports) {
    it(`is spoken to by programs over ${transport}`, async () => {
      const ddp = new Ddp(new OverSockJs(`http://127.0.0.1:${world.port}/sockjs`, transport));
      await ddp.opened;
      await ddp.subscribe('appInstances');
      await assert.rejects(ddp.call('getContainerInfo', 'none'), { error: 400, reason: 'Bad request' });
      await ddp.close();
    });
  }

  for (const origin of ['https://evil.test', 'http://localhost.evil.test', 'http://app.localhost', 'null']) {
    it(`answers no request of SockJS from a page of ${origin}`, async () => {
      for (const line of paths) {
        const { headers } = await ask(line, { Origin: origin, 'Sec-Fetch-Site': 'same-origin' }).expect(403);
        assert.equal(headers['access-control-allow-origin'], undefined, line);
      }
    });
  }

  for (const site of ['cross-site', 'same-site']) {
    it(`answers none that has no origin and is ${site}`, async () => {
      for (const line of paths) await ask(line, { 'Sec-Fetch-Site': site }).expect(403);
    });
  }

  it('answers none that is for another name, whatever it says of its page', async () => {
    for (const line of [...paths, 'GET /', 'GET /health']) {
      await ask(line, { 'Sec-Fetch-Site': 'same-origin' }, `evil.test:${world.port}`).expect(403);
    }
  });

  it('is local by any of its names', async () => {
    for (const host of ['localhost', `[::1]:${world.port}`, '127.0.0.1']) await ask('GET /sockjs/info', {}, host).expect(200);
    const page = { Origin: 'http://localhost:3000', 'Sec-Fetch-Site': 'cross-site' };
    const { headers } = await ask('GET /sockjs/info', page).expect(200);
    assert.equal(headers['access-control-allow-origin'], page.Origin);
  });

  it('has no page through which others could speak with its own origin', async () => {
    for (const page of ['iframe.html', 'iframe-1.6.1.html']) await ask(`GET /sockjs/${page}`, { 'Sec-Fetch-Site': 'none' }).expect(404);
  });

  it('may have any name where a proxy stands before it', async () => {
    const proxied = await World.start({ env: { HTTP_FORWARDED_COUNT: '1' } });
    try {
      const info = (headers) => request(proxied.port, 'launcher.test', '/sockjs/info', { headers });
      await info({}).expect(200);
      await info({ Origin: 'https://evil.test' }).expect(403);
      await info({ 'Sec-Fetch-Site': 'cross-site' }).expect(403);
    } finally {
      await proxied.close();
    }
  });
});

describe('a page in Chromium', () => {
  let world, site, browser;
  before(async () => {
    world = await World.start();
    site = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>a page</title>'));
    await once(site.listen(0, '127.0.0.1'), 'listening');
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--host-resolver-rules=MAP *.test 127.0.0.1'],
    });
  });
  after(async () => {
    await browser?.close();
    site?.closeAllConnections();
    site?.close();
    await world?.close();
  });

  /** A page with the library, which is also where iframe pages look for it. */
  async function open(url) {
    const library = await readFile(fileURLToPath(new URL('node_modules/sockjs-client/dist/sockjs.js', import.meta.url)), 'utf8');
    const page = await browser.newPage();
    await page.route('https://cdn.jsdelivr.net/**', (route) => route.fulfill({ contentType: 'application/javascript', body: library }));
    await page.goto(url);
    await page.addScriptTag({ content: library });
    return page;
  }

  /** Whether the library connects from this page. */
  async function connect(url, transport, launcher = '127.0.0.1') {
    const page = await open(url);
    const run = `(${inThePage})(${JSON.stringify(`http://${launcher}:${world.port}/sockjs`)}, ${JSON.stringify(transport)})`;
    try {
      return await within(page.evaluate(run), `${transport} from ${url}`);
    } finally {
      await page.close();
    }
  }

  for (const transport of inBrowsers) {
    it(`of another site is not connected by ${transport}`, async () => {
      assert.equal(await connect(`http://evil.test:${site.address().port}/`, transport), 'refused');
    });
  }

  it('of another site is not connected by a frame that it makes itself', async () => {
    const page = await open(`http://evil.test:${site.address().port}/`);
    try {
      const framed = page.waitForResponse((response) => response.url().includes('iframe'));
      const connected = page.evaluate(`(${throughFrame})('http://127.0.0.1:${world.port}/sockjs')`).catch((gone) => gone);
      assert.equal((await within(framed, 'the frame')).ok() ? await within(connected, 'an answer') : 'refused', 'refused');
    } finally {
      await page.close();
    }
  });

  it('whose name has come to lead to this machine is not connected', async () => {
    for (const transport of ['websocket', 'xhr-polling']) {
      const url = `http://evil.test:${world.port}/`;
      assert.equal(await connect(url, transport, 'evil.test'), 'refused', transport);
    }
  });

  it('of this machine is connected', async () => {
    for (const transport of transports) {
      assert.equal(await connect(`http://localhost:${site.address().port}/`, transport), 'connected', transport);
    }
  });
});

/** Runs in pages. */
function inThePage(url, transport) {
  return new Promise((resolve) => {
    const socket = new SockJS(url, null, { transports: [transport] });
    socket.onopen = () => socket.send(JSON.stringify({ msg: 'connect', version: '1', support: ['1'] }));
    socket.onmessage = ({ data }) => data.includes('connected') && resolve('connected');
    socket.onclose = () => resolve('refused');
  });
}

/** Runs in pages: what the library does to connect by a frame, without asking for `/info` first, which would be refused. */
function throughFrame(url) {
  const frame = document.createElement('iframe');
  frame.src = `${url}/iframe.html#id`;
  const post = (type, data) => frame.contentWindow.postMessage(JSON.stringify({ windowId: 'id', type, data }), '*');
  const connect = JSON.stringify({ msg: 'connect', version: '1', support: ['1'] });
  return new Promise((resolve) => {
    window.addEventListener('message', (event) => {
      const { type, data } = JSON.parse(event.data);
      if (type === 's') post('s', JSON.stringify([SockJS.version, 'xhr-polling', `${url}/0/frame`, url]));
      else if (data === 'o') post('m', JSON.stringify(connect));
      else if (data.includes('connected')) resolve('connected');
    });
    document.body.append(frame);
  });
}

/** A connection of `sockjs-client` with the events of a WebSocket of `ws`. */
class OverSockJs extends EventEmitter {
  constructor(url, transport) {
    super();
    this.socket = new SockJS(url, null, { transports: [transport] });
    this.socket.onopen = () => this.emit('open');
    this.socket.onmessage = ({ data }) => this.emit('message', data);
    this.socket.onclose = ({ code, reason }) => {
      this.emit('error', new Error(reason));
      this.emit('close', code);
    };
  }

  send(text) {
    this.socket.send(text);
  }

  close() {
    this.socket.close();
  }
}
