// Programs that end although nobody asked them to: when they are started again, and what is told of them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { busybox } from './support/archives.js';
import { buildLabel, container, docker } from './support/docker.js';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

/** The image of programs that are the variable SCRIPT; it keeps count of its starts for them. */
const scripts = () => busybox({ label: buildLabel, lines: ['CMD ["/bin/sh", "-c", "echo . >> /starts; starts=$(wc -l < /starts); eval \\"$SCRIPT\\""]'] });
const serve = 'mkdir -p /www && echo ok > /www/index.html && exec httpd -f -p $PORT -h /www';

/** Launches an instance of it that is only this script. */
async function launchScript(world, SCRIPT, options = {}) {
  const id = await world.ddp.call('launchAppInstance', { appImage: world.scripts, mongoUrl: 'mongodb://db.test', rootUrl: 'http://app.test', env: { SCRIPT }, ...options });
  return {
    id,
    get document() {
      return world.instances.get(id);
    },
    /** Each value that a field of its document has had. */
    history: (field) => world.ddp.history('AppInstances', id).map(({ fields }) => fields?.[field]).filter((value) => value !== undefined),
    until: (condition, what) => until(() => condition(world.instances.get(id)), () => `${what}: ${JSON.stringify(world.instances.get(id))}`),
    call: (verb) => world.ddp.call(`${verb}AppInstance`, id),
  };
}

async function start(flags = []) {
  const world = await World.start({ flags });
  world.scripts = await world.build('scripts', await scripts());
  return world;
}

describe('a program that ends', { concurrency: true }, () => {
  let world;
  before(async () => void (world = await start()));
  after(() => world?.close());

  it('is started again after 1, 2, 4 and 8 seconds; then it has crashed, and the document tells all about it', async () => {
    const app = await launchScript(world, 'for i in $(seq 30); do echo "start $starts line $i"; done; exit 3', { hostname: 'loop.test' });
    await app.until(({ exit }) => exit?.code === 3, 'its first end');
    assert.equal(app.document.status, 'stopped', 'one end is no loop');
    assert.deepEqual([app.document.exit.reason, app.document.lastLogLines], ['ended with an error (exit code 3)', []]);
    assert.ok(app.document.nextTryAt > app.document.exit.at);
    await app.until(({ status }) => status === 'crashed', 'a crash loop');

    const { document } = app;
    const [line] = document.containers;
    assert.deepEqual([line.status, line.exitCode, line.restarts, line.health, line.port], ['crashed', 3, 4, 'none', null]);
    assert.deepEqual([document.exit.code, document.exit.reason, document.port], [3, 'ended with an error (exit code 3)', null]);
    assert.equal(document.lastLogLines.length, 20);
    assert.deepEqual([document.lastLogLines[0], document.lastLogLines.at(-1)], ['start 5 line 11', 'start 5 line 30']);
    assert.ok(document.nextTryAt - document.exit.at >= 16_000, `${document.nextTryAt - document.exit.at} ms`);
    const { State } = await container(document.containerId);
    assert.equal(+document.exit.at, Date.parse(State.FinishedAt));
    // What Docker says of the five runs.
    const starts = (await docker('logs', '--timestamps', document.containerId)).split('\n').filter((text) => / line 1$/.test(text));
    const times = starts.map((text) => Date.parse(text.slice(0, 23) + 'Z'));
    const waits = times.slice(1).map((time, i) => time - times[i]);
    for (const [i, least] of [1_000, 2_000, 4_000, 8_000].entries()) assert.ok(waits[i] >= least, `waits ${waits}`);
    await world.get('loop.test').expect(503);
    await refused(world.ddp.call('awaitReady', app.id), 500, /the app's program ends again and again: ended with an error \(exit code 3\)[^]*start 5 line 30/);

    assert.equal(await app.call('stop'), true);
    assert.deepEqual([app.document.status, app.document.nextTryAt], ['stopped', null]);
    assert.equal(await app.call('remove'), true);
  });

  it('and is wanted all the same runs again when what ails it is mended', async () => {
    const app = await launchScript(world, `[ -e /mended ] || { sleep 1; exit 1; }; ${serve}`, { hostname: 'mended.test' });
    await app.until(({ status }) => status === 'crashed', 'a crash loop');
    const { containerId } = app.document;
    await world.ddp.call('setEnvironment', app.id, { SCRIPT: serve });
    await world.ddp.call('awaitReady', app.id);
    assert.notEqual(app.document.containerId, containerId);
    assert.deepEqual([app.document.status, app.document.health, app.document.containers[0].restarts], ['running', 'healthy', 0]);
    assert.deepEqual([app.document.exit, app.document.nextTryAt, app.document.lastLogLines], [null, null, null]);
    await world.get('mended.test').expect(200);
    await app.call('remove');
  });

  it('but gets over it is well in the end', async () => {
    const app = await launchScript(world, `[ $starts -gt 2 ] || exit 7; ${serve}`, { hostname: 'over-it.test' });
    assert.equal(await world.ddp.call('awaitReady', app.id), true);
    assert.deepEqual([app.document.status, app.document.health], ['running', 'healthy']);
    assert.deepEqual([app.document.containers[0].restarts, app.document.containers[0].exitCode, app.document.exit], [2, null, null]);
    assert.ok(!app.history('status').includes('crashed'));
    await world.get('over-it.test').expect(200);
    await app.call('remove');
  });

  it('is launched all the same, also where readiness is waited for', async () => {
    const app = await launchScript(world, `[ $starts -gt 1 ] || exit 1; ${serve}`, { hostname: 'first-time.test', wait: 'ready' });
    assert.deepEqual([app.document.health, app.document.containers[0].restarts], ['healthy', 1]);
    await world.get('first-time.test').expect(200);
    await app.call('remove');
  });

  it('and has others beside it crashes alone', async () => {
    const app = await launchScript(world, `[ -e /ill ] && exit 1; ${serve}`, { hostname: 'beside.test', replicas: 2 });
    await world.ddp.call('awaitReady', app.id);
    const [ill, well] = app.document.containers.map(({ id }) => id);
    await docker('exec', ill, 'touch', '/ill');
    await docker('exec', ill, 'killall', 'httpd');
    await app.until(({ containers }) => containers[0].status === 'crashed', 'a crash loop');
    assert.equal(app.document.status, 'running');
    assert.deepEqual(app.document.containers.map(({ id, status }) => [id, status]), [[ill, 'crashed'], [well, 'running']]);
    await world.get('beside.test').expect(200);
    await app.call('remove');
  });

  const reasons = {
    'exit 0': [0, 'the program ended by itself, without an error (0)'],
    'exit 1': [1, 'ended with an error (exit code 1)'],
    'exit 126': [126, 'the program is not executable (126)'],
    'exec /no/such/program': [127, 'the program was not found (127)'],
    'kill -KILL $$': [137, 'killed (137), probably out of memory'],
    'kill -TERM $$': [143, 'ended by signal SIGTERM: terminated (143)'],
    'kill -SEGV $$': [139, 'ended by signal SIGSEGV, a segmentation fault (139)'],
    'kill -ABRT $$': [134, 'ended by signal SIGABRT, the program aborted itself (134)'],
  };
  for (const [script, [code, reason]] of Object.entries(reasons)) {
    it(`by “${script}” has the reason: ${reason}`, async () => {
      const app = await launchScript(world, script);
      await app.until(({ exit }) => exit !== null, 'its end');
      assert.deepEqual([app.document.exit.code, app.document.exit.reason], [code, reason]);
      await app.call('remove');
    });
  }

  it('for want of memory has that as its reason', async () => {
    // The shell outlives what the kernel kills, so that the engine learns of the kill before it learns of the end.
    const app = await launchScript(world, 'tail /dev/zero; code=$?; sleep 1; exit $code', { limits: { memoryBytes: 16 << 20 } });
    await app.until(({ exit }) => exit !== null, 'its end');
    assert.equal(app.document.exit.code, 137);
    assert.match(app.document.exit.reason, /^out of memory: the program was killed at the container's memory limit/);
    await app.call('remove');
  });

  it('because of a stop or a kill has not crashed', async () => {
    const app = await launchScript(world, serve);
    for (const verb of ['stop', 'kill']) {
      await app.call(verb);
      assert.deepEqual([app.document.status, app.document.exit, app.document.nextTryAt], ['stopped', null, null]);
      await app.call('start');
      assert.equal(app.document.status, 'running');
    }
    assert.equal(app.document.error, null);
    await app.call('remove');
  });
});

describe('a program that ends again and again', { concurrency: true }, () => {
  let world;
  before(async () => void (world = await start(['--max-restarts', '2'])));
  after(() => world?.close());

  it('is given up after so many restarts, and says so; a start begins anew', async () => {
    const app = await launchScript(world, 'echo start $starts; exit 5', { hostname: 'given-up.test' });
    const text = 'stopped after 2 restarts: ended with an error (exit code 5)';
    const isGivenUp = ({ error, status }) => error === text && status === 'stopped';
    await app.until(isGivenUp, 'the end of all attempts');
    assert.equal(app.document.nextTryAt, null);
    assert.deepEqual([app.document.exit.code, app.document.containers[0].restarts], [5, 2]);
    await refused(world.ddp.call('awaitReady', app.id), 500, new RegExp(`^stopped after 2 restarts[^]*start 3`));
    await world.get('given-up.test').expect(503);

    await world.crash();
    await world.startLauncher();
    await app.until(isGivenUp, 'the same after a crash of the launcher');
    const last = async () => (await docker('logs', app.document.containerId)).split('\n').at(-1);
    assert.equal(await last(), 'start 3', 'it was not started again');

    assert.equal(await app.call('start'), true);
    assert.equal(app.document.error, null);
    await app.until(isGivenUp, 'the end of all attempts again');
    assert.equal(await last(), 'start 6');
    await app.call('remove');
  });
});
