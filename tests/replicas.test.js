// Several containers of one app: how many there are, who is sent where, and what becomes of each.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { container, docker, hostPort } from './support/docker.js';
import { goesOn, obedient, tell } from './support/obedient.js';
import { Terminal } from './support/terminal.js';
import { until } from './support/until.js';
import { Visitors } from './support/visitors.js';
import { World, refused, required } from './support/world.js';

describe('replicas', { concurrency: true }, () => {
  let world, appImage;

  before(async () => {
    world = await World.start();
    appImage = await world.build('obedient', obedient());
  });
  after(() => world?.close());

  const call = (...args) => world.ddp.call(...args);
  const launch = async (name, options = {}) => {
    const app = await world.launch(name, { appImage, hostname: `${name}.test`, answering: false, ...options });
    await call('awaitReady', app.id);
    return app;
  };
  const lines = (app) => app.document.containers;
  const own = async (app) => (await world.containers()).filter(({ Config }) => Config.Labels['launcher.instance'] === app.id);
  const short = (id) => id.slice(0, 12);
  const answersOf = async (app, requests = 20) => {
    const answers = [];
    for (let i = 0; i < requests; i++) answers.push((await app.get('/').expect(200)).json().container);
    return new Set(answers);
  };

  it('are containers of which the document has a line each', async () => {
    const app = await launch('lines', { replicas: 3 });
    const { document } = app;
    assert.equal(document.replicas, 3);
    assert.deepEqual(lines(app).map(({ replica }) => replica), [0, 1, 2]);
    for (const line of lines(app)) {
      assert.deepEqual(Object.keys(line).sort(), ['exitCode', 'health', 'host', 'id', 'port', 'release', 'replica', 'restarts', 'role', 'startedAt', 'status']);
      const inspected = await container(line.id);
      assert.equal(inspected.Config.Labels['launcher.replica'], String(line.replica));
      assert.equal(line.port, hostPort(inspected));
      assert.ok(line.startedAt instanceof Date);
      assert.equal(line.startedAt.getTime(), Date.parse(inspected.State.StartedAt));
      assert.deepEqual([line.status, line.health, line.role, line.restarts, line.exitCode, line.host], ['running', 'healthy', 'serving', 0, null, '127.0.0.1']);
    }
    assert.deepEqual([document.containerId, document.port, document.host], [lines(app)[0].id, lines(app)[0].port, '127.0.0.1']);
    assert.deepEqual([document.status, document.health], ['running', 'healthy']);
    assert.deepEqual(await answersOf(app), new Set(lines(app).map(({ id }) => short(id))), 'all of them are sent visitors');
    assert.deepEqual((await own(app)).length, 3);
    await app.call('remove');
    assert.deepEqual(await own(app), []);
  });

  it('become more and fewer', async () => {
    const app = await launch('scaled');
    const [first] = lines(app);
    assert.equal(await call('scale', app.id, 3), true);
    assert.deepEqual(lines(app).map(({ status }) => status), ['running', 'running', 'running'], 'Docker runs them when the method answers');
    await call('awaitReady', app.id);
    assert.equal(app.document.replicas, 3);
    assert.equal(lines(app)[0].id, first.id);
    assert.deepEqual(await answersOf(app), new Set(lines(app).map(({ id }) => short(id))));
    assert.equal(await call('scale', app.id, 3), true, 'as it is');

    assert.equal(await call('scale', app.id, 1), true);
    await until(() => lines(app).length === 1, () => `one line: ${JSON.stringify(lines(app))}`);
    assert.equal(lines(app)[0].id, first.id);
    assert.deepEqual(await answersOf(app), new Set([short(first.id)]));
    await until(async () => (await own(app)).filter(({ State }) => State.Running).length === 1, 'the others to end');
    await app.call('remove');
  });

  it('are from 1 to 100', async () => {
    const app = await launch('refused');
    for (const wrong of [0, -1, 1.5, 101, 1e12, '2', null, true, {}]) await refused(call('scale', app.id, wrong), 400, /replicas/);
    await refused(call('scale', app.id), 400, /replicas/);
    for (const replicas of [0, -1, 1.5, 101, '2']) await refused(call('launchAppInstance', { appImage, ...required, replicas }), 400, /replicas/);
    await refused(call('scale', 'nobody', 2), 400, 'No app instance has ID nobody');
    await refused(call('scale'), 400, /instanceId|replicas/);
    assert.equal(app.document.replicas, 1);
    assert.equal(lines(app).length, 1);
    await app.call('remove');
  });

  it('of which one dies leave visitors to the other, and it comes back', async () => {
    const app = await launch('mortal', { replicas: 2 });
    const visitors = Visitors.of(world, 'mortal.test');
    await visitors.comeAgain();
    const [{ id: dying }, { id: other }] = lines(app);
    await docker('kill', dying);
    await until(() => lines(app)[0].status === 'stopped', () => `its end: ${JSON.stringify(lines(app))}`);
    assert.equal(app.document.status, 'running', 'the other runs');
    await until(() => lines(app)[0].exitCode === 137, 'its exit code');
    assert.deepEqual([app.document.exit.code, app.document.exit.reason], [137, 'killed (137), probably out of memory']);
    assert.ok(app.document.nextTryAt > app.document.exit.at);
    assert.deepEqual(await answersOf(app), new Set([short(other)]));
    await until(() => lines(app)[0].health === 'healthy', () => `its return: ${JSON.stringify(lines(app))}`);
    assert.deepEqual(lines(app).map(({ id, restarts }) => [id, restarts]), [[dying, 1], [other, 0]]);
    assert.deepEqual(await answersOf(app), new Set([short(dying), short(other)]));
    await visitors.leave();
    // What the program was asked while it was killed nobody can answer.
    assert.deepEqual(visitors.failures.filter((text) => !text.startsWith('502')), []);
    await app.call('remove');
  });

  it('of which one is removed by hand get another in its place', async () => {
    const app = await launch('removed', { replicas: 2 });
    const [{ id: kept }, { id: removed }] = lines(app);
    await docker('rm', '--force', removed);
    await until(() => lines(app)[1]?.health === 'healthy' && lines(app)[1].id !== removed, () => `another one: ${JSON.stringify(lines(app))}`);
    assert.equal(lines(app)[0].id, kept);
    assert.equal(lines(app)[1].replica, 1);
    await app.call('remove');
  });

  it('that are too many answer what they were asked before they end', async () => {
    const app = await launch('drained', { replicas: 2, health: { interval: 1_000 } });
    const held = [app.get('/hold').answer, app.get('/hold').answer];
    const leaving = lines(app)[1].id;
    await until(async () => (await tell(leaving, 'holding')) === '1', 'a request for each');
    const scaled = call('scale', app.id, 1);
    await until(() => lines(app)[1]?.role === 'draining', () => `a container that drains: ${JSON.stringify(lines(app))}`);
    assert.deepEqual(await answersOf(app), new Set([short(lines(app)[0].id)]), 'it gets no new requests');
    await goesOn(leaving);
    assert.deepEqual([lines(app)[1].status, lines(app)[1].role], ['running', 'draining']);
    await tell(leaving, 'release');
    await tell(lines(app)[0].id, 'release');
    assert.deepEqual((await Promise.all(held)).map(({ status, text }) => [status, text]), [[200, 'released'], [200, 'released']]);
    assert.equal(await scaled, true);
    await until(() => lines(app).length === 1, 'its end');
    const { State } = await container(leaving);
    assert.deepEqual([State.Running, State.ExitCode], [false, 0], 'it ended by itself');
    await app.call('remove');
  });

  it('stop, start and restart together', async () => {
    const app = await launch('together', { replicas: 2 });
    const ids = lines(app).map(({ id }) => id);
    assert.equal(await app.call('stop'), true);
    assert.deepEqual([app.document.status, app.document.health, app.document.port], ['stopped', 'none', null]);
    assert.deepEqual(lines(app).map(({ id, status, port }) => [id, status, port]), ids.map((id) => [id, 'stopped', null]));
    await app.get('/').expect(503);
    assert.equal(await call('scale', app.id, 3), true, 'for when it is started');
    assert.equal((await own(app)).filter(({ State }) => State.Running).length, 0);
    assert.equal(await app.call('start'), true);
    assert.deepEqual(lines(app).map(({ status }) => status), ['running', 'running', 'running']);
    assert.deepEqual(lines(app).slice(0, 2).map(({ id }) => id), ids);
    await call('awaitReady', app.id);

    const started = lines(app).map(({ startedAt }) => +startedAt);
    const visitors = Visitors.of(world, 'together.test');
    const versions = world.ddp.history('AppInstances', app.id).length;
    assert.equal(await app.call('restart'), true);
    assert.ok(lines(app).every(({ startedAt }, i) => +startedAt > started[i]), 'each was started again');
    await visitors.comeAgain();
    await visitors.leave();
    assert.deepEqual(visitors.failures, []);
    const serve = ({ status, health, role }) => [status, health, role].join() === 'running,healthy,serving';
    const shown = world.ddp.history('AppInstances', app.id).slice(versions).flatMap(({ fields }) => (fields?.containers ? [fields.containers] : []));
    for (const all of shown) assert.ok(all.filter(serve).length >= 2, `one after the other: ${JSON.stringify(all)}`);
    await app.call('kill');
    assert.deepEqual(lines(app).map(({ exitCode, status }) => [exitCode, status]), Array(3).fill([137, 'stopped']));
    await app.call('remove');
  });

  it('have terminals and descriptions of their own', async () => {
    const app = await launch('looked-into', { replicas: 2 });
    const shown = async (options) => {
      const terminal = await Terminal.open(world.ddp, app.id, { command: ['hostname'], ...options });
      assert.deepEqual((await terminal.end()).last, { exit: 0 });
      return terminal.text.trim();
    };
    const [one, other] = lines(app).map(({ id }) => id);
    assert.equal(await shown({}), short(one));
    assert.equal(await shown({ replica: 0 }), short(one));
    assert.equal(await shown({ replica: 1 }), short(other));
    assert.equal((await call('getContainerInfo', app.id)).Id, one);
    assert.equal((await call('getContainerInfo', app.id, { replica: 0 })).Id, one);
    assert.equal((await call('ai/getContainerInfo', app.id, { replica: 1 })).Id, other);
    for (const method of ['execOpen', 'getContainerInfo']) {
      await refused(call(method, app.id, { replica: 2 }), 400, `The app instance with ID ${app.id} has no replica 2: they are numbered from 0 to 1`);
      for (const replica of ['a', -1, 0.5]) await refused(call(method, app.id, { replica }), 400, /replica option/);
    }
    // What the first one cannot do the other does.
    await docker('pause', other);
    await docker('unpause', other);
    await docker('kill', one);
    await until(() => lines(app)[0].status === 'stopped', 'its end');
    await refused(call('execOpen', app.id, { replica: 0 }), 400, `Replica 0 of the app instance with ID ${app.id} does not run`);
    assert.equal(await shown({}), short(other));
    await app.call('remove');
  });

  it('are told apart by figures and logs', async () => {
    const app = await launch('watched', { replicas: 2, env: { LINES: '2' } });
    const client = await world.connect();
    await client.subscribe('appLogs', app.id);
    await client.subscribe('appStats', app.id, { history: false });
    const logs = () => [...client.collection('AppLogs').values()].sort((a, b) => a.n - b.n);
    const figures = () => [...client.collection('AppStats').values()].sort((a, b) => a.replica - b.replica);
    const said = (replica, text) => logs().filter((line) => line.replica === replica && line.text === text);
    await until(() => said(0, 'line 2').length === 1 && said(1, 'line 2').length === 1, 'what both wrote');
    assert.deepEqual(new Set(logs().map(({ replica, containerId }) => `${replica} ${containerId}`)), new Set(lines(app).map(({ replica, id }) => `${replica} ${id}`)));
    await until(() => figures().length === 2, 'figures of both');
    assert.deepEqual(figures().map(({ replica, containerId, restarts }) => [replica, containerId, restarts]), lines(app).map(({ replica, id }) => [replica, id, 0]));

    await tell(lines(app)[1].id, 'exit?code=1');
    await until(() => lines(app)[1].restarts === 1 && lines(app)[1].health === 'healthy', () => `the restart: ${JSON.stringify(lines(app))}`);
    await until(() => said(1, 'line 2').length === 2, 'what it wrote after that');
    await until(() => figures().length === 2 && figures()[1].restarts === 1, () => `figures of both: ${JSON.stringify(figures())}`);
    assert.equal(figures()[0].restarts, 0);

    // Those of a release that is on its way are there as well.
    await call('setEnvironment', app.id, { LINES: '2', STATE: 'starting', RELEASE: '2' });
    await until(() => figures().length === 4, () => `figures of both releases: ${JSON.stringify(lines(app).map(({ id, role }) => [id, role]))}`);
    assert.deepEqual(lines(app).map(({ role }) => role), ['serving', 'serving', 'coming', 'coming']);
    await until(() => said(0, 'listening, starting').length === 1 && said(1, 'listening, starting').length === 1, 'what they write');
    for (const { id, role } of lines(app)) if (role === 'coming') await tell(id, 'turn?to=ready');
    await until(() => figures().length === 2 && lines(app).length === 2, 'the end of the old ones');
    assert.deepEqual(figures().map(({ containerId }) => containerId), lines(app).map(({ id }) => id));
    await until(() => said(0, 'SIGTERM').length === 1 && said(1, 'SIGTERM').length === 1, 'the last words of the old ones');
    await client.close();
    await app.call('remove');
  });
});
