// The launcher's data directory is lost, or an older copy of it is put back: instances that run are found again by what their containers
// carry, nothing that runs is disturbed, and what was removed stays so.
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { container, docker } from './support/docker.js';
import { smallApp, smallAppHealth } from './support/small-app.js';
import { until, within } from './support/until.js';
import { World } from './support/world.js';

describe('a launcher whose data directory is', () => {
  let world, appImage, first, second, backup;
  const env = { COLOUR: 'a=b c', API_SECRET: 's3cret' };

  before(async () => {
    world = await World.start();
    appImage = await world.build('small-app', await smallApp());
    backup = join(world.folder, 'backup');
    first = await world.launch('first', { appImage, hostname: 'first.test', env, health: smallAppHealth, wait: 'ready' });
  });
  after(() => world?.close());

  const runs = async (app) => Promise.all(app.document.containers.map(async ({ id }) => [id, (await container(id)).State.StartedAt]));

  it('replaced by an older copy adopts what was launched since', async () => {
    await world.crash();
    await cp(world.dataDir, backup, { recursive: true });
    await world.startLauncher();
    const limits = { memory: 64 << 20, pids: 50 };
    second = await world.launch('second', { appImage, hostnames: ['second.test', 'two.test'], env, replicas: 2, limits, health: smallAppHealth, wait: 'ready' });
    const { createdAt, ...document } = second.document;
    const [before, variables] = [await runs(second), await world.ddp.call('getEnvironmentVariables', second.id)];
    await world.crash();
    await rm(world.dataDir, { recursive: true });
    await cp(backup, world.dataDir, { recursive: true });
    await world.startLauncher();

    // From the first moment on.
    assert.equal((await world.get('two.test').expect(200)).text.trim(), env.COLOUR);
    await until(() => second.document?.health === 'healthy', 'it to be healthy');
    const adopted = second.document;
    for (const field of ['image', 'imageId', 'hostnames', 'env', 'limits', 'config', 'healthSettings', 'replicas', 'status', 'containerId', 'port']) {
      assert.deepEqual(adopted[field], document[field], field);
    }
    assert.deepEqual(adopted.createdAt, createdAt);
    assert.deepEqual(await world.ddp.call('getEnvironmentVariables', second.id), variables);
    assert.deepEqual(await runs(second), before, 'nothing was started again');
    assert.equal(first.document.status, 'running');
  });

  it('replaced has instances as all others: deployed, scaled, removed for good', async () => {
    await world.ddp.subscribe('deployments', second.id);
    const deployment = await world.ddp.call('setEnvironment', second.id, { COLOUR: 'red' });
    await until(() => world.ddp.collection('Deployments').get(deployment)?.status === 'succeeded', 'the deployment');
    assert.equal((await world.get('second.test').expect(200)).text.trim(), 'red');
    await world.ddp.call('scale', second.id, 1);
    await second.call('remove');

    // A container of it that turns up later is a leftover.
    const labels = { instance: second.id, owner: world.launcherId, release: 0, replica: 0 };
    const flags = Object.entries(labels).flatMap(([name, value]) => ['--label', `launcher.${name}=${value}`]);
    const late = await docker('run', '--detach', '--name', `launcher-${second.id}`, ...flags, appImage);
    await world.crash();
    await world.startLauncher();
    await until(async () => !(await container(late)), 'the leftover to go');
    assert.deepEqual([...world.instances.keys()], [first.id]);
  });

  it('lost adopts what it had, when it is told who it was', async () => {
    const before = await runs(first);
    const owner = world.launcherId;
    await world.crash();
    await rm(world.dataDir, { recursive: true });
    world.flags = ['--launcher-id', owner];
    await world.startLauncher();
    assert.equal(world.launcherId, owner);
    assert.equal((await world.get('first.test').expect(200)).text.trim(), env.COLOUR);
    assert.deepEqual(await runs(first), before);
    const info = await world.ddp.call('getContainerInfo', first.id);
    assert.doesNotMatch(JSON.stringify(info), /s3cret|launcher\.record/);
  });

  it('that of another launcher refuses the id', async () => {
    await world.crash();
    world.flags = ['--launcher-id', 'a'.repeat(17)];
    await world.spawnLauncher();
    const [code] = await within(world.exited, 'the launcher to refuse it');
    assert.equal(code, 1);
    world.flags = [];
    await world.startLauncher();
    await first.call('remove');
  });
});
