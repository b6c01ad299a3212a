// What the router counts: told by DDP while somebody watches, and at /metrics to whoever asks.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('python/', import.meta.url));
const python = process.env.TEST_PYTHON || `${folder}venv/bin/python`;

describe('figures of the router', () => {
  let world, todos;

  before(async () => {
    world = await World.start();
    todos = await world.launch('todos', { hostname: 'todos.test' });
  });
  after(() => world?.close());

  const figures = (client) => [...client.collection('RouteStats').values()];
  const of = (client, hostname) => figures(client).find((document) => document.hostname === hostname);

  it('are told per hostname and per replica while somebody watches', async () => {
    const client = await world.connect();
    const subscription = await client.subscribe('routeStats');
    const requests = of(client, 'todos.test')?.requests ?? 0;
    for (let number = 0; number < 20; number += 1) await todos.get('/inside').expect(200);
    await world.get('nobody.test').expect(404);
    await until(() => of(client, 'todos.test')?.requests >= requests + 20, () => JSON.stringify(figures(client)));
    const quick = () => client.history('RouteStats', 'hostname todos.test').map(({ fields }) => fields);
    await until(() => quick().some(({ requestsPerSecond }) => requestsPerSecond > 0), 'requests per second');
    await until(() => quick().some(({ p50Ms }) => p50Ms > 0), 'a median');
    const replica = figures(client).find(({ kind }) => kind === 'replica');
    assert.equal(replica.instanceId, todos.id);
    assert.equal(replica.port, todos.document.port);
    assert.equal(of(client, 'todos.test').instanceId, todos.id);
    await until(() => of(client, '(unknown)')?.requests === 1, 'requests for nobody');
    await until(() => of(client, 'todos.test').requestsPerSecond === 0 && of(client, 'todos.test').p50Ms === null, 'silence');

    const mine = await world.connect();
    await mine.subscribe('routeStats', todos.id);
    await until(() => figures(mine).length === 2, () => JSON.stringify(figures(mine)));
    await mine.close();
    const talker = await todos.ddp();
    const talked = () => quick().some(({ messagesInPerSecond, messagesOutPerSecond }) => messagesInPerSecond > 0 && messagesOutPerSecond > 0);
    await until(() => (talker.send({ msg: 'ping' }), talked()), () => JSON.stringify(figures(client)));
    await talker.close();
    client.send({ msg: 'unsub', id: subscription });
    await until(() => figures(client).length === 0, 'none when nobody watches');
    await refused(client.subscribe('routeStats', 7), 400, /./);
    await client.close();
  });

  it('are read by a parser of Prometheus that others wrote', async () => {
    for (let number = 0; number < 3; number += 1) await todos.get('/inside').expect(200);
    const talker = await todos.ddp();
    talker.send({ msg: 'ping', id: 'first' });
    await until(() => talker.messages.some(({ msg }) => msg === 'pong'), 'an answer');
    await talker.close();
    const { stdout } = await run(python, [`${folder}metrics.py`, String(world.port)], { timeout: 60_000 });
    const { samples, types } = JSON.parse(stdout);
    const value = (name, labels) => samples.find(([known, its]) => known === name && Object.entries(labels).every(([key, text]) => its[key] === text))?.[2];
    assert.ok(value('launcher_router_requests_total', { host: 'todos.test', class: '2xx' }) >= 3, stdout);
    assert.ok(value('launcher_router_response_seconds_count', { host: 'todos.test' }) >= 3);
    assert.ok(value('launcher_router_response_seconds_sum', { host: 'todos.test' }) > 0);
    assert.equal(value('launcher_router_response_seconds_bucket', { host: 'todos.test', le: '+Inf' }), value('launcher_router_response_seconds_count', { host: 'todos.test' }));
    assert.ok(value('launcher_router_sent_bytes_total', { host: 'todos.test' }) > 0);
    assert.ok(value('launcher_router_upstream_answers_total', { upstream: `127.0.0.1:${todos.document.port}`, class: '2xx' }) >= 3);
    for (const way of ['received', 'sent']) {
      assert.ok(value(`launcher_router_${way}_messages_total`, { host: 'todos.test' }) >= 2, stdout);
      assert.ok(value(`launcher_router_upstream_${way}_messages_total`, { upstream: `127.0.0.1:${todos.document.port}` }) >= 2, stdout);
    }
    assert.ok(value('ddp_sessions', {}) >= 1, 'what the DDP server counts');
    assert.equal(types.launcher_router_response_seconds, 'histogram');
  });
});
