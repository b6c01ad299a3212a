// The names that methods about instances have had since June 2014. What they do is told by the tests of the older names.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { World, refused } from './support/world.js';

describe('the names since June 2014', () => {
  let world, app;
  before(async () => {
    world = await World.start();
    app = await world.app();
  });
  after(() => world?.close());

  const call = (name, ...params) => world.ddp.call(`ai/${name}`, ...params);
  const env = { MONGO_URL: 'mongodb://db.test/a', ROOT_URL: 'http://a.test' };
  const document = (id) => world.instances.get(id);

  it('launch with everything in env, start, stop, kill and remove', async () => {
    const id = await call('launch', { appImage: app, hostnames: ['a.test', 'b.test'], env: { ...env, N: 1 } });
    assert.deepEqual([document(id).status, document(id).hostnames], ['running', ['a.test', 'b.test']]);
    assert.deepEqual(await call('getEnvironmentVariables', id), { ...env, N: '1' });
    assert.equal((await call('getContainerInfo', id)).Id, document(id).containerId);
    for (const [verb, status] of [['stop', 'stopped'], ['start', 'running'], ['restart', 'running'], ['kill', 'stopped'], ['activate', 'running'], ['deactivate', 'stopped']]) {
      assert.equal(await call(verb, id), true, verb);
      assert.equal(document(id).status, status, verb);
      if (status === 'stopped') assert.equal(document(id).containers[0].exitCode === 137, verb === 'kill', verb);
    }
    assert.deepEqual(document(id).hostnames, ['a.test', 'b.test'], 'one that is not active keeps its hostnames');
    assert.equal(await call('addHostname', id, 'c.test'), true);
    assert.equal(await call('removeHostname', id, 'a.test'), true);
    assert.deepEqual(document(id).hostnames, ['b.test', 'c.test']);
    assert.equal(await call('remove', id), id);
    assert.equal(document(id), undefined);
  });

  it('rebuild all: those that run now, those that are stopped when they are started', async () => {
    const launch = () => call('launch', { appImage: app, env });
    const ids = [await launch(), await launch()];
    await call('stop', ids[1]);
    const before = ids.map((id) => document(id).containerId);
    assert.equal(await call('rebuildAll'), true);
    assert.notEqual(document(ids[0]).containerId, before[0]);
    assert.equal(document(ids[1]).status, 'stopped');
    await call('start', ids[1]);
    assert.notEqual(document(ids[1]).containerId, before[1]);
    for (const id of ids) await call('remove', id);
    assert.equal(await call('rebuildAll'), true, 'nothing to do');
  });

  it('refuse what is missing or wrong', async () => {
    await refused(call('launch', {}), 400, /appImage option/);
    await refused(call('launch', { appImage: app, hostnames: 'a.test' }), 400, /hostnames option must be an array/);
    await refused(call('launch', { appImage: app, rootUrl: 'nowhere' }), 400, /rootUrl option/);
    for (const verb of ['start', 'stop', 'restart', 'kill', 'remove', 'rebuild', 'activate', 'deactivate', 'getContainerInfo', 'getEnvironmentVariables']) {
      await refused(call(verb, 'nobody'), 400, 'No app instance has ID nobody');
    }
  });
});
