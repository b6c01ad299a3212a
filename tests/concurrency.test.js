// Two callers doing the same thing at once get consistent answers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { container, image } from './support/docker.js';
import { until } from './support/until.js';
import { World, appImage, imagePrefix, refused, required } from './support/world.js';

describe('at once', () => {
  let world, one, two;

  before(async () => {
    world = await World.start();
    await world.app();
    [one, two] = [await world.connect(), await world.connect()];
  });
  after(() => world?.close());

  const settled = (...calls) => Promise.all(calls.map((call) => call.then((result) => ({ result }), (error) => ({ error }))));

  it('two builds of one name are one build', async () => {
    const name = `${imagePrefix}twice`;
    const url = world.archives.serve('twice.tar', dockerfile(`FROM ${appImage}\nRUN sleep 2\n`));
    const answers = await Promise.all([one, two, one].map((ddp) => ddp.call('buildImageIfNotExist', name, url)));
    assert.deepEqual(answers, [true, true, true]);
    assert.equal(world.archives.requests.get('/twice.tar'), 1, 'downloaded once');
    const made = await image(name);
    await until(() => world.imageDocuments(name)[0]?.imageId === made.Id, 'the document');
    assert.equal(world.imageDocuments(name).length, 1);
  });

  it('two builds of one name that fail both say so', async () => {
    const url = world.archives.serve('fails.tar', dockerfile(`FROM ${appImage}\nRUN sleep 1 && exit 3\n`));
    const calls = [one, two].map((ddp) => refused(ddp.call('buildImageIfNotExist', `${imagePrefix}fails`, url), 500));
    await Promise.all(calls);
    assert.deepEqual(world.imageDocuments(`${imagePrefix}fails`), []);
  });

  it('a build holds up nothing else of the same caller', async () => {
    const url = world.archives.serve('slow.tar', dockerfile(`FROM ${appImage}\nRUN sleep 5\n`));
    let built = false;
    const build = one.call('buildImageIfNotExist', `${imagePrefix}slow`, url).then(() => (built = true));
    await refused(one.call('startAppInstance', 'none'), 400);
    assert.equal(built, false, 'the later call was answered first');
    await build;
  });

  it('one of two instances gets the hostname', async () => {
    const a = await world.launch('a', { hostname: 'a.test' });
    const b = await world.launch('b', { hostname: 'b.test' });
    for (let round = 0; round < 10; round++) {
      const hostname = `wanted-${round}.test`;
      const answers = await settled(one.call('addHostname', a.id, hostname), two.call('addHostname', b.id, hostname));
      const winner = answers.findIndex(({ result }) => result === true);
      assert.notEqual(winner, -1);
      const { error } = answers[1 - winner];
      const owner = [a, b][winner];
      assert.equal(error?.error, 400);
      assert.equal(error.details, `"${hostname}" is already listed as a hostname for the app instance with ID ${owner.id}`);
      const { Config } = await owner.container();
      assert.equal((await world.get(hostname, '/inside').expect(200)).json().container, Config.Hostname);
    }
    assert.equal(a.document.hostnames.length + b.document.hostnames.length, 12);
    await a.call('remove');
    await b.call('remove');
  });

  it('one of two launches gets the hostname, and the other leaves nothing', async () => {
    const before = new Set(world.instances.keys());
    const options = { appImage, ...required, hostname: 'contested.test' };
    const answers = await settled(one.call('launchAppInstance', options), two.call('launchAppInstance', options));
    const [{ result: id }, ...more] = answers.filter(({ result }) => result);
    assert.deepEqual(more, []);
    assert.equal(answers.find(({ error }) => error).error.error, 400);
    await world.status(id, 'running');
    await world.agreement();
    assert.deepEqual([...world.instances.keys()].filter((known) => !before.has(known)), [id]);
    await world.ddp.call('removeAppInstance', id);
  });

  it('the same hostname twice for one instance is there once', async () => {
    const app = await world.launch('same', { hostname: 'same.test' });
    const answers = await settled(one.call('addHostname', app.id, 'again.test'), two.call('addHostname', app.id, 'again.test'));
    assert.ok(answers.some(({ result }) => result === true));
    await until(() => app.document.hostnames.includes('again.test'), 'the hostname');
    assert.deepEqual(app.document.hostnames, ['same.test', 'again.test']);
    await app.call('remove');
  });

  for (const verb of ['start', 'stop', 'restart', 'kill', 'remove']) {
    it(`remove during ${verb}`, async () => {
      const app = await world.launch(`during-${verb}`, { hostname: `during-${verb}.test` });
      const { containerId } = app.document;
      if (verb === 'start') await app.call('stop');
      const [first, removed] = await settled(one.call(`${verb}AppInstance`, app.id), two.call('removeAppInstance', app.id));
      for (const { error } of [first, removed]) if (error) assert.ok([400, 500].includes(error.error), `${error}`);
      assert.ok(removed.result === true || (verb === 'remove' && first.result === true), 'it was removed');
      await until(() => app.document === undefined, 'the document to go');
      assert.equal(await container(containerId), null);
      await world.agreement();
      await app.get('/').expect(404);
    });
  }

  it('start and stop, many times over, end in what was asked last', async () => {
    const app = await world.launch('wavering', { hostname: 'wavering.test' });
    await settled(...Array.from({ length: 6 }, (_, i) => (i % 2 ? one : two).call(i % 2 ? 'startAppInstance' : 'killAppInstance', app.id)));
    await app.call('start');
    await app.status('running');
    await world.agreement();
    await app.answering();
    await app.call('kill');
    await app.status('stopped');
    await world.agreement();
    await app.call('remove');
  });

  it('ten launches are ten apps', async () => {
    const ids = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (i % 2 ? one : two).call('launchAppInstance', { appImage, ...required, hostname: `ten-${i}.test` })),
    );
    assert.equal(new Set(ids).size, 10);
    const seen = new Set();
    for (let i = 0; i < 10; i++) {
      await until(async () => (await world.get(`ten-${i}.test`)).status === 200, `app ${i}`);
      seen.add((await world.get(`ten-${i}.test`, '/inside').expect(200)).json().container);
    }
    assert.equal(seen.size, 10);
    assert.deepEqual(await Promise.all(ids.map((id, i) => (i % 2 ? one : two).call('removeAppInstance', id))), ids.map(() => true));
    await world.agreement();
  });
});
