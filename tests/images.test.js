// The list of images: it follows the engine, whoever works on it, and what is in use stays.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { docker, image } from './support/docker.js';
import { Registry } from './support/registry.js';
import { EngineRelay } from './support/relay.js';
import { until } from './support/until.js';
import { World, imagePrefix, refused, required } from './support/world.js';

describe('the list of images', () => {
  let world, app;
  const made = [];

  before(async () => {
    world = await World.start();
    app = await world.app();
  });
  after(async () => {
    await world?.close();
    for (const name of made) await docker('rmi', '--force', name).catch(() => {});
  });

  // A name that the test has for itself, removed in the end.
  const named = (name) => {
    made.push(imagePrefix + name);
    return imagePrefix + name;
  };
  // An image of its own, made by hand.
  async function byHand(name, label = name) {
    const container = await docker('create', '--label', `own=${label}`, app);
    await docker('commit', '--change', `LABEL own=${label}`, container, named(name));
    await docker('rm', container);
    return imagePrefix + name;
  }
  const document = (name) => world.imageDocuments(name)[0];
  const listed = async (name) => {
    await until(() => document(name), `${name} to be listed`);
    return document(name);
  };
  const vanished = (name) => until(() => !document(name), `${name} to vanish`);
  const launch = (name) => world.ddp.call('launchAppInstance', { appImage: name, ...required });
  const call = (method, ...params) => world.ddp.call(method, ...params);

  it('has what is on the engine when the launcher starts, and what is made, tagged and removed by hand', async () => {
    assert.ok(document(app), 'from the beginning');
    const name = await byHand('by-hand:1');
    const first = await listed(name);
    assert.equal(first.status, 'ready');
    assert.equal(first.imageId, (await image(name)).Id);
    assert.equal(first.size, (await image(name)).Size);
    assert.equal(first.createdAt.getTime(), Math.floor(Date.parse((await image(name)).Created) / 1000) * 1000);
    assert.deepEqual([first.inUse, first.digest], [0, null]);
    assert.equal(first.sourceUrl, document(app).sourceUrl, 'it has the labels of what it was made from');

    await docker('tag', name, named('by-hand:2'));
    const second = await listed(`${imagePrefix}by-hand:2`);
    assert.equal(second.imageId, first.imageId);
    assert.notEqual(second._id, first._id);

    const other = await byHand('by-hand:3', 'other');
    await docker('tag', other, name);
    await until(() => document(name).imageId !== first.imageId, 'the name to stand for the other image');
    assert.equal(document(name)._id, first._id);
    assert.equal(document(`${imagePrefix}by-hand:2`).imageId, first.imageId);

    // What was the first image has no name then, and no document.
    await docker('rmi', `${imagePrefix}by-hand:2`);
    await vanished(`${imagePrefix}by-hand:2`);
    assert.ok(![...world.images.values()].some(({ imageId }) => imageId === first.imageId));
    await docker('rmi', name, other);
    await vanished(name);
    await vanished(other);
  });

  it('tells what an image was built from, and the same after a restart', async () => {
    await world.build('told', dockerfile(`FROM ${app}\nLABEL own=told\n`));
    const name = named('told');
    const told = document(name);
    assert.match(told.sourceUrl, /^http:\/\/127\.0\.0\.1:\d+\/told-\d+\.tar$/);
    assert.equal(told.name, name, 'as it was asked for');
    await world.crash();
    await world.startLauncher();
    assert.deepEqual(await listed(name), told);
    assert.ok(document(app)._id);
  });

  it('counts the instances that want or run an image', async () => {
    const name = await byHand('counted');
    await docker('tag', name, named('counted:alias'));
    await listed(`${imagePrefix}counted:alias`);
    const one = await launch(name);
    assert.equal(document(name).inUse, 1, 'before the launch returns');
    const two = await launch(`${name}:latest`);
    assert.equal(document(name).inUse, 2);
    await until(() => document(`${name}:alias`).inUse === 2, 'what runs to count by its other name');
    await call('stopAppInstance', one);
    assert.equal(document(name).inUse, 2);
    await call('removeAppInstance', one);
    assert.equal(document(name).inUse, 1);
    await call('removeAppInstance', two);
    assert.equal(document(name).inUse, 0);
  });

  it('image/remove refuses what an instance or any container needs, then removes tag and data', async () => {
    const name = await byHand('removed');
    await docker('tag', name, named('removed:2'));
    const { _id, imageId } = await listed(name);
    const id = await launch(name);
    await call('stopAppInstance', id);
    await refused(call('image/remove', _id), 400, new RegExp(`in use by the app instance ${id}`));
    await refused(call('image/remove', `${name}:2`), 400, new RegExp(`launcher-${id}`));
    await call('removeAppInstance', id);

    const stranger = `${imagePrefix.replace(/\W/g, '-')}stranger`;
    await docker('create', '--name', stranger, name);
    await refused(call('image/remove', _id), 400, new RegExp(`in use by the container ${stranger}`));
    await docker('rm', stranger);

    assert.equal(await call('image/remove', _id), true);
    assert.equal(document(name), undefined, 'before it returns');
    assert.ok(await image(imageId), 'it has another name');
    assert.equal(await call('image/remove', `${name}:2`), true);
    assert.equal(await image(imageId), null);
    await refused(call('image/remove', _id), 400, `No image has ID ${_id}`);
    await refused(call('image/remove', 'sha256:nothing'), 400, 'No image has ID sha256:nothing');
    await refused(call('image/remove'), 400, /imageId/);
    await refused(call('image/remove', { $ne: null }), 400, /imageId/);
    await refused(call('image/remove', 'x'.repeat(600)), 400, /imageId/);
  });

  it('a launch and image/remove at once leave an instance that runs, or none', async () => {
    for (let round = 0; round < 5; round += 1) {
      const name = await byHand(`raced:${round}`);
      await listed(name);
      const [launched, removed] = await Promise.allSettled([launch(name), call('image/remove', name)]);
      if (launched.status === 'fulfilled') {
        assert.equal(removed.reason?.error, 400);
        assert.equal(world.instances.get(launched.value).status, 'running');
        await call('removeAppInstance', launched.value);
      } else {
        assert.equal(removed.value, true);
        assert.equal(await image(name), null);
        assert.match(launched.reason.details, /cannot be pulled/);
      }
      assert.ok(![...world.instances.values()].some((instance) => instance.image === name));
      await world.agreement();
    }
  });

  it('an image that is being built says so, and is neither removed nor taken for absent', async () => {
    const name = named('slow');
    const url = world.archives.serve('slow.tar', dockerfile(`FROM ${app}\nUSER root\nRUN sleep 600\n`));
    const build = await call('image/build', { name, url });
    await until(() => document(name)?.status === 'building', 'the build to show');
    assert.equal(await call('image/status', name), 'building');
    assert.equal(await call('image/exists', name), false);
    await refused(call('image/remove', document(name)._id), 400, /being built.*image\/cancelBuild/);
    await call('image/cancelBuild', build);
    await vanished(name);
    assert.equal(await call('image/status', name), 'missing');
  });

  it('image/addFromArchive is buildImageIfNotExist; what it made cannot be made again without the archive', async () => {
    const name = named('from-archive');
    const url = world.archives.serve('from-archive.tar', dockerfile(`FROM ${app}\nLABEL own=from-archive\n`));
    assert.equal(await call('image/addFromArchive', name, url), true);
    const { _id } = document(name);
    assert.equal(await call('image/exists', name), true);
    assert.equal(await call('image/status', name), 'ready');
    assert.equal(await call('image/add', name), _id);
    assert.equal(await call('image/createOnAllHosts', _id), true);
    await docker('rmi', name);
    await vanished(name);
    await refused(call('image/createOnAllHosts', _id), 400, /archive that is not kept \(http:.*from-archive\.tar\)/);
    await refused(call('image/createOnAllHosts', 'NoSuchImageEver77'), 400, 'No image has ID NoSuchImageEver77');
  });

  it('is the same for two launchers, each with its own instances', async () => {
    const other = await World.start();
    try {
      const name = await byHand('shared');
      const mine = await listed(name);
      await until(() => other.imageDocuments(name).length === 1, 'the other to list it');
      const id = await other.ddp.call('launchAppInstance', { appImage: name, ...required });
      assert.deepEqual([other.imageDocuments(name)[0].inUse, document(name).inUse], [1, 0]);
      await refused(call('image/remove', mine._id), 400, new RegExp(`in use by the container launcher-${id}`));
      await other.ddp.call('removeAppInstance', id);
      await call('image/remove', mine._id);
      await until(() => other.imageDocuments(name).length === 0, 'the other to see it vanish');
    } finally {
      await other.close();
    }
  });
});

describe('images of a registry', () => {
  let world, registry;

  before(async () => {
    [world, registry] = [await World.start(), await Registry.start()];
  });
  after(async () => {
    await world?.close();
    await registry?.close();
  });

  it('image/add pulls, or lists what is there, and keeps the _id when it is pulled again', async () => {
    const name = await registry.only(world, 'added:1.0');
    const id = await world.ddp.call('image/add', name);
    const document = world.images.get(id);
    assert.equal(document.name, name);
    assert.equal(document.status, 'ready');
    assert.deepEqual((await image(name)).RepoDigests, [`${name.replace(':1.0', '')}@${document.digest}`]);
    assert.match(document.sourceUrl, /\/to-push-added-1\.0-\d+\.tar$/, 'its labels went with it');

    await docker('rmi', name);
    await until(() => !world.images.get(id), 'it to vanish');
    assert.equal(await world.ddp.call('image/createOnAllHosts', id), true);
    assert.equal(world.images.get(id).imageId, document.imageId);
    await world.ddp.call('image/remove', id);
    assert.equal(await image(name), null);
    assert.equal(await world.ddp.call('image/add', name), id);
    assert.deepEqual(world.images.get(id), document);
  });

  it('by a digest an image is listed that was asked for by it', async () => {
    const name = await registry.only(world, 'fixed');
    await world.ddp.call('image/add', name);
    const [{ digest, _id }] = world.imageDocuments(name);
    const fixed = `${name}@${digest}`;
    const id = await world.ddp.call('image/add', fixed);
    assert.equal(world.images.get(id).digest, digest);
    assert.equal(world.images.get(id).name, fixed);
    await world.ddp.call('image/remove', _id);
    await world.ddp.call('image/remove', id).catch(({ details }) => assert.match(details, /No image has ID/));
    assert.equal(await image(fixed), null);

    await docker('pull', '--quiet', fixed);
    await until(() => world.images.get(id), 'what was pulled by hand to be listed');
    assert.equal(await world.ddp.call('image/add', fixed), id);
    await world.crash();
    await world.startLauncher();
    assert.equal(world.images.get(id).name, fixed);
    assert.equal(await world.ddp.call('image/remove', id), true);
    assert.equal(await image(fixed), null);
  });

  it('one that the registry does not have is an error, and not listed', async () => {
    const name = `${registry.host}/nobody/has:this`;
    await refused(world.ddp.call('image/add', name), 500, /nobody\/has:this/);
    await until(() => world.imageDocuments(name).length === 0, 'the document to go');
  });
});

describe('an engine that goes away', () => {
  it('has the images that it had, and what happened meanwhile is seen when it is back', async () => {
    const relay = await EngineRelay.start();
    const world = await World.start({ flags: ['--docker-host', `unix://${relay.path}`] });
    const [lost, found] = [`${imagePrefix}lost:1`, `${imagePrefix}found:1`];
    try {
      const app = await world.app();
      await docker('tag', app, lost);
      await until(() => world.imageDocuments(lost).length === 1, 'the tag to be seen');
      await relay.cut();
      await docker('rmi', lost);
      await docker('tag', app, found);
      await refused(world.ddp.call('image/exists', app), 500, /cannot be reached/);
      await refused(world.ddp.call('image/remove', app), 500, /cannot be reached/);
      assert.equal(world.imageDocuments(lost).length, 1);
      await relay.mend();
      await until(() => world.imageDocuments(found).length === 1, 'the new tag to be seen');
      await until(() => world.imageDocuments(lost).length === 0, 'the old one to vanish');
    } finally {
      await docker('rmi', lost).catch(() => {});
      await docker('rmi', found).catch(() => {});
      await world.close();
      await relay.close();
    }
  });
});
