// kill -9 of the launcher at every stage of a build, a pull and a push: the next start says what happened to it, finds nothing left
// of it, and does the same when it is asked for again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { busybox, dockerfile } from './support/archives.js';
import { bundleFiles, carried, packed, tarball } from './support/bundles.js';
import { buildLabel, buildRemains, containerIds, docker, image } from './support/docker.js';
import { Registry, Relay } from './support/registry.js';
import { request } from './support/http.js';
import { until } from './support/until.js';
import { Watching, gone } from './support/watching.js';
import { imagePrefix, required } from './support/world.js';

const MiB = 1024 * 1024;

describe('a launcher that is killed', () => {
  let world, registry, relay, base;
  let count = 0;

  before(async () => {
    registry = await Registry.start();
    relay = await Relay.start(registry.port);
    base = `${relay.host}/node:22`;
    world = await Watching.start({ flags: ['--node-image', `${relay.host}/node:{major}`] });
  });
  after(async () => {
    relay?.release();
    await world?.close();
    if (base) await gone(base);
    await relay?.close();
    await registry?.close();
  });

  const nextName = () => `${imagePrefix}killed-${++count}`;
  const small = () => dockerfile(`FROM scratch\nLABEL ${buildLabel}\nCOPY Dockerfile /${++count}\n`);
  const long = (mark) => busybox({ label: buildLabel, lines: [`RUN echo ${mark} > /layer`, `RUN echo ${mark} && sleep 60`] });
  const runs = async (mark) => (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(`echo ${mark} &&`);

  // What others may have on the engine.
  const whatIsThere = async () => ({ remains: await buildRemains(), containers: await containerIds() });

  // Kills the launcher in the middle of these, which are all that goes on, and looks at what the next one makes of them.
  async function killed({ ids, remains, containers, kept = [] }) {
    const images = ids.map((id) => world.builds().get(id).image);
    await world.crash();
    relay.release();
    await world.startLauncher();
    for (const id of ids) {
      const { status, error, finishedAt, queuePlace, imageId } = world.builds().get(id);
      assert.deepEqual({ status, error, queuePlace, imageId }, { status: 'failed', error: 'the launcher ended before it was done', queuePlace: null, imageId: null });
      assert.ok(finishedAt instanceof Date);
    }
    for (const id of world.builds().keys()) assert.ok(world.builds().get(id).finishedAt, 'nothing goes on');
    for (const name of images) await until(() => world.imageDocuments(name).every(({ status }) => status === 'ready'), `the document of ${name} to go`);
    await until(async () => [...(await buildRemains())].join() === [...remains].join(), async () => `nothing left; there is ${[...(await buildRemains())]}`);
    await until(async () => [...(await containerIds())].every((id) => containers.has(id)), 'containers to go');
    assert.deepEqual(await world.leftovers(), kept);
  }

  it('while a build waits for its turn, behind another', async () => {
    const seen = await whatIsThere();
    const [first, second] = [nextName(), nextName()];
    const url = (name) => `${world.archives.origin}/${name}`;
    world.archives.serve(first, await long('ahead'));
    world.archives.serve(second, small());
    const ids = [await world.ddp.call('image/build', { name: first, url: url(first) })];
    await until(() => runs('ahead'), 'the long step');
    ids.push(await world.ddp.call('image/build', { name: second, url: url(second) }));
    await until(() => world.builds().get(ids[1]).queuePlace === 1, 'its place');
    await killed({ ids, ...seen });
    assert.equal(await image(first), null);
    assert.equal(await image(second), null);
    world.archives.serve(first, small());
    for (const name of [first, second]) await world.done('image/build', { name, url: url(name) });
  });

  it('while a build downloads its archive', async () => {
    const seen = await whatIsThere();
    const name = nextName();
    const url = world.archives.serve(name, (_, response) => {
      response.writeHead(200, { 'Content-Length': MiB });
      response.write(Buffer.alloc(MiB / 2));
    });
    const id = await world.ddp.call('image/build', { name, url });
    await world.moving(id);
    await killed({ ids: [id], ...seen });
    assert.equal(await image(name), null);
    world.archives.serve(name, small());
    await world.done('image/build', { name, url });
  });

  it('while a build prepares its archive', async () => {
    const seen = await whatIsThere();
    const name = nextName();
    // The launcher asks whether the tarball can be had, and is not answered.
    let asked = false;
    const silent = world.archives.serve(`silent-${count}`, () => (asked = true));
    const files = bundleFiles('3.3');
    files['programs/server/package.json'] = files['programs/server/package.json'].replace(tarball, silent);
    const url = world.archives.serve(name, packed(files));
    const id = await world.ddp.call('image/build', { name, url });
    await until(() => asked, 'the question for the tarball');
    await world.reaches(id, 'preparing');
    await killed({ ids: [id], ...seen });
    assert.equal(await image(name), null);
    world.archives.serve(name, small());
    await world.done('image/build', { name, url });
  });

  it('while a build pulls its base image', async () => {
    await world.made(base, 8 * MiB);
    await world.done('image/push', base);
    await gone(base);
    const seen = await whatIsThere();
    const name = nextName();
    // With all of its packages, so that nothing of the base is run.
    const url = world.archives.serve(name, packed(carried(bundleFiles('3.3'))));
    relay.holdAfter(2 * MiB);
    const id = await world.ddp.call('image/build', { name, url });
    await until(() => relay.isHeld, 'the pull to be under way');
    await world.reaches(id, 'preparing');
    await killed({ ids: [id], ...seen });
    assert.equal(await image(name), null);
    assert.equal(await image(base), null);
    await world.done('image/build', { name, url });
  });

  it('while the engine builds, from an upload, which stays', async () => {
    const seen = await whatIsThere();
    const name = nextName();
    const archive = await long('uploaded');
    const sha256 = createHash('sha256').update(archive).digest('hex');
    const { uploadId: upload, url } = await world.ddp.call('image/createUpload', { size: archive.length, sha256 });
    const { host, pathname } = new URL(url);
    await request(world.port, host, pathname, { method: 'PUT', headers: { 'Content-Length': archive.length }, body: archive });
    const id = await world.ddp.call('image/build', { name, upload });
    await until(() => runs('uploaded'), 'the long step');
    await killed({ ids: [id], ...seen, kept: [`uploads/${upload}`] });
    assert.equal(await image(name), null);
    await until(async () => !(await runs('uploaded')), 'the step to end');
    const again = await world.ddp.call('image/build', { name, upload });
    await until(() => runs('uploaded'), 'the long step');
    assert.equal(await world.ddp.call('image/cancelBuild', again), true);
    await request(world.port, host, pathname, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0' } }).expect(204);
  });

  // — Pulls and pushes —

  async function pushed(name) {
    await world.made(name, 8 * MiB);
    await world.done('image/push', name);
    return name;
  }

  for (const [method, params] of [
    ['image/pull', (name) => [name]],
    ['launchAppInstance', (appImage) => [{ appImage, ...required }]],
  ]) {
    it(`while ${method} pulls`, async () => {
      const name = await pushed(`${relay.host}/pulled-${++count}`);
      await gone(name);
      const seen = await whatIsThere();
      relay.holdAfter(2 * MiB);
      world.ddp.call(method, ...params(name)).catch(() => {});
      const pull = () => [...world.builds().values()].find(({ kind, image }) => kind === 'pull' && image === name);
      await until(pull, 'the pull');
      await world.moving(pull()._id);
      const { _id } = pull();
      // An instance that was recorded is launched by the next launcher; what is pulled here cannot run.
      if (method === 'launchAppInstance') {
        await world.crash();
        relay.release();
        await world.startLauncher();
        assert.equal(world.builds().get(_id).status, 'failed');
        await until(() => image(name), 'the instance to have its image');
        for (const { _id: instance } of world.instances.values()) await world.ddp.call('removeAppInstance', instance);
        await world.agreement();
      } else {
        await killed({ ids: [_id], ...seen });
        assert.equal(await image(name), null);
        await world.done('image/pull', name);
      }
      await gone(name);
    });
  }

  it('while an image is pushed', async () => {
    const name = await world.made(`${relay.host}/pushed-${++count}`, 8 * MiB);
    const { Id } = await image(name);
    const seen = await whatIsThere();
    relay.holdAfter(2 * MiB);
    const id = await world.ddp.call('image/push', name);
    await until(() => relay.isHeld, 'the push to be under way');
    await world.reaches(id, 'uploading');
    await killed({ ids: [id], ...seen });
    assert.equal((await image(name)).Id, Id, 'what was pushed stays');
    await world.done('image/push', name);
    await gone(name);
    const { imageId } = await world.done('image/pull', name);
    assert.equal(imageId, Id);
    await gone(name);
  });
});
