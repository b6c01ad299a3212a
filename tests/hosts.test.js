// The one host that there is so far: what is told of it, and what it may be given.
import assert from 'node:assert/strict';
import { cpus } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { docker } from './support/docker.js';
import { until } from './support/until.js';
import { World, refused, required } from './support/world.js';

describe('hosts', () => {
  let world, app;
  before(async () => {
    world = await World.start();
    app = await world.app();
    await world.ddp.subscribe('hosts');
  });
  after(() => world?.close());

  const call = (name, ...params) => world.ddp.call(name, ...params);
  const local = () => world.ddp.collection('Hosts').get('local');
  const launch = (options = {}) => call('launchAppInstance', { appImage: app, ...required, ...options });
  const running = (number) => until(() => local().containers === number, () => `${number} containers; ${JSON.stringify(local())}`);

  it('tell of the engine and its machine', async () => {
    const { engineVersion, memoryBytes, diskFreeBytes, checkedAt, active, max, containers, error } = local();
    assert.equal(engineVersion, await docker('version', '--format', '{{.Server.Version}}'));
    assert.equal(memoryBytes, Number(await docker('info', '--format', '{{.MemTotal}}')));
    assert.equal(local().cpus, cpus().length);
    assert.ok(diskFreeBytes > 0);
    assert.deepEqual([active, max, containers, error], [true, null, 0, null]);
    assert.equal(await call('host/refreshDetails'), true);
    assert.ok(local().checkedAt > checkedAt, 'newer figures before the answer');
    assert.equal(await call('host/refreshDetails', 'local'), true);
    await refused(call('host/refreshDetails', 'other'), 400, 'No host has ID other');
  });

  it('take no more containers than they may, and none when they are not active; also after a restart', async () => {
    assert.equal(await call('host/set', 'local', { max: 2 }), true);
    const one = await launch();
    await running(1);
    await refused(launch({ replicas: 2 }), 400, /at most 2 containers/);
    await call('scale', one, 2);
    await running(2);
    await refused(call('scale', one, 3), 400, /at most 2 containers/);
    await call('stopAppInstance', one);
    await running(0);
    const other = await launch();
    await refused(call('startAppInstance', one), 400, /at most 2 containers/);
    await refused(call('rebuildAppInstance', one), 400, /at most 2 containers/);

    assert.equal(await call('host/set', 'local', { active: false, max: null }), true);
    await world.signal('SIGTERM');
    await world.startLauncher();
    await world.ddp.subscribe('hosts');
    assert.deepEqual([local().active, local().max], [false, null]);
    await refused(launch(), 400, /not active/);
    await refused(call('scale', other, 2), 400, /not active/);
    await call('startAppInstance', one);
    await running(3);
    assert.equal(await call('host/set', 'local', { active: true }), true);
    for (const id of [one, other, await launch()]) await call('removeAppInstance', id);
    await running(0);
  });

  it('are not several yet', async () => {
    for (const name of ['host/add', 'addHost']) await refused(call(name, { privateHost: '10.0.0.1' }), 400, /not supported yet/);
    await refused(call('host/remove', 'local'), 400, /cannot be removed/);
    await refused(call('host/remove', 'other'), 400, 'No host has ID other');
    for (const settings of [undefined, { max: -1 }, { max: 1.5 }, { active: 1 }]) await refused(call('host/set', 'local', settings), 400);
    await refused(call('host/set', 'other', {}), 400, 'No host has ID other');
  });

  it('tell the settings that are in effect', async () => {
    await world.ddp.subscribe('settings');
    const settings = world.ddp.collection('Settings').get('launcher');
    assert.equal(settings.gracePeriodMs, 30_000);
    assert.equal(settings.allowPrivateSources, true);
    assert.equal(settings.buildMemoryBytes, null);
  });
});
