// When an app counts as ready, who says so, and what becomes of one that is no longer.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { container } from './support/docker.js';
import { obedient, seen, tell } from './support/obedient.js';
import { until } from './support/until.js';
import { World, refused, required } from './support/world.js';

const probe = 'meteor-launcher-probe';
const quick = { interval: 1_000, timeout: 2_000 };

describe('readiness', { concurrency: true }, () => {
  let world, appImage;

  before(async () => {
    world = await World.start();
    appImage = await world.build('obedient', obedient());
  });
  after(() => world?.close());

  const launch = (name, env, options = {}) => world.launch(name, { appImage, env, hostname: `${name}.test`, answering: false, ...options });
  const call = (...args) => world.ddp.call(...args);
  const turn = (app, to) => tell(app.document.containerId, `turn?to=${to}`);
  const health = (app, expected) => until(() => app.document.health === expected, () => `${expected}: ${JSON.stringify(app.document)}`);
  const history = (app) => world.ddp.history('AppInstances', app.id).map(({ fields }) => fields?.health).filter(Boolean);
  /** What the probes asked for. */
  const asked = async (app) => (await seen(app.document.containerId)).filter(({ agent }) => agent === probe).map(({ path }) => path);

  it('comes when a slow app answers; until then visitors are told that it starts', async () => {
    const app = await launch('slow', { STATE: 'starting' });
    assert.deepEqual([app.document.status, app.document.health], ['running', 'starting']);
    assert.deepEqual(app.document.containers.map(({ status, health }) => [status, health]), [['running', 'starting']]);
    const ready = call('awaitReady', app.id);
    const page = await app.get('/').expect(503);
    assert.match(page.text, /start/);
    await until(async () => (await asked(app)).length > 3, 'some probes');
    await turn(app, 'ready');
    assert.equal(await ready, true);
    assert.equal(app.document.health, 'healthy');
    await app.get('/').expect(200);
    assert.equal(await call('awaitReady', app.id, { timeout: 0 }), true, 'at once, as it is ready');
    assert.deepEqual(history(app), [...new Set(history(app))], 'each state came once');
    assert.deepEqual(history(app).slice(-2), ['starting', 'healthy']);
    await app.call('remove');
  });

  it('is waited for by a launch that says so', async () => {
    let answered = false;
    const launching = call('launchAppInstance', { appImage, ...required, env: { STATE: 'starting' }, hostname: 'waiting.test', wait: 'ready' });
    launching.then(() => (answered = true), () => (answered = true));
    const find = () => [...world.instances.values()].find(({ hostnames }) => hostnames.includes('waiting.test'));
    await until(() => find()?.status === 'running' && find().health === 'starting', 'its start');
    await until(async () => (await seen(find().containerId)).length > 3, 'some probes');
    assert.equal(answered, false);
    await tell(find().containerId, 'turn?to=ready');
    const id = await launching;
    assert.equal(id, find()._id);
    assert.equal(find().health, 'healthy');
    await world.get('waiting.test').expect(200);
    await call('removeAppInstance', id);
  });

  it('that does not come in time fails such a launch, with the reason and what the app said; nothing is left', async () => {
    const options = { appImage, ...required, env: { STATE: 'starting', LINES: '3' }, hostname: 'never.test', wait: 'ready', health: { startPeriod: 1_000 } };
    const launching = call('launchAppInstance', options);
    const find = () => [...world.instances.values()].find(({ hostnames }) => hostnames.includes('never.test'));
    const { containerId } = await until(() => find()?.containerId && find(), 'its container');
    const { details } = await refused(launching, 500, /^not ready within the start period of 1 s: GET \/sockjs\/info answered 503/);
    assert.match(details, /line 1\nline 2\nline 3\nlistening, starting/);
    assert.equal(find(), undefined);
    assert.equal(await container(containerId), null);
    await world.get('never.test').expect(404);
  });

  it('need not be waited for at all', async () => {
    const id = await call('launchAppInstance', { appImage: 'localhost:1/no/such', ...required, wait: 'none' });
    await until(() => /no\/such/.test(world.instances.get(id)?.error), () => `why it does not run: ${JSON.stringify(world.instances.get(id))}`);
    assert.equal(world.instances.get(id).status, 'stopped');
    await refused(call('awaitReady', id, { timeout: 100 }), 500, /no\/such/);
    await call('removeAppInstance', id);
    await refused(call('launchAppInstance', { appImage, ...required, wait: 'soon' }), 400, /wait/);
  });

  it('that is awaited in vain is answered with the reason and the last lines of the log', async () => {
    const app = await launch('vain', { STATE: 'starting', LINES: '30' });
    await until(async () => (await asked(app)).length > 0, 'a probe');
    const { details } = await refused(call('awaitReady', app.id, { timeout: 300 }), 500, /not ready within 300 ms: GET \/sockjs\/info answered 503/);
    assert.match(details, /line 30\nlistening, starting/);
    assert.doesNotMatch(details, /line 5\n/, 'only the last ones');
    const waiting = refused(call('awaitReady', app.id), 500, /stopped/);
    await app.call('stop');
    await waiting;
    await refused(call('awaitReady', app.id), 500, /the app instance is stopped(?!:)/);
    const removed = refused(call('awaitReady', app.id, { timeout: 60_000 }), [400, 500]);
    await app.call('remove');
    await removed;
    await refused(call('awaitReady', app.id), 400, `No app instance has ID ${app.id}`);
    await refused(call('awaitReady'), 400, /instanceId/);
    for (const timeout of [-1, '5s', 3_600_001, {}]) await refused(call('awaitReady', app.id, { timeout }), 400, /timeout/);
  });

  it('of a Meteor app is DDP at the start and after failures, and plain HTTP in between', async () => {
    const app = await launch('plain', {}, { health: quick });
    await call('awaitReady', app.id);
    const handshakes = async () => (await asked(app)).filter((path) => path === '/websocket').length;
    const before = await asked(app);
    assert.equal(await handshakes(), 1);
    await until(async () => (await asked(app)).length > before.length + 2, 'regular probes');
    assert.deepEqual(new Set(await asked(app)), new Set(['/sockjs/info', '/websocket']));
    assert.equal(await handshakes(), 1);
    await turn(app, 'starting');
    await health(app, 'unhealthy');
    await turn(app, 'ready');
    await health(app, 'healthy');
    assert.equal(await handshakes(), 2);
    await app.call('remove');
  });

  it('is found out by itself: HTTP', async () => {
    const app = await launch('found-http', { KIND: 'http', STATE: 'starting' });
    await until(async () => (await asked(app)).length > 2, 'some probes');
    assert.equal(app.document.health, 'starting', '503 at /sockjs/info is no answer of the app');
    await turn(app, 'ready');
    await call('awaitReady', app.id);
    assert.equal(app.document.healthSettings.kind, 'auto');
    const paths = await asked(app);
    const found = paths.indexOf('/');
    assert.ok(found > 2 && paths.slice(0, found).every((path) => path === '/sockjs/info'), `what Meteor has until the app answers, then what it has: ${paths}`);
    await app.get('/').expect(200);
    await app.call('remove');
  });

  it('is found out by itself: something else', async () => {
    const app = await launch('found-tcp', { KIND: 'talking' });
    assert.equal(await call('awaitReady', app.id), true);
    await app.call('remove');
  });

  it('is a path, when the caller says so', async () => {
    const app = await launch('path', { KIND: 'http', STATE: 'failing' }, { health: { kind: 'http', path: '/up?full=1', ...quick } });
    await until(async () => (await asked(app)).length > 2, 'some probes');
    assert.equal(app.document.health, 'starting');
    await refused(call('awaitReady', app.id, { timeout: 0 }), 500, /^not ready within 0 ms: GET \/up answered 500/);
    await turn(app, 'ready');
    await call('awaitReady', app.id);
    assert.deepEqual(new Set(await asked(app)), new Set(['/up?full=1']));
    assert.deepEqual(app.document.healthSettings, {
      kind: 'http', path: '/up?********', intervalMs: 1_000, timeoutMs: 2_000, startPeriodMs: 120_000, restartAfterMs: 300_000,
    });
    await app.call('remove');
  });

  it('is DDP, when the caller says so, also where only HTTP is spoken', async () => {
    const app = await launch('forced', { KIND: 'http' }, { health: { kind: 'meteor' } });
    await refused(call('awaitReady', app.id, { timeout: 1_000 }), 500, /GET \/sockjs\/info answered 404/);
    assert.equal(app.document.health, 'starting');
    await app.call('remove');
  });

  it('is a connection, when the caller says so', async () => {
    const app = await launch('tcp', { KIND: 'silent' }, { health: { kind: 'tcp' } });
    assert.equal(await call('awaitReady', app.id), true);
    assert.equal(app.document.health, 'healthy');
    await app.call('remove');
  });

  it('is not asked for, when the caller says so', async () => {
    const app = await launch('unasked', { STATE: 'failing' }, { health: { kind: 'none' } });
    assert.equal(await call('awaitReady', app.id), true);
    assert.equal(app.document.health, 'none');
    await until(async () => (await app.get('/').answer).status === 500, 'the answer of the app itself');
    assert.deepEqual(await asked(app), []);
    await app.call('remove');
  });

  it('cannot be looked for in every way', async () => {
    const app = await launch('refusing', {});
    const wrong = [[{ kind: 'ftp' }, /kind/], [{ path: 'up' }, /path/], [{ path: '/a b' }, /path/], [{ interval: 10 }, /interval/], [{ timeoutMs: '5s' }, /timeout/],
      [{ startPeriod: 1e12 }, /startPeriod/], [{ restartAfter: 1 }, /restartAfter/], ['http', /object/], [5, /object/]];
    for (const [settings, words] of wrong) {
      await refused(call('launchAppInstance', { appImage, ...required, health: settings }), 400, words);
      await refused(call('deploy', app.id, { health: settings }), 400, words);
    }
    assert.equal([...world.instances.values()].find(({ _id }) => _id === app.id).deploymentId, null);
    await app.call('remove');
  });

  it('once lost takes a replica out of the route until it answers again', async () => {
    const app = await launch('lost', {}, { replicas: 2, health: { ...quick, restartAfter: 0 } });
    await call('awaitReady', app.id);
    const [one, other] = app.document.containers.map(({ id }) => id);
    await tell(other, 'turn?to=failing');
    await until(() => app.document.containers[1].health === 'unhealthy', () => `an unhealthy one: ${JSON.stringify(app.document.containers)}`);
    assert.deepEqual([app.document.status, app.document.health, app.document.containers[0].health], ['running', 'unhealthy', 'healthy']);
    for (let i = 0; i < 10; i++) assert.equal((await app.get('/').expect(200)).json().container, one.slice(0, 12));

    // Where nobody else answers, they are asked all the same.
    await tell(one, 'turn?to=failing');
    await until(() => app.document.containers[0].health === 'unhealthy', 'both');
    await app.get('/').expect(500);
    await tell(other, 'turn?to=ready');
    await until(() => app.document.containers[1].health === 'healthy', 'one again');
    for (let i = 0; i < 10; i++) assert.equal((await app.get('/').expect(200)).json().container, other.slice(0, 12));
    assert.deepEqual(app.document.containers.map(({ id, restarts }) => [id, restarts]), [[one, 0], [other, 0]]);
    await app.call('remove');
  });

  it('lost for long has the app restarted', async () => {
    const app = await launch('restarted', {}, { health: { ...quick, restartAfter: 1_000 } });
    await call('awaitReady', app.id);
    const before = (await app.container()).State.StartedAt;
    const statuses = history(app).length;
    await turn(app, 'failing');
    await until(() => history(app).slice(statuses).join() === 'unhealthy,none,starting,healthy', () => `unhealthy, restarted, healthy: ${history(app).slice(statuses)}`);
    const { State } = await app.container();
    assert.notEqual(State.StartedAt, before);
    assert.equal(app.document.containers[0].restarts, 1);
    await app.answering();
    await app.call('remove');
  });
});
