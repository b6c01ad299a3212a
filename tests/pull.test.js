// Images that are not present: pulled from a real registry.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { image } from './support/docker.js';
import { Registry } from './support/registry.js';
import { until } from './support/until.js';
import { World, refused, required } from './support/world.js';

describe('an image that is not present', () => {
  let world, registry;

  before(async () => {
    [world, registry] = [await World.start(), await Registry.start()];
  });
  after(async () => {
    await world?.close();
    await registry?.close();
  });

  it('is pulled, and that is shown', async () => {
    const name = await registry.only(world, 'shown');
    const app = await world.launch('shown', { appImage: name, hostname: 'shown.test' });
    assert.ok(await image(name));
    const statuses = world.ddp.history('AppInstances', app.id).map(({ fields }) => fields?.status).filter(Boolean);
    assert.ok(statuses.indexOf('pulling') >= 0 && statuses.indexOf('pulling') < statuses.indexOf('running'), statuses.join());
    const [document] = world.imageDocuments(name);
    assert.equal(document.status, 'ready');
    assert.equal(document.imageId, (await image(name)).Id);
    await app.call('remove');
  });

  it('is pulled once for all who want it', async () => {
    const name = await registry.only(world, 'shared');
    const launches = ['one', 'two', 'three'].map((each) => world.launch(each, { appImage: name }));
    const apps = await Promise.all(launches);
    await until(() => world.imageDocuments(name).every(({ status }) => status === 'ready'), 'the pull to be over');
    assert.equal(world.imageDocuments(name).length, 1);
    for (const app of apps) await app.call('remove');
  });

  it('that the registry does not have either is an error that names it, and leaves nothing', async () => {
    const name = `${registry.host}/nobody/has:this`;
    const { details } = await refused(world.ddp.call('launchAppInstance', { appImage: name, ...required }), 500);
    assert.match(details, /nobody\/has:this/);
    await until(() => world.imageDocuments(name).length === 0, 'the document to go');
    await world.agreement();
  });
});
