// Proxies in processes of their own, with routes from Redis or from the launcher: they go on without either.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Ddp } from './support/ddp.js';
import { Redis } from './support/redis.js';
import { StandaloneProxy } from './support/standalone-proxy.js';
import { World } from './support/world.js';

describe('proxies by themselves', () => {
  let redis, world, todos, byRedis, byDdp, both;

  before(async () => {
    redis = await Redis.start();
    world = await World.start({ env: { REDIS_URL: redis.url } });
    todos = await world.launch('todos', { hostname: 'todos.test' });
    byRedis = await StandaloneProxy.start(redis.url);
    byDdp = await StandaloneProxy.start(`ddp://127.0.0.1:${world.port}`);
    both = [byRedis, byDdp];
  });
  after(async () => {
    for (const proxy of both ?? []) await proxy?.close();
    await world?.close();
    await redis?.close();
  });

  const all = (status, hostname = 'todos.test') => Promise.all(both.map((proxy) => proxy.becomes(hostname, status)));

  it('serve what the launcher serves', async () => {
    await all(200);
    for (const proxy of both) {
      assert.equal((await proxy.get('unknown.test')).status, 404);
      assert.equal((await proxy.health()).status, 'ok');
    }
  });

  it('follow each change', async () => {
    await world.ddp.call('addHostname', todos.id, 'more.test');
    await all(200, 'more.test');
    await world.ddp.call('removeHostname', todos.id, 'more.test');
    await all(404, 'more.test');
    await todos.call('stop');
    await all(503);
    await todos.call('start');
    await all(200);
  });

  it('keep a visitor connected while the launcher is ended, killed, and started again', async () => {
    const clients = await Promise.all(both.map((proxy) => Ddp.connect(`ws://127.0.0.1:${proxy.proxyPort}/websocket`, { headers: { Host: 'todos.test' } })));
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      await world.signal(signal);
      await byDdp.reaches(false);
      for (const proxy of both) assert.equal((await proxy.get('todos.test')).status, 200);
      // Whatever each of them is told from now on, visitors notice nothing of.
      let failed = 0, over = false;
      const visitors = both.map(async (proxy) => {
        while (!over) if ((await proxy.get('todos.test').catch(() => ({}))).status !== 200) failed += 1;
      });
      await world.startLauncher();
      await Promise.all(both.map((proxy) => proxy.reaches()));
      over = true;
      await Promise.all(visitors);
      assert.equal(failed, 0);
    }
    for (const client of clients) {
      assert.equal(client.socket.readyState, 1);
      await client.close();
    }
  });

  it('go on when Redis is killed, and follow it again', async () => {
    await redis.crash();
    await byRedis.reaches(false);
    assert.equal((await byRedis.get('todos.test')).status, 200);
    await world.ddp.call('addHostname', todos.id, 'later.test');
    await byDdp.becomes('later.test', 200);
    await redis.restart();
    await byRedis.becomes('later.test', 200);
    assert.equal((await byRedis.get('todos.test')).status, 200);
  });

  it('begin with the routes of their last run when nobody can tell them others', async () => {
    for (const proxy of both) await proxy.signal('SIGKILL');
    await redis.crash();
    await world.signal('SIGTERM');
    for (const proxy of both) {
      await proxy.restart();
      assert.equal((await proxy.get('todos.test')).status, 200);
      assert.equal((await proxy.health()).status, 'degraded');
    }
    await redis.restart();
    await world.startLauncher();
    await Promise.all(both.map((proxy) => proxy.reaches()));
    assert.equal((await byRedis.get('todos.test')).status, 200);
  });

  it("serve what others write in Hipache's way", async () => {
    await redis.ask('RPUSH', 'frontend:plain.test', 'somebody', `http://127.0.0.1:${todos.document.port}`);
    await byRedis.becomes('plain.test', 200);
    await redis.ask('DEL', 'frontend:plain.test');
    await byRedis.becomes('plain.test', 404);
  });

  it('end on SIGTERM, and refuse places that they do not know without repeating passwords', async () => {
    assert.deepEqual(await byRedis.signal('SIGTERM'), [0, null]);
    const binary = world.binary;
    for (const [routes, said] of [['ddps://a.test', /ddps is not supported/], ['redis://:hunter2@', /redis:\/\//], ['ddp://u:hunter2@a.test', /ddp:\/\//]]) {
      const refused = await promisify(execFile)(binary, ['proxy', '--routes', routes]).catch((error) => error);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, said);
      assert.doesNotMatch(refused.stderr, /hunter2/);
    }
  });
});
