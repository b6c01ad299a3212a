// Docker goes away in the middle of builds, pulls and pushes, or has no space left: what is said of it, that nothing is left, and that all
// goes on when it is back. The engine is a second one, so that nobody else misses it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { dockerfile } from './support/archives.js';
import { bundleFiles, carried, packed } from './support/bundles.js';
import { SecondEngine } from './support/engine.js';
import { Registry, Relay } from './support/registry.js';
import { until } from './support/until.js';
import { Watching } from './support/watching.js';
import { World, refused } from './support/world.js';

const run = promisify(execFile);
const MiB = 1024 * 1024;

/** What is on an engine of the tests' own. */
async function contents(engine) {
  const images = await engine.docker('images', '--all', '--no-trunc', '--format', '{{.Repository}} {{.ID}}');
  const containers = await engine.docker('ps', '--all', '--quiet');
  return { images: images.split('\n').sort(), containers };
}

describe('an engine that goes away', () => {
  let engine, world, registry, relay;
  let count = 0;

  before(async () => {
    [engine, registry] = await Promise.all([SecondEngine.start(), Registry.start()]);
    await engine.importBusybox('busybox');
    relay = await Relay.start(registry.port);
    world = await Watching.start({ flags: ['--docker-host', engine.host, '--node-image', `${relay.host}/node:{major}`] });
  });
  after(async () => {
    relay?.release();
    await world?.close();
    await relay?.close();
    await registry?.close();
    await engine?.close();
  });

  afterEach(async () => {
    relay.release();
    if (!engine.isRunning) await engine.restart();
  });

  const serve = (archive) => world.archives.serve(`lost-${++count}.tar`, archive);
  const healthy = () => until(async () => (await world.health()).status === 200, 'health to return');
  const ill = () => until(async () => (await world.health()).status === 503, 'the launcher to notice');
  // Ends at once when it is asked to.
  const long = (mark) => dockerfile(`FROM busybox\nRUN echo ${mark} > /layer\nRUN trap exit TERM; echo ${mark}; sleep 60 & wait\n`);
  const runs = async (mark) => (await engine.docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(`echo ${mark};`);

  // An image that only the registry has.
  async function only(name, bytes = 3 * MiB) {
    const there = `${relay.host}/${name}`;
    const url = serve(dockerfile('FROM scratch\nCOPY noise /\nCMD ["/noise"]\n', { noise: randomBytes(bytes) }));
    await world.done('image/build', { name: there, url });
    await world.done('image/push', there);
    await world.ddp.call('image/remove', there);
    return there;
  }

  for (const way of ['stop', 'kill']) {
    it(`while it builds (${way})`, async () => {
      const seen = await contents(engine);
      const [name, mark] = [`lost/build-${way}`, `marked-${way}`];
      const url = serve(long(mark));
      const id = await world.ddp.call('image/build', { name, url });
      await until(() => runs(mark), 'the long step');
      await engine[way]();
      const { status, error } = await world.ended(id);
      assert.equal(status, 'failed');
      assert.match(error, /^the Docker engine cannot be reached: the connection broke off, while carrying out step 3 of \d, "RUN trap exit TERM; echo \S+; sleep 60 & wait"$/);
      await ill();
      assert.equal((await world.ended(await world.ddp.call('image/build', { name: 'lost/meanwhile', url }))).status, 'failed');
      const { details } = await refused(world.ddp.call('buildImageIfNotExist', 'lost/meanwhile', url), 500);
      assert.match(details, /the Docker engine cannot be reached/);

      await engine.restart();
      await healthy();
      await until(async () => JSON.stringify(await contents(engine)) === JSON.stringify(seen), async () => `nothing left: ${JSON.stringify([seen, await contents(engine)])}`);
      await until(() => world.imageDocuments(name).length === 0, 'the document to go');
      assert.deepEqual(await world.leftovers(), []);
      world.archives.serve(new URL(url).pathname.slice(1), dockerfile('FROM busybox\nRUN true\n'));
      await world.done('image/build', { name, url });
      await world.ddp.call('image/remove', name);
    });
  }

  it('while it pulls, also the base of a build', async () => {
    const name = await only('pulled');
    const base = await only('node:22');
    const seen = await contents(engine);
    relay.holdAfter(MiB);
    const bundle = serve(packed(carried(bundleFiles('3.3'))));
    const ids = [await world.ddp.call('image/pull', name), await world.ddp.call('image/build', { name: 'lost/on-base', url: bundle })];
    await until(async () => (await world.log(ids[1])).some((line) => line.startsWith('pulling the base image')), 'the pull of the base');
    await until(() => relay.isHeld, 'the pulls to be under way');
    await engine.kill();
    for (const id of ids) {
      const { status, error } = await world.ended(id);
      assert.equal(status, 'failed');
      assert.match(error, /the Docker engine cannot be reached: the connection broke off$/);
      assert.doesNotMatch(error, /registry/);
    }
    relay.release();
    await ill();
    await engine.restart();
    await healthy();
    assert.deepEqual(await contents(engine), seen);
    await until(() => world.imageDocuments(name).length === 0, 'the document to go');
    await world.done('image/pull', name);
    await world.done('image/build', { name: 'lost/on-base', url: bundle });
    for (const each of ['lost/on-base', base, name]) await world.ddp.call('image/remove', each);
  });

  it('while it pushes', async () => {
    const name = await only('pushed');
    await world.done('image/pull', name);
    const other = `${relay.host}/pushed-elsewhere`;
    const url = serve(dockerfile('FROM scratch\nCOPY noise /\n', { noise: randomBytes(3 * MiB) }));
    await world.done('image/build', { name: other, url });
    relay.holdAfter(MiB);
    const id = await world.ddp.call('image/push', other);
    await until(() => relay.isHeld, 'the push to be under way');
    await engine.kill();
    const { error } = await world.ended(id);
    assert.match(error, /the Docker engine cannot be reached: the connection broke off$/);
    relay.release();
    await engine.restart();
    await healthy();
    await world.done('image/push', other);
    for (const each of [other, name]) await world.ddp.call('image/remove', each);
  });
});

describe('an engine without space', () => {
  let engine, world, registry;
  let count = 0;

  before(async () => {
    [engine, registry] = await Promise.all([SecondEngine.start({ disk: '48m' }), Registry.start()]);
    await engine.importBusybox('busybox');
    world = await Watching.start({ flags: ['--docker-host', engine.host, '--node-image', `${registry.host}/node:{major}`] });
  });
  after(async () => {
    await world?.close();
    await registry?.close();
    await engine?.close();
  });

  const serve = (archive) => world.archives.serve(`full-${++count}.tar`, archive);
  const free = async () => {
    const { bavail, bsize } = await statfs(engine.root);
    return bavail * bsize;
  };

  // Fails with these words, and gives back all that it took but a little that the engine writes down.
  async function fails(words, method, ...params) {
    const [seen, had] = [await contents(engine), await free()];
    const error = await world.failed(method, ...params);
    assert.match(error, words);
    assert.doesNotMatch(error, /\/var\/|\/tmp\//, 'no paths of this machine');
    assert.deepEqual(await contents(engine), seen);
    await until(async () => had - (await free()) < MiB, async () => `the space to come back: ${had} before, ${await free()} now`);
    assert.deepEqual(await world.leftovers(), []);
  }

  it('says so when a program fills it', () =>
    fails(/^no space left on the engine's disk while carrying out step 2 of \d, "RUN dd if=\/dev\/zero of=\/big bs=1M"$/, 'image/build', {
      name: 'full/program', url: serve(dockerfile('FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M\n')),
    }));

  it('says so when files do not fit', () =>
    fails(/^no space left on the engine's disk while carrying out step 2 of \d, "COPY noise \/"$/, 'image/build', {
      name: 'full/copied', url: serve(dockerfile('FROM busybox\nCOPY noise /\n', { noise: randomBytes(25 * MiB) })),
    }));

  it('says so when the context does not fit', () =>
    fails(/^no space left on the engine's disk while building$/, 'image/build', {
      name: 'full/context', url: serve(dockerfile('FROM busybox\nCOPY noise /\n', { noise: randomBytes(60 * MiB) })),
    }));

  it('says so when an image does not fit that is pulled, also as the base of a build', async () => {
    const other = await World.start();
    try {
      const large = await other.build('large', dockerfile('FROM scratch\nCOPY zeros /\n', { zeros: Buffer.alloc(60 * MiB) }));
      for (const name of ['large', 'node:22']) await registry.put(large, name);
    } finally {
      await other.close();
    }
    await fails(/^the image \S+ cannot be pulled: no space is left on the engine's disk$/, 'image/pull', `${registry.host}/large`);
    const url = serve(packed(carried(bundleFiles('3.3'))));
    await fails(/^the base image \S+ \(see --node-image\) cannot be pulled: no space is left on the engine's disk$/, 'image/build', { name: 'full/base', url });
  });

  it('goes on to build what fits', () => world.done('image/build', { name: 'full/fits', url: serve(dockerfile('FROM busybox\nRUN true\n')) }));
});

describe('a launcher without space', () => {
  let world, disk;

  before(async () => {
    disk = await mkdtemp(join(tmpdir(), 'meteor-launcher-disk-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
    world = await Watching.start({ dataDir: join(disk, 'data') });
  });
  after(async () => {
    await world?.close();
    await run('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  it('says so when an archive does not fit, and goes on', async () => {
    const url = world.archives.serve('large.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n', { noise: randomBytes(16 * MiB) }));
    assert.match(await world.failed('image/build', { name: 'full/archive', url }), /^the launcher could not write the archive to its data directory: no (storage )?space/);
    assert.deepEqual(await world.leftovers(), []);
    const { bavail, bsize } = await statfs(disk);
    assert.ok(bavail * bsize > 4 * MiB, 'the space is given back');
    world.archives.serve('large.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n'));
    const { image } = await world.done('image/build', { name: 'meteor-launcher-test/full-archive', url });
    await world.ddp.call('image/remove', image);
  });
});
