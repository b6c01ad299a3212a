// Mistakes of the launcher of 2014 that must not come back, as far as they can: each once had users waiting.
// (Hosts, API tokens and accounts are not there yet, so neither is "a host that missed one ping was inactive for ever"
// nor "an unset API token equalled a missing one".)
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { container, docker, hostPort, image } from './support/docker.js';
import { EngineRelay } from './support/relay.js';
import { until } from './support/until.js';
import { World, appImage, imagePrefix, refused, required } from './support/world.js';

describe('the old program', () => {
  let world, relay;
  before(async () => {
    relay = await EngineRelay.start();
    world = await World.start({ env: { DOCKER_HOST: `unix://${relay.path}` } });
    await world.app();
  });
  after(async () => {
    await world?.close();
    await relay?.close();
  });

  it('kept routes that removeHostname had removed', async () => {
    const app = await world.launch('one', { hostname: 'one.test' });
    await app.get('/').expect(200);
    assert.equal(await world.ddp.call('removeHostname', app.id, 'one.test'), true);
    await app.get('/').expect(404);
    assert.deepEqual(app.document.hostnames, []);
    await app.call('remove');
  });

  it('kept the old port after start and restart', async () => {
    const app = await world.launch('two', { hostname: 'two.test' });
    for (const verbs of [['restart'], ['stop', 'start'], ['kill', 'start']]) {
      for (const verb of verbs) await app.call(verb);
      await app.status('running');
      assert.equal(app.document.port, hostPort(await app.container()));
      await app.answering();
    }
    // Document and route carry the new port before the status says running.
    let port;
    let status;
    for (const { fields = {} } of world.ddp.history('AppInstances', app.id)) {
      port = fields.port ?? port;
      if (fields.status === 'running' && status !== 'running') assert.ok(port > 0, 'a port before running');
      status = fields.status ?? status;
    }
    await app.call('remove');
  });

  it('used the identifier as a backend when addHostname came twice', async () => {
    const app = await world.launch('three', { hostname: 'three.test' });
    for (let i = 0; i < 3; i++) await world.ddp.call('addHostname', app.id, 'three.test').catch((error) => assert.equal(error.error, 400));
    assert.deepEqual(app.document.hostnames, ['three.test']);
    for (let i = 0; i < 10; i++) await app.get('/').expect(200);
    await world.ddp.call('removeHostname', app.id, 'three.test');
    await app.get('/').expect(404);
    await app.call('remove');
  });

  it('left the container of a stopped instance behind when it was removed', async () => {
    const app = await world.launch('four', { hostname: 'four.test' });
    const { containerId } = app.document;
    await app.call('stop');
    assert.equal(await app.call('remove'), true);
    assert.equal(await container(containerId), null);
    assert.equal(app.document, undefined);
  });

  it('published database passwords', async () => {
    const app = await world.launch('five');
    const stranger = await world.connect();
    await stranger.subscribe('appInstances');
    assert.ok(stranger.collection('AppInstances').has(app.id));
    assert.doesNotMatch(JSON.stringify(stranger.messages), /hunter2/);
    await stranger.close();
    await app.call('remove');
  });

  it('heard nothing more of Docker once the event stream broke', async () => {
    const app = await world.launch('six', { hostname: 'six.test' });
    relay.breakOff();
    const seen = world.ddp.history('AppInstances', app.id).length;
    await docker('kill', app.document.containerId);
    const statuses = () => world.ddp.history('AppInstances', app.id).slice(seen).map(({ fields }) => fields?.status);
    await until(() => statuses().includes('stopped'), 'stopped');
    await app.status('running');
    await world.agreement();
    await app.call('remove');
  });

  it('crashed when the download of an archive failed', async () => {
    const url = world.archives.serve('seven.tar', (request, response) => response.destroy());
    await refused(world.ddp.call('buildImageIfNotExist', `${imagePrefix}seven`, url), 500);
    assert.equal(world.exitCode, null);
    await world.health().expect(200);
  });

  it('said that a build was done when it had begun', async () => {
    const name = `${imagePrefix}eight`;
    const url = world.archives.serve('eight.tar', dockerfile(`FROM ${appImage}\nRUN sleep 2 && echo done >/tmp/done\n`));
    assert.equal(await world.ddp.call('buildImageIfNotExist', name, url), true);
    assert.ok(await image(name), 'the image is there when the method answers');
  });

  it('left a container without route or record when the hostname was taken', async () => {
    const first = await world.launch('nine', { hostname: 'nine.test' });
    const before = (await world.containers()).map(({ Id }) => Id);
    const launch = world.ddp.call('launchAppInstance', { appImage, ...required, hostname: 'nine.test' });
    await refused(launch, 400, `"nine.test" is already listed as a hostname for the app instance with ID ${first.id}`);
    assert.deepEqual((await world.containers()).map(({ Id }) => Id), before);
    assert.deepEqual([...world.instances.keys()], [first.id]);
    await world.agreement();
    await first.call('remove');
  });

  it('let admin in with the password admin', async () => {
    const login = world.ddp.call('login', { user: { username: 'admin' }, password: 'admin' });
    await assert.rejects(login, ({ error }) => [403, 404].includes(error));
  });
});
