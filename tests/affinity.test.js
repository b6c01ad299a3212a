// Clients of an app with several replicas stay at theirs: by cookie, by the SockJS session in the path, and across restarts of the launcher.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { obedient } from './support/obedient.js';
import { World } from './support/world.js';

describe('a client of an app with two replicas', { concurrency: false }, () => {
  let world, app;

  before(async () => {
    world = await World.start();
    const appImage = await world.build('obedient', obedient());
    app = await world.launch('staying', { appImage, hostname: 'staying.test', answering: false, replicas: 2 });
    await world.ddp.call('awaitReady', app.id);
  });
  after(() => world?.close());

  const ask = async (path, cookie) => {
    const answer = await app.get(path, { headers: cookie ? { cookie } : {} }).expect(200);
    const [set] = [answer.headers['set-cookie'] ?? []].flat();
    return { container: answer.json().container, cookie: set };
  };
  const value = (cookie) => cookie.split(';')[0];

  it('stays by the cookie that its first answer sets', async () => {
    const first = await ask('/');
    assert.match(first.cookie, /^launcher_affinity=[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/);
    for (let i = 0; i < 10; i++) {
      const again = await ask('/', value(first.cookie));
      assert.deepEqual(again, { container: first.container, cookie: undefined });
    }
  });

  it('stays by it when the launcher has been started again', async () => {
    const first = await ask('/');
    await world.crash();
    await world.startLauncher();
    await world.ddp.call('awaitReady', app.id);
    for (let i = 0; i < 4; i++) assert.equal((await ask('/', value(first.cookie))).container, first.container);
  });

  it('is sent elsewhere when its replica is gone, and stays there', async () => {
    const seen = new Map();
    while (seen.size < 2) {
      const { container, cookie } = await ask('/');
      seen.set(container, value(cookie));
    }
    await world.ddp.call('scale', app.id, 3);
    await world.ddp.call('awaitReady', app.id);
    await world.ddp.call('scale', app.id, 1);
    const [left] = app.document.containers.map(({ id }) => id.slice(0, 12));
    for (const [, cookie] of seen) assert.equal((await ask('/', cookie)).container, left);
  });
});
