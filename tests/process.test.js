// The binary as a process: starting, health, ending, and what it refuses to do.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { dockerfile } from './support/archives.js';
import { Ddp } from './support/ddp.js';
import { added, buildLabel, buildRemains } from './support/docker.js';
import { freePort } from './support/ports.js';
import { EngineRelay } from './support/relay.js';
import { until, within } from './support/until.js';
import { World, imagePrefix, refused, required } from './support/world.js';

const run = promisify(execFile);

describe('the launcher as a process', () => {
  let world;
  before(async () => {
    world = await World.start();
  });
  after(() => world?.close());

  it('tells its health', async () => {
    const { headers, json } = await world.health().expect(200);
    assert.match(headers['content-type'], /application\/json/);
    const { status, engine, store, instances } = json();
    assert.equal(status, 'ok');
    assert.ok(engine !== undefined && store !== undefined);
    const running = instances.running ?? 0;

    const app = await world.launch('counted');
    assert.equal((await world.health().expect(200)).json().instances.running, running + 1);
    await app.call('stop');
    assert.equal((await world.health().expect(200)).json().instances.stopped, 1);
    await app.call('remove');
  });

  it('listens on loopback only', async () => {
    for (const port of [world.port, world.proxyPort]) {
      const listening = await listeners(port);
      assert.deepEqual(listening, ['127.0.0.1']);
    }
  });

  it('on SIGTERM finishes what is in flight, leaves the containers, and ends with 0', async () => {
    const app = await world.launch('outliving', { hostname: 'outliving.test' });
    const inFlight = app.get('/slow?ms=3000').expect(200);
    const idle = await world.connect();
    await until(async () => (await app.get('/').expect(200)) && true, 'the slow request to be on its way');
    const asked = process.hrtime.bigint();
    const [code, signal] = await world.signal('SIGTERM');
    assert.deepEqual([code, signal], [0, null]);
    // The one promise about time: ten seconds. A supervisor would kill it then.
    assert.ok(process.hrtime.bigint() - asked < 10_000_000_000n);
    assert.equal((await inFlight).text, 'after 3000 ms\n');
    await within(idle.whenClosed, 'the idle client to be let go');

    const containers = await world.containers();
    assert.deepEqual(containers.map(({ State }) => State.Running), [true]);
    await world.startLauncher();
    await world.agreement();
    assert.equal((await app.container()).State.StartedAt, containers[0].State.StartedAt);
    await app.answering();
    await app.call('remove');
  });

  it('on SIGTERM answers every call that it still carries out', async () => {
    const appImage = await world.app();
    for (const round of [1, 2, 3, 4]) {
      const calls = Array.from({ length: round }, () => world.ddp.call('launchAppInstance', { appImage, ...required }));
      const pong = new Promise((resolve) => world.ddp.socket.on('message', (data) => data.includes('pong') && resolve()));
      world.ddp.send({ msg: 'ping' });
      await within(pong, 'the calls to have arrived');
      const ended = world.signal('SIGTERM');
      const ids = await Promise.all(calls);
      assert.deepEqual(await ended, [0, null]);
      await world.startLauncher();
      await world.agreement();
      for (const id of ids) await world.ddp.call('removeAppInstance', id);
    }
  });

  it('on SIGTERM tells those who wait for what takes longer that it ends', async () => {
    const launch = world.ddp.call('launchAppInstance', { appImage: await world.app(), ...required, env: { STAND_IN_NEVER_LISTENS: 1 }, wait: 'ready' });
    const [id] = await until(() => [...world.instances].find(([, { status }]) => status === 'running'), 'the app to run');
    const waiting = [launch, world.ddp.call('awaitReady', id)];
    const told = waiting.map((call) => refused(call, 500, /shutting down/));
    assert.deepEqual(await world.signal('SIGTERM'), [0, null]);
    await Promise.all(told);
    await world.startLauncher();
    await world.ddp.call('removeAppInstance', id);
  });

  it('on SIGTERM in the middle of a build ends all the same, and the next start clears the build away', async () => {
    const url = world.archives.serve('long.tar', dockerfile(`FROM ${await world.app()}\nLABEL ${buildLabel}\nRUN sleep 600\n`));
    const before = await buildRemains();
    const building = world.ddp.call('buildImageIfNotExist', `${imagePrefix}long`, url).catch((error) => error);
    await until(async () => added(before, await buildRemains()).length > 0, 'the build to be under way');
    const asked = process.hrtime.bigint();
    assert.deepEqual(await world.signal('SIGTERM'), [0, null]);
    assert.ok(process.hrtime.bigint() - asked < 10_000_000_000n);
    await building;
    await world.startLauncher();
    await until(async () => added(before, await buildRemains()).length === 0, 'the build to be cleared away');
    await until(() => world.imageDocuments(`${imagePrefix}long`).length === 0, 'its document to go');
  });

  it('ends on SIGTERM while a name is looked up that nobody answers for', async () => {
    const building = world.ddp.call('buildImageIfNotExist', `${imagePrefix}nowhere`, 'http://nowhere.invalid/a.tar').catch((error) => error);
    const asked = process.hrtime.bigint();
    assert.deepEqual(await world.signal('SIGTERM'), [0, null]);
    assert.ok(process.hrtime.bigint() - asked < 10_000_000_000n);
    await building;
    await world.startLauncher();
  });

  it('lets programs and local pages connect, but no page of another site', async () => {
    const connected = (origin) => Ddp.connect(world.url, origin ? { origin } : {}).then((ddp) => ddp.close().then(() => true), () => false);
    for (const origin of [undefined, `http://127.0.0.1:${world.port}`, 'http://localhost:3000']) assert.equal(await connected(origin), true, origin);
    for (const origin of ['https://evil.test', 'null', 'http://app.localhost']) assert.equal(await connected(origin), false, origin);
  });

  it('does not take over a data directory that another launcher uses', async () => {
    const { code, said } = await serve(['--port', String(await freePort()), '--proxy-listen', `127.0.0.1:${await freePort()}`, '--data-dir', world.dataDir]);
    assert.notEqual(code, 0);
    assert.match(said, /data|use|lock/i);
    await world.health().expect(200);
  });
});

describe('the launcher refuses to start', () => {
  for (const address of ['0.0.0.0', '::', '192.0.2.1']) {
    it(`with its control port on ${address}, and says why`, async () => {
      const { code, said } = await serve(['--bind-ip', address, '--port', String(await freePort()), '--proxy-listen', '127.0.0.1:0']);
      assert.notEqual(code, 0);
      assert.match(said, /loopback/i);
    });
  }

  it('on a port that is taken, and names it', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address();
    const { code, said } = await serve(['--port', String(port), '--proxy-listen', '127.0.0.1:0']);
    taken.close();
    assert.notEqual(code, 0);
    assert.match(said, new RegExp(`${port} .--port.`));
  });

  it('with a data directory that it cannot use, and says which', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'meteor-launcher-data-')), 'file');
    await writeFile(file, '');
    const { code, said } = await serve(['--port', String(await freePort()), '--proxy-listen', '127.0.0.1:0', '--data-dir', file]);
    await rm(dirname(file), { recursive: true });
    assert.notEqual(code, 0);
    assert.match(said, new RegExp(`${file}.*not a directory`));
  });

  it('with a flag that it does not know', async () => {
    const { code, said } = await serve(['--no-such-flag']);
    assert.notEqual(code, 0);
    assert.match(said, /no-such-flag/);
  });
});

describe('on a full disk', () => {
  let world, disk;

  // A disk of its own: small, and in memory.
  before(async () => {
    disk = await mkdtemp(join(tmpdir(), 'meteor-launcher-disk-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
    world = await World.start({ dataDir: join(disk, 'data') });
  });
  after(async () => {
    await world?.close();
    await run('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  it('methods that must write fail clearly, health says so, what runs is routed, and all is well when there is room', async () => {
    const app = await world.launch('before', { hostname: 'before.test' });
    const filler = join(disk, 'filler');
    await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096']).catch(() => {});

    let answer;
    await until(async () => (answer = await world.health()).status === 503, () => `503; it says ${answer.text}`);
    assert.equal(answer.json().store.writable, false);
    await refused(world.ddp.call('addHostname', app.id, 'more.test'), 500, /store/);
    await app.get('/').expect(200);

    await rm(filler);
    await until(async () => (await world.health()).status === 200, 'health to return');
    assert.equal(await world.ddp.call('addHostname', app.id, 'more.test'), true);
    await app.call('remove');
  });
});

describe('without its engine', () => {
  let world, relay;

  before(async () => {
    relay = await EngineRelay.start();
    world = await World.start({ env: { DOCKER_HOST: `unix://${relay.path}` } });
  });
  after(async () => {
    await relay?.mend();
    await world?.close();
    await relay?.close();
  });

  it('the launcher says 503 and which part is ill, goes on routing, and recovers by itself', async () => {
    const app = await world.launch('routed', { hostname: 'routed.test' });
    await relay.cut();
    let answer;
    await until(async () => (answer = await world.health()).status === 503, () => `503; it says ${answer.text}`);
    const { status, engine, store } = answer.json();
    assert.equal(status, 'degraded');
    assert.notDeepEqual(engine, store, 'the engine is told apart from the store');
    await app.get('/').expect(200);
    const error = await app.call('restart').catch((raised) => raised);
    assert.equal(error.error, 500);

    await relay.mend();
    await until(async () => (await world.health()).status === 200, 'health to return');
    await app.answering();
    await world.agreement();
    await app.call('remove');
  });
});

/** Runs `serve` to its end and collects what it says; it must end by itself. */
async function serve(flags) {
  const folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-serve-'));
  const { launcher, said } = spawned(['serve', '--insecure-no-auth', ...(flags.includes('--data-dir') ? [] : ['--data-dir', join(folder, 'data')]), ...flags]);
  try {
    const [code] = await within(once(launcher, 'close'), 'the launcher to refuse');
    return { code, said: said() };
  } finally {
    launcher.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
}

function spawned(flags) {
  const binary = process.env.LAUNCHER_TEST_BINARY ?? new URL('../target/release/meteor-launcher', import.meta.url).pathname;
  const launcher = spawn(binary, flags, { env: { PATH: process.env.PATH, HOME: process.env.HOME }, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks = [];
  for (const stream of [launcher.stdout, launcher.stderr]) stream.on('data', (chunk) => chunks.push(chunk));
  return { launcher, said: () => Buffer.concat(chunks).toString() };
}

// The addresses that something listens on at this port, from the kernel's own tables.
async function listeners(port) {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  const found = [];
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!existsSync(table)) continue;
    for (const line of (await readFile(table, 'utf8')).split('\n').slice(1)) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (state !== '0A' || local.split(':')[1] !== wanted) continue;
      const address = local.split(':')[0];
      found.push(address.length === 8 ? address.match(/../g).reverse().map((byte) => parseInt(byte, 16)).join('.') : address);
    }
  }
  return found;
}
