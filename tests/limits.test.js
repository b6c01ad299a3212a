// What containers of apps may use: what Docker was told, and what a program inside finds.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { container, docker, testRun } from './support/docker.js';
import { until } from './support/until.js';
import { World, refused, required } from './support/world.js';

describe('limits', () => {
  let world, app;
  const volume = `meteor-launcher-test-${testRun}-${process.pid}`;
  before(async () => {
    world = await World.start();
    app = await world.app();
  });
  after(async () => {
    await world?.close();
    await docker('volume', 'rm', '--force', volume);
  });

  const launch = (limits, options = {}) => world.ddp.call('launchAppInstance', { appImage: app, ...required, limits, ...options });
  const document = (id) => world.instances.get(id);
  const inspected = (id) => container(document(id).containerId);
  const inside = (id, script) => docker('exec', document(id).containerId, 'sh', '-c', script);

  it('protect the machine where nothing is said', async () => {
    const id = await launch();
    const { HostConfig } = await inspected(id);
    assert.deepEqual([HostConfig.Memory, HostConfig.MemorySwap, HostConfig.PidsLimit], [1 << 30, 1 << 30, 1024]);
    assert.deepEqual(HostConfig.Ulimits, [{ Name: 'nofile', Hard: 16384, Soft: 16384 }]);
    assert.deepEqual(HostConfig.CapDrop, ['ALL']);
    assert.deepEqual(HostConfig.LogConfig, { Type: 'json-file', Config: { 'max-size': '10000000', 'max-file': '3' } });
    assert.equal(HostConfig.ReadonlyRootfs, false);
    assert.deepEqual(HostConfig.LogConfig, { Type: 'json-file', Config: { 'max-size': '10000000', 'max-file': '3' } });
    assert.match(await inside(id, 'cat /proc/self/status'), /CapEff:\s0+\n/);
    assert.equal(await inside(id, 'id -u; id -g'), '1000\n1000', 'what the launcher built does not run as root');
    assert.deepEqual(document(id).limits, {
      memoryBytes: 1 << 30, cpuShares: 1024, cpus: null, pids: 1024, openFiles: 16384, logFileBytes: 10_000_000, logFiles: 3, readOnly: false, user: null, volumes: [],
    });
    await world.ddp.call('removeAppInstance', id);
  });

  it('are what the caller says', async () => {
    const volumes = [{ name: volume, path: '/data' }, { name: volume, path: '/same', readOnly: true }];
    const limits = { memoryBytes: 256 << 20, cpuShares: 512, cpus: 0.5, pids: 64, openFiles: 512, logFileBytes: 200_000, logFiles: 2, readOnly: true, user: '0:0', volumes };
    const id = await launch(limits, { hostname: 'limited.test', rootUrl: 'http://limited.test' });
    const { HostConfig, Config } = await inspected(id);
    assert.deepEqual([HostConfig.Memory, HostConfig.CpuShares, HostConfig.NanoCpus, HostConfig.PidsLimit], [256 << 20, 512, 5e8, 64]);
    assert.equal(Config.User, '0:0');
    assert.deepEqual(HostConfig.LogConfig.Config, { 'max-size': '200000', 'max-file': '2' });
    assert.deepEqual([document(id).limits.logFileBytes, document(id).limits.logFiles], [200_000, 2]);
    assert.equal(await inside(id, 'ulimit -n'), '512');
    assert.equal(await inside(id, 'echo kept > /data/a; cat /same/a; touch /tmp/t && echo tmp'), 'kept\ntmp');
    assert.equal(await inside(id, 'for file in /same/b /x; do touch $file 2>/dev/null || echo refused $file; done'), 'refused /same/b\nrefused /x');
    await until(async () => (await world.get('limited.test').answer).status === 200, 'the app to answer');

    // What a volume has outlives its containers; other limits are another release.
    const first = document(id).containerId;
    await world.ddp.call('deploy', id, { limits: { volumes } });
    await until(() => document(id).containerId !== first, 'the new container');
    assert.equal(document(id).limits.memoryBytes, 1 << 30);
    assert.equal(await inside(id, 'cat /data/a'), 'kept');
    await world.ddp.call('removeAppInstance', id);
    assert.equal(await docker('volume', 'ls', '--quiet', '--filter', `name=${volume}`), volume, 'volumes are never removed');
  });

  it('are refused when they cannot be', async () => {
    await refused(launch({ memoryBytes: 5 }), 400, /memoryBytes must be a number from 6291456/);
    await refused(launch({ logFileBytes: 1 }), 400, /logFileBytes must be a number from 100000 to 1000000000/);
    await refused(launch({ logFiles: 21 }), 400, /logFiles must be a number from 1 to 20/);
    await refused(launch({ volumes: [{ name: '/etc', path: '/x' }] }), 400, /directories of the host are not allowed/);
    await refused(launch('small'), 400, /limits option/);
    assert.equal(world.instances.size, 0);
  });
});
