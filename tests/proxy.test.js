// The built-in proxy: a hostname leads to its instance, and only there.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { container, docker, hostPort } from './support/docker.js';
import { Foreign, libraries } from './support/foreign.js';
import { until, within } from './support/until.js';
import { World, refused } from './support/world.js';

describe('the proxy', () => {
  let world, todos, notes;

  before(async () => {
    world = await World.start();
    todos = await world.launch('todos', { hostname: 'todos.test' });
    notes = await world.launch('notes', { hostname: 'notes.test' });
  });
  after(() => world?.close());

  it('leads each hostname to its own container', async () => {
    for (const app of [todos, notes]) {
      const { Config } = await app.container();
      const page = await app.get('/').expect(200);
      assert.ok(page.text.includes(`container ${Config.Hostname}`), page.text);
    }
  });

  it('takes hostnames in any case, with a port, and with the final dot', async () => {
    const expected = (await todos.get('/inside').expect(200)).json().container;
    for (const host of ['TODOS.test', `todos.test:${world.proxyPort}`, 'todos.test.']) {
      assert.equal((await world.get(host, '/inside').expect(200)).json().container, expected, host);
    }
  });

  it('answers 404 with a page that says so for a hostname that nobody has', async () => {
    for (const host of ['unknown.test', 'sub.todos.test', 'todos', '127.0.0.1', '__proto__']) {
      const { text, headers } = await world.get(host).expect(404);
      assert.match(headers['content-type'], /text\/html/);
      assert.match(text, /No app is served at/);
    }
  });

  it('escapes what it repeats', async () => {
    const { text } = await world.get('<script>alert(1)</script>.test');
    assert.doesNotMatch(text, /<script>/);
  });

  it('tells the app who asked, and drops what others claimed', async () => {
    const headers = (await todos.get('/headers', { headers: { 'X-Forwarded-For': '6.6.6.6', 'X-Forwarded-Proto': 'https' } }).expect(200)).json();
    assert.equal(headers.host, 'todos.test');
    assert.equal(headers['x-forwarded-for'].split(',').at(-1).trim(), '127.0.0.1');
    assert.equal(headers['x-forwarded-proto'], 'http');
    assert.equal(headers['x-forwarded-host'], 'todos.test');
    assert.equal(headers['x-forwarded-port'], String(world.proxyPort));
  });

  it('keeps hop-by-hop headers to the hop', async () => {
    const sent = { Connection: 'keep-alive, X-Hop', 'X-Hop': '1', 'Keep-Alive': 'timeout=5', 'Proxy-Connection': 'keep-alive', TE: 'gzip', 'X-End': '1' };
    const headers = (await todos.get('/headers', { headers: sent }).expect(200)).json();
    for (const name of ['x-hop', 'keep-alive', 'proxy-connection', 'te']) assert.equal(headers[name], undefined, name);
    assert.equal(headers['x-end'], '1');
  });

  it('streams bodies both ways, chunk by chunk', async () => {
    const outgoing = http.request({ host: '127.0.0.1', port: world.proxyPort, path: '/upload', method: 'POST', headers: { Host: 'todos.test' } });
    const chunks = [];
    const ended = new Promise((resolve, reject) => {
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        incoming.on('data', (chunk) => chunks.push(chunk.toString()));
        incoming.on('end', resolve);
      });
    });
    // The second chunk is sent only when the first has come back.
    outgoing.write('first ');
    await until(() => chunks.join('') === 'first ', 'the first chunk to come back');
    outgoing.end('second');
    await within(ended, 'the end');
    assert.equal(chunks.join(''), 'first second');
  });

  it('carries a large body unharmed', async () => {
    const body = Buffer.alloc(20 << 20, 'meteor');
    const { text } = await todos.get('/upload', { method: 'POST', body }).expect(200);
    assert.equal(text.length, body.length);
    assert.equal(text, body.toString());
  });

  it('serves many requests on one connection', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 20; i++) {
      const app = i % 2 ? todos : notes;
      const { hostname } = app;
      const { Config } = await app.container();
      assert.equal((await world.get(hostname, '/inside', { agent }).expect(200)).json().container, Config.Hostname);
    }
    agent.destroy();
  });

  it('answers /sockjs/info like the app', async () => {
    const { json } = await todos.get('/sockjs/info').expect(200);
    assert.equal(json().websocket, true);
  });

  it('carries DDP over WebSocket', async () => {
    const ddp = await todos.ddp();
    const { container: named, headers } = await ddp.call('whoami');
    assert.equal(named, (await todos.container()).Config.Hostname);
    assert.equal(headers['x-forwarded-host'], 'todos.test');
    await ddp.subscribe('clock');
    await until(() => ddp.collection('clock').get('now')?.ticks > 0, 'a tick');
    const big = 'x'.repeat(1 << 20);
    assert.deepEqual(await ddp.call('echo', big), [big]);
    await ddp.close();
  });

  for (const [library, name] of Object.entries(libraries)) {
    it(`carries ${name} to the app`, async () => {
      // localhost is the one name that every client reaches without a choice of Host.
      await world.ddp.call('addHostname', todos.id, 'localhost');
      const client = await Foreign.connect(library, `ws://localhost:${world.proxyPort}/websocket`, ['tasks']);
      try {
        assert.equal(await client.call('add', 1, 2), 3);
        await client.subscribe('tasks');
        await until(() => client.collection('tasks').size >= 2, 'the tasks');
      } finally {
        await client.close();
        await world.ddp.call('removeHostname', todos.id, 'localhost');
      }
    });
  }

  it('answers 503 for an instance that is stopped, and leads to it again when it runs', async () => {
    const app = await world.launch('pausing', { hostname: 'pausing.test' });
    await app.call('stop');
    await app.get('/').expect(503);
    await app.call('start');
    await app.answering();
    await app.call('remove');
    await app.get('/').expect(404);
  });

  it('answers 503 while the app does not take connections', async () => {
    const app = await world.launch('deaf', { hostname: 'deaf.test', env: { STAND_IN_NEVER_LISTENS: '1' }, answering: false });
    await app.get('/').expect(503);
    assert.equal(app.document.health, 'starting');
    assert.equal(app.document.status, 'running');
    await app.call('remove');
  });

  it('ends a WebSocket when its container dies', async () => {
    const app = await world.launch('dying', { hostname: 'dying.test' });
    const ddp = await app.ddp();
    await docker('kill', app.document.containerId);
    await within(ddp.whenClosed, 'the WebSocket to close');
    await app.call('remove');
  });

  it('follows the app to another port', async () => {
    const app = await world.launch('moving', { hostname: 'moving.test' });
    for (const move of [() => app.call('restart'), () => app.call('stop').then(() => app.call('start')), () => docker('restart', app.document.containerId)]) {
      await move();
      await until(async () => {
        const inspected = await app.container();
        return inspected?.State.Running && app.document.status === 'running' && app.document.port === hostPort(inspected);
      }, () => `port ${app.document.port} to be Docker's`);
      await app.answering();
    }
    await app.call('remove');
  });

  it('leads additional hostnames to the same instance until they are removed', async () => {
    assert.equal(await world.ddp.call('addHostname', todos.id, 'also.test'), true);
    await world.get('also.test').expect(200);
    assert.deepEqual(todos.document.hostnames, ['todos.test', 'also.test']);
    assert.equal(await world.ddp.call('removeHostname', todos.id, 'also.test'), true);
    await world.get('also.test').expect(404);
    await world.get('todos.test').expect(200);
    assert.deepEqual(todos.document.hostnames, ['todos.test']);
  });

  it("refuses a hostname that another instance has, in the words of old", async () => {
    await refused(
      world.ddp.call('addHostname', todos.id, 'notes.test'), 400,
      `"notes.test" is already listed as a hostname for the app instance with ID ${notes.id}`,
    );
    const { Config } = await notes.container();
    assert.equal((await world.get('notes.test', '/inside').expect(200)).json().container, Config.Hostname);
  });

  it('knows a removed hostname to be free again', async () => {
    await world.ddp.call('addHostname', todos.id, 'passed-on.test');
    await world.ddp.call('removeHostname', todos.id, 'passed-on.test');
    assert.equal(await world.ddp.call('addHostname', notes.id, 'passed-on.test'), true);
    const { Config } = await container(notes.document.containerId);
    assert.equal((await world.get('passed-on.test', '/inside').expect(200)).json().container, Config.Hostname);
  });
});
