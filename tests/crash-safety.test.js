// kill -9 of the launcher at bad moments: the next start finds the truth, and disturbs nothing that is well.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { docker, image } from './support/docker.js';
import { until } from './support/until.js';
import { World, appImage, imagePrefix, refused, required } from './support/world.js';

// What is promised: state agrees with Docker within ten seconds of the new start.
const PROMISED_MS = 10_000;

describe('a launcher that is killed', () => {
  let world, healthy, untouched;

  const identity = async (app) => {
    const { Id, State } = await app.container();
    return { Id, StartedAt: State.StartedAt, Pid: State.Pid };
  };

  before(async () => {
    world = await World.start();
    healthy = await world.launch('healthy', { hostname: 'healthy.test' });
    untouched = await identity(healthy);
  });
  after(() => world?.close());

  // Kills, starts again, and holds the new launcher to its promises.
  async function again() {
    await world.crash();
    await world.startLauncher();
    await world.agreement(PROMISED_MS);
    assert.deepEqual(await identity(healthy), untouched, 'the healthy container was left alone');
    await healthy.get('/').expect(200);
  }

  // A call whose answer the crash takes away.
  const cutOff = (call) => call.then(() => 'answered', () => 'cut off');

  it('while nothing happens', again);

  it('and an app that died meanwhile is seen', async () => {
    const app = await world.launch('meanwhile', { hostname: 'meanwhile.test' });
    await app.call('stop');
    const running = await world.launch('died-meanwhile', { hostname: 'died-meanwhile.test' });
    await world.crash();
    await docker('kill', running.document.containerId);
    await docker('start', app.document.containerId);
    await world.startLauncher();
    // The one that should run runs again, the one that should not is stopped.
    await running.status('running');
    await app.status('stopped');
    await world.agreement();
    await running.answering();
    await app.call('remove');
    await running.call('remove');
  });

  it('and a container that was removed meanwhile is made again', async () => {
    const app = await world.launch('vanished', { hostname: 'vanished.test' });
    await world.crash();
    await docker('rm', '--force', app.document.containerId);
    await world.startLauncher();
    await world.agreement();
    await app.status('running');
    await app.answering();
    await app.call('remove');
  });

  const moments = {
    'as soon as it is asked': () => true,
    'when the record is there': (id) => id !== undefined,
    'when the container is there': (id, containers) => containers.some(({ Config }) => Config.Labels['launcher.instance'] === id),
  };

  for (const [moment, reached] of Object.entries(moments)) {
    it(`in a launch, ${moment}`, async () => {
      const known = new Set(world.instances.keys());
      const launch = cutOff(world.ddp.call('launchAppInstance', { appImage, ...required, hostname: 'cut-launch.test' }));
      const newest = () => [...world.instances.keys()].find((id) => !known.has(id));
      let done = false;
      launch.then(() => (done = true));
      await until(async () => done || reached(newest(), await world.containers()), moment);
      await again();
      await launch;

      // Either the launch never was, or its instance runs.
      const instances = [...world.instances.values()].filter(({ _id }) => !known.has(_id));
      assert.ok(instances.length <= 1);
      for (const { _id } of instances) {
        await world.status(_id, 'running');
        await until(async () => (await world.get('cut-launch.test')).status === 200, 'the app to answer');
        assert.equal(await world.ddp.call('removeAppInstance', _id), true);
      }
      await world.get('cut-launch.test').expect(404);
      await world.agreement();
    });

    it(`in a start, ${moment}`, async () => {
      const app = await world.launch('cut-start', { hostname: 'cut-start.test' });
      await app.call('stop');
      const start = cutOff(app.call('start'));
      await until(async () => reached(app.id, await world.containers()), moment);
      await again();
      await start;
      await app.call('start');
      await app.answering();
      await app.call('remove');
      await world.agreement();
    });
  }

  for (const [round, moment] of ['as soon as it is asked', 'a moment later'].entries()) {
    it(`in a remove, ${moment}`, async () => {
      const app = await world.launch('cut-remove', { hostname: `cut-remove-${round}.test` });
      const remove = cutOff(app.call('remove'));
      const first = world.ddp.messages.length;
      if (moment !== 'as soon as it is asked') {
        await until(() => world.ddp.messages.slice(first).some(({ id }) => id === app.id) || !app.document, 'the first sign of it');
      }
      await again();
      await remove;
      // Either it was never asked, or the new launcher goes on with it; it may be done at any moment.
      await app.call('remove').catch((error) => assert.equal(error.details, `No app instance has ID ${app.id}`));
      await until(() => app.document === undefined, 'the document to go');
      await world.agreement();
      await world.get(app.hostname).expect(404);
    });
  }

  it('in a build', async () => {
    const name = `${imagePrefix}cut-build`;
    const slow = dockerfile(`FROM ${appImage}\nRUN echo meteor-launcher-cut-build && sleep 20\n`);
    const url = world.archives.serve('cut-build.tar', slow);
    const build = cutOff(world.ddp.call('buildImageIfNotExist', name, url));
    const building = async () => (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes('meteor-launcher-cut-build');
    await until(building, 'the build to be in its long step');
    await again();
    assert.equal(await build, 'cut off');

    assert.equal(await image(name), null);
    assert.deepEqual(world.imageDocuments(name), []);
    assert.deepEqual(await world.leftovers(), []);
    await until(async () => !(await building()), 'the engine to give the build up');

    world.archives.serve('cut-build.tar', dockerfile(`FROM ${appImage}\nRUN true\n`));
    assert.equal(await world.ddp.call('buildImageIfNotExist', name, url), true);
    assert.ok(await image(name));
  });

  it('in a download', async () => {
    const name = `${imagePrefix}cut-download`;
    let asked = false;
    const url = world.archives.serve('cut-download.tar', (_, response) => {
      asked = true;
      response.writeHead(200, { 'Content-Length': 1 << 20 });
      response.write(Buffer.alloc(100_000));
    });
    const build = cutOff(world.ddp.call('buildImageIfNotExist', name, url));
    await until(() => asked, 'the download to begin');
    await again();
    assert.equal(await build, 'cut off');
    assert.deepEqual(world.imageDocuments(name), []);
    await until(async () => (await world.leftovers()).length === 0, async () => `temporary files to go: ${await world.leftovers()}`);
  });

  it('after a method answered: what it did is durable', async () => {
    await world.ddp.call('addHostname', healthy.id, 'durable.test');
    await world.crash();
    await world.startLauncher();
    assert.deepEqual(healthy.document.hostnames, ['healthy.test', 'durable.test']);
    await world.get('durable.test').expect(200);
    await world.ddp.call('removeHostname', healthy.id, 'durable.test');
    await again();
    await world.get('durable.test').expect(404);
  });

  it('again and again, in the middle of everything', async () => {
    for (let round = 0; round < 4; round++) {
      const calls = [
        world.ddp.call('launchAppInstance', { appImage, ...required, hostname: `round-${round}.test` }),
        world.ddp.call('addHostname', healthy.id, `extra-${round}.test`),
        refused(world.ddp.call('startAppInstance', 'none'), 400),
      ].map(cutOff);
      await until(() => world.ddp.messages.length > round * 3, 'something to happen');
      await again();
      await Promise.all(calls);
    }
    for (const { _id } of world.instances.values()) if (_id !== healthy.id) await world.ddp.call('removeAppInstance', _id);
    await world.agreement();
  });
});

describe('two launchers on one engine', () => {
  let one, other;
  before(async () => {
    one = await World.start();
    other = await World.start();
  });
  after(async () => {
    await one?.close();
    await other?.close();
  });

  it("leave each other's containers alone, also when they start again", async () => {
    const mine = await one.launch('mine', { hostname: 'same.test' });
    const theirs = await other.launch('theirs', { hostname: 'same.test' });
    const before = (await theirs.container()).State.StartedAt;
    await one.crash();
    await one.startLauncher();
    await one.agreement();
    assert.deepEqual([...one.instances.keys()], [mine.id]);
    await mine.call('remove');
    assert.equal((await theirs.container()).State.StartedAt, before);
    await theirs.get('/').expect(200);
  });
});
