// The routes in Redis, as Hipache reads them, whatever becomes of Redis meanwhile.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Redis } from './support/redis.js';
import { until } from './support/until.js';
import { World } from './support/world.js';

describe('the routes in Redis', () => {
  let redis, world, todos;

  before(async () => {
    redis = await Redis.start();
    await redis.ask('RPUSH', 'frontend:foreign.test', 'somebody', 'http://192.0.2.1:80');
    await redis.ask('SET', 'more.test', 'no route');
    world = await World.start({ env: { REDIS_URL: redis.url } });
    todos = await world.launch('todos', { hostname: 'todos.test' });
  });
  after(async () => {
    await world?.close();
    await redis?.close();
  });

  const expected = () => [todos.id, `http://${todos.document.host}:${todos.document.port}`];
  const becomes = (hostname, list) =>
    until(async () => String(await redis.list(hostname)) === String(list()), async () => `${await redis.list(hostname)} to be ${list()}`);
  const told = async () => (await world.health()).json().redis;

  it('are the id of the instance and where it listens', () => becomes('todos.test', expected));

  it('have the new port after a restart, and the id once', async () => {
    await todos.call('restart');
    await becomes('todos.test', expected);
    await todos.call('addHostname', 'todos.test').catch(() => {});
    await world.ddp.call('addHostname', todos.id, 'more.test');
    await world.ddp.call('addHostname', todos.id, 'more.test');
    await becomes('more.test', expected);
  });

  it('go when their hostname does, and nothing else goes', async () => {
    await world.ddp.call('removeHostname', todos.id, 'more.test');
    await becomes('more.test', () => ['']);
    assert.deepEqual(await redis.ask('GET', 'more.test'), ['no route']);
    assert.deepEqual(await redis.list('foreign.test'), ['somebody', 'http://192.0.2.1:80']);
  });

  it('stay while the launcher is restarted, and what has changed meanwhile is repaired', async () => {
    await world.signal('SIGTERM');
    assert.deepEqual(await redis.list('todos.test'), expected());
    await redis.ask('DEL', 'frontend:todos.test');
    await world.startLauncher();
    await becomes('todos.test', expected);
  });

  it('hold up nobody when Redis does not answer', async () => {
    redis.signal('SIGSTOP');
    try {
      await world.ddp.call('addHostname', todos.id, 'slow.test');
      await until(async () => (await told())?.reachable === false, 'health to tell');
      const health = await world.health();
      assert.equal(health.status, 200);
      assert.equal(health.json().redis.error, 'it does not answer');
      assert.equal((await world.get('slow.test')).status, 200);
    } finally {
      redis.signal('SIGCONT');
    }
    await becomes('slow.test', expected);
    await until(async () => (await told()).reachable, 'health to tell that it is back');
  });

  it('are there again after Redis was killed and has lost everything', async () => {
    await redis.crash();
    await world.ddp.call('removeHostname', todos.id, 'slow.test');
    await until(async () => (await told()).reachable === false, 'health to tell');
    await redis.restart();
    await becomes('todos.test', expected);
    assert.deepEqual(await redis.list('slow.test'), ['']);
  });

  it('do not keep a launcher from starting when Redis is away', async () => {
    await redis.crash();
    await world.crash();
    await world.startLauncher();
    assert.equal((await todos.get('/')).status, 200);
    await redis.restart();
    await becomes('todos.test', expected);
  });

  it('go with their instance', async () => {
    await world.ddp.call('removeAppInstance', todos.id);
    await becomes('todos.test', () => ['']);
    assert.deepEqual(await redis.ask('HLEN', `launcher:routes:${world.launcherId}`), ['0']);
  });
});
