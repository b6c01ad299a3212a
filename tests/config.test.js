// The option `config`: what callers say of containers in Docker's own words, what stays the launcher's, and what not everybody may say.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { container, docker } from './support/docker.js';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

const env = { MONGO_URL: 'mongodb://db.test/a', ROOT_URL: 'http://config.test' };
const program = 'require("http").createServer((q, r) => r.end(JSON.stringify([process.cwd(), process.env.COLOUR]))).listen(process.env.PORT)';
const config = {
  Cmd: ['node', '-e', program, '--', '--password', 's3cret'],
  Entrypoint: [],
  WorkingDir: '/tmp',
  Env: ['COLOUR=blue', 'API_TOKEN=s3cret'],
  Labels: { team: 'a', 'launcher.instance': 'other', 'launcher.owner': 'other', 'launcher.mine': 'x' },
  HostConfig: { ShmSize: 16 << 20, Memory: 128 << 20, Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }], Privileged: false, Binds: [] },
};

describe("containers in Docker's own words", () => {
  let world, app, id;
  const call = (...args) => world.ddp.call(...args);
  const document = () => world.instances.get(id);
  const answer = async () => {
    const { status, text } = await world.get('config.test').answer;
    return status === 200 ? JSON.parse(text) : status;
  };

  /** The container is as it was said, and the launcher's. */
  const isAsSaid = async (colour = 'blue') => {
    await until(async () => Array.isArray(await answer()), async () => `the app to answer; it says ${await answer()}`);
    assert.deepEqual(await answer(), ['/tmp', colour]);
    const { Config, HostConfig } = await container(document().containerId);
    assert.deepEqual([Config.WorkingDir, Config.Cmd, Config.Labels.team], ['/tmp', config.Cmd, 'a']);
    assert.deepEqual([Config.Labels['launcher.instance'], Config.Labels['launcher.owner'], Config.Labels['launcher.mine']], [id, world.launcherId, undefined]);
    assert.deepEqual([HostConfig.ShmSize, HostConfig.Memory, HostConfig.MemorySwap, HostConfig.PidsLimit], [16 << 20, 128 << 20, 128 << 20, 1024]);
    assert.deepEqual(HostConfig.Ulimits.map(({ Name, Soft }) => [Name, Soft]).sort(), [['core', 0], ['nofile', 16384]]);
    assert.deepEqual([HostConfig.Privileged, HostConfig.CapDrop, HostConfig.SecurityOpt], [false, ['ALL'], ['no-new-privileges']]);
    assert.deepEqual([HostConfig.RestartPolicy.Name, HostConfig.AutoRemove, HostConfig.LogConfig.Type], ['no', false, 'json-file']);
    assert.equal(Object.values(HostConfig.PortBindings)[0][0].HostIp, '127.0.0.1');
  };
  const deployed = async (deployment) => {
    const ended = () => world.ddp.collection('Deployments').get(deployment);
    await until(() => ended()?.finishedAt, () => JSON.stringify(ended()));
    assert.equal(ended().status, 'succeeded', JSON.stringify(ended()));
  };

  before(async () => {
    world = await World.start({ flags: ['--grace-period', '2'] });
    app = await world.app();
    id = await call('ai/launch', { appImage: app, hostnames: ['config.test'], env, config });
    await world.ddp.subscribe('releases', id);
    await world.ddp.subscribe('deployments', id);
  });
  after(() => world?.close());

  it('take effect, but for labels of the launcher', () => isAsSaid());

  it('are told without passwords', async () => {
    const [release] = world.ddp.collection('Releases').values();
    for (const told of [document(), release, await call('getContainerInfo', id)]) assert.doesNotMatch(JSON.stringify(told), /s3cret/);
    assert.deepEqual(document().config.HostConfig, { ShmSize: 16 << 20, Memory: 128 << 20, Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }] });
    assert.deepEqual([document().config.Labels, document().env.COLOUR], [{ team: 'a' }, 'blue']);
    assert.equal((await call('getEnvironmentVariables', id)).API_TOKEN, 's3cret', 'variables in it are the app\'s');
  });

  it('stay through rebuilds, restarts and the death of the launcher', async () => {
    const first = document().containerId;
    assert.equal(await call('ai/rebuild', id), true);
    assert.notEqual(document().containerId, first);
    await isAsSaid();
    assert.equal(await call('ai/restart', id), true);
    await isAsSaid();
    await world.crash();
    await world.startLauncher();
    await world.ddp.subscribe('releases', id);
    await world.ddp.subscribe('deployments', id);
    await isAsSaid();
    const gone = document().containerId;
    await docker('rm', '--force', gone);
    await until(() => document().status === 'running' && document().containerId !== gone, 'a new container');
    await isAsSaid();
  });

  it('are part of a release: replaced as a whole, compared, taken back', async () => {
    const current = document().releaseId;
    const other = { ...config, Env: ['COLOUR=red'], HostConfig: { ShmSize: 32 << 20 }, Cmd: [...config.Cmd.slice(0, -1), 'other'] };
    await deployed(await call('deploy', id, { config: other }));
    const { HostConfig } = await container(document().containerId);
    assert.deepEqual([HostConfig.ShmSize, HostConfig.Memory], [32 << 20, 1 << 30]);
    const differences = await call('diffReleases', current, document().releaseId);
    const of = (field) => differences.find((one) => one.field === field);
    assert.deepEqual(of('config.HostConfig.ShmSize'), { field: 'config.HostConfig.ShmSize', changed: true, before: String(16 << 20), after: String(32 << 20) });
    assert.deepEqual(of('config.Cmd'), { field: 'config.Cmd', changed: true, secret: true });
    assert.equal(of('env.COLOUR').after, 'red');
    await deployed(await call('rollback', id, current));
    await isAsSaid();
  });

  it('are refused where they reach the machine, or what the launcher needs', async () => {
    const launch = (body) => call('ai/launch', { appImage: app, env, config: body });
    for (const host of [
      { Privileged: true }, { Binds: ['/etc:/x'] }, { Mounts: [{ Type: 'bind', Source: '/etc', Target: '/x' }] }, { VolumesFrom: ['x'] },
      { CapAdd: ['SYS_ADMIN'] }, { CapDrop: ['NET_RAW'] }, { Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/x', CgroupPermissions: 'r' }] },
      { NetworkMode: 'host' }, { NetworkMode: 'container:x' }, { PidMode: 'host' }, { PidMode: 'container:x' }, { IpcMode: 'host' }, { UTSMode: 'host' },
      { UsernsMode: 'host' }, { SecurityOpt: ['seccomp=unconfined'] }, { CgroupParent: '/x' }, { Runtime: 'x' }, { Sysctls: { 'net.core.somaxconn': '1' } },
    ]) {
      const [field] = Object.keys(host);
      await refused(launch({ HostConfig: host }), 400, new RegExp(`In the config option, only administrators may set HostConfig\\.${field} so`));
    }
    await refused(call('deploy', id, { config: { HostConfig: { Privileged: true } } }), 400, /only administrators/);
    await refused(launch({ HostConfig: { privileged: true } }), 400, /no field HostConfig\.privileged/);
    for (const [body, why] of [
      [{ Image: 'busybox' }, /Image cannot be set/], [{ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '80' }] } } }, /PortBindings cannot be set/],
      [{ HostConfig: { RestartPolicy: { Name: 'always' } } }, /RestartPolicy cannot be set/], [{ HostConfig: { AutoRemove: true } }, /AutoRemove cannot be set/],
      [{ HostConfig: { LogConfig: { Type: 'none' } } }, /json-file and local/], ['{}', /must be an object/], [{ Cmd: 'node' }, /Cmd is not of the kind/],
      [{ Env: ['PORT=none'] }, /variable PORT/], [{ Domainname: 'x'.repeat(40_000) }, /at most 32768 bytes/],
    ]) {
      await refused(launch(body), 400, why);
    }
    assert.equal(world.instances.size, 1);
  });
});
