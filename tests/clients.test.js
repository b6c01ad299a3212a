// DDP clients that others wrote, and ddp-client, do everything that the launcher offers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { container, docker } from './support/docker.js';
import { Foreign, libraries } from './support/foreign.js';
import { until } from './support/until.js';
import { World, imagePrefix, required } from './support/world.js';

describe('foreign DDP clients', () => {
  let world, archive;

  before(async () => {
    world = await World.start();
    await world.app();
    archive = world.archives.serve('tiny.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n'));
  });
  after(() => world?.close());

  for (const [library, name] of Object.entries(libraries)) {
    it(`${name} calls all eleven methods and follows the collections`, async () => {
      const client = await Foreign.connect(library, world.url, ['AppInstances', 'DockerImages']);
      try {
        await client.subscribe('appInstances');
        await client.subscribe('dockerImages');

        const built = `${imagePrefix}by-${library}`;
        assert.equal(await client.call('buildImageIfNotExist', built, archive), true);
        await until(() => [...client.collection('DockerImages').values()].some((image) => image.name.startsWith(built)), 'the image');

        const hostname = `${library}.test`;
        const id = await client.call('launchAppInstance', { appImage: await world.app(), ...required, hostname, env: { COLOUR: 'red' } });
        assert.match(id, /^[2-9A-HJ-NP-TW-Za-km-z]{17}$/);
        const document = () => client.collection('AppInstances').get(id);
        const shown = (status) => until(() => document()?.status === status, () => `status ${status}, is ${JSON.stringify(document())}`);
        await shown('running');
        assert.deepEqual(document().hostnames, [hostname]);

        assert.equal((await client.call('getEnvironmentVariables', id)).COLOUR, 'red');
        assert.equal((await client.call('getContainerInfo', id)).Id, document().containerId);

        assert.equal(await client.call('stopAppInstance', id), true);
        await shown('stopped');
        assert.equal(await client.call('startAppInstance', id), true);
        await shown('running');
        assert.equal(await client.call('restartAppInstance', id), true);
        await shown('running');
        assert.equal(await client.call('killAppInstance', id), true);
        await shown('stopped');
        assert.equal(await client.call('startAppInstance', id), true);
        await shown('running');

        assert.equal(await client.call('addHostname', id, `also-${hostname}`), true);
        await until(() => document().hostnames.includes(`also-${hostname}`), 'the new hostname');
        assert.equal(await client.call('removeHostname', id, `also-${hostname}`), true);
        await until(() => !document().hostnames.includes(`also-${hostname}`), 'the hostname to go');

        assert.equal(await client.call('removeAppInstance', id), true);
        await until(() => !client.collection('AppInstances').has(id), 'the document to go');

        const refusal = await client.call('startAppInstance', id).catch((error) => error);
        assert.deepEqual(refusal, { error: 400, reason: 'Bad request', details: `No app instance has ID ${id}` });
      } finally {
        await client.close();
      }
    });

    it(`${name} sees the container die by docker kill, and come back no sooner than a second later`, async () => {
      const client = await Foreign.connect(library, world.url, ['AppInstances']);
      try {
        await client.subscribe('appInstances');
        const app = await world.launch(`killed-${library}`);
        const seen = () => client.history('AppInstances', app.id, 'status');
        await until(() => seen().at(-1) === 'running', 'running');
        const before = seen().length;
        const { containerId } = app.document;

        await docker('kill', containerId);
        await until(() => seen().slice(before).includes('stopped'), () => `stopped among ${seen()}`);
        await until(() => seen().at(-1) === 'running', () => `running again after ${seen()}`);

        // Docker's own times, of the exit and of the start that followed it.
        const { State } = await container(containerId);
        const apart = Date.parse(State.StartedAt) - Date.parse(State.FinishedAt);
        assert.ok(apart >= 1000, `${apart} ms between exit and start`);
        await app.call('remove');
      } finally {
        await client.close();
      }
    });
  }
});
