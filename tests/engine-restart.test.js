// The Docker engine is restarted while app instances run, as an administrator does it and without any warning: the launcher says so, every
// instance runs again, and nothing runs twice. The engine is a second one, so that nobody else misses it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SecondEngine } from './support/engine.js';
import { smallApp, smallAppHealth } from './support/small-app.js';
import { until } from './support/until.js';
import { World } from './support/world.js';

describe('an engine that is restarted while instances run', () => {
  let engine, world, apps;
  const replicas = { one: 1, two: 2, stopped: 1 };

  before(async () => {
    engine = await SecondEngine.start();
    world = await World.start({ flags: ['--docker-host', engine.host] });
    const appImage = await world.build('small-app', await smallApp());
    apps = {};
    for (const [name, number] of Object.entries(replicas)) {
      const options = { appImage, hostname: `${name}.test`, env: { COLOUR: name }, replicas: number, health: smallAppHealth, wait: 'ready' };
      apps[name] = await world.launch(name, options);
    }
    await apps.stopped.call('stop');
  });
  after(async () => {
    await world?.close();
    await engine?.close();
  });

  const lines = (text) => text.split('\n').filter(Boolean).sort();
  const containers = async (app, ...flags) => lines(await engine.docker('ps', '--quiet', '--no-trunc', '--filter', `label=launcher.instance=${app.id}`, ...flags));
  const documents = () => Object.values(apps).map(({ document }) => document);
  const answers = async (app) => (await app.get('/').expect(200)).text.trim();

  async function isBack() {
    for (const name of ['one', 'two']) {
      const { status, health, error, containers: shown } = apps[name].document;
      const running = await containers(apps[name]);
      const healthy = shown.filter((line) => line.status === 'running' && line.health === 'healthy' && running.includes(line.id));
      if (status !== 'running' || health !== 'healthy' || error || running.length !== replicas[name] || healthy.length !== replicas[name]) return false;
    }
    return apps.stopped.document.status === 'stopped' && !apps.stopped.document.error;
  }

  for (const way of ['stop', 'kill']) {
    it(`(${way})`, async () => {
      const before = Object.fromEntries(await Promise.all(Object.entries(apps).map(async ([name, app]) => [name, await containers(app, '--all')])));
      await engine[way]();
      await until(async () => (await world.health()).status === 503, 'health to say so');
      assert.match((await world.health()).json().engine.error, /the Docker engine cannot be reached/);
      await until(() => documents().every(({ error }) => /the Docker engine cannot be reached/.test(error)), () => `documents to say so: ${JSON.stringify(documents())}`);
      assert.equal(world.exitCode, null);
      // Containers of an engine that was asked to end were ended by it before.
      if (way === 'stop') for (const name of ['one', 'two']) assert.equal(apps[name].document.port, null);

      const since = String(Date.now() / 1000);
      await engine.restart();
      await until(isBack, () => `everything to run again: ${JSON.stringify(documents())}`);
      assert.equal((await world.health()).status, 200);
      for (const name of ['one', 'two']) assert.equal(await answers(apps[name]), name);
      assert.equal((await apps.stopped.get('/').answer).status, 503);
      for (const [name, app] of Object.entries(apps)) assert.deepEqual(await containers(app, '--all'), before[name], 'the same containers');
      assert.deepEqual(await containers(apps.stopped), []);

      const filters = ['create', 'start'].flatMap((event) => ['--filter', `event=${event}`]);
      const told = await engine.docker('events', '--since', since, '--until', String(Date.now() / 1000), ...filters, '--format', '{{.Action}} {{.ID}}');
      const expected = ['one', 'two'].flatMap((name) => before[name].map((id) => `start ${id}`)).sort();
      assert.deepEqual(lines(told), expected, 'each was started once, and none was made');
    });
  }

  it('and does what is wished afterwards', async () => {
    await apps.stopped.call('start');
    await apps.stopped.answering();
    await world.ddp.call('scale', apps.two.id, 3);
    await until(async () => (await containers(apps.two)).length === 3, 'three containers');
    for (const app of Object.values(apps)) await app.call('remove');
    for (const app of Object.values(apps)) assert.deepEqual(await containers(app, '--all'), []);
  });
});
