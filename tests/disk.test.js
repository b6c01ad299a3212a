// The engine's disk: what is told of it, what the collector removes, and what it never touches.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerfile, tar } from './support/archives.js';
import { buildLabel, docker, image } from './support/docker.js';
import { Registry } from './support/registry.js';
import { until } from './support/until.js';
import { World, imagePrefix, refused } from './support/world.js';

const busybox = await readFile('/bin/busybox');
const run = '["/busybox", "sleep", "3600"]';

// A program in a layer that all versions share, and a file that only this version has.
const versionOf = `FROM scratch\nLABEL ${buildLabel}\nCOPY busybox /busybox\nCOPY own /own\nCMD ${run}\n`;
const version = (text) =>
  tar([
    { name: 'Dockerfile', body: versionOf },
    { name: 'busybox', body: busybox, mode: 0o755 },
    { name: 'own', body: Buffer.concat([Buffer.from(text), randomBytes(64 * 1024)]) },
  ]);

// Two stages: of the first only layers are left, which the next build could go on from.
const stages = () =>
  dockerfile(`FROM scratch AS first\nLABEL ${buildLabel}\nCOPY first /first\nFROM scratch\nLABEL ${buildLabel}\nCOPY --from=first /first /second\n`, {
    first: randomBytes(64 * 1024),
  });

// What somebody else has on this machine: none of it may ever be missed.
class Foreign {
  static async make() {
    const foreign = new Foreign();
    foreign.folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-foreign-'));
    foreign.named = `${imagePrefix}versions:by-hand`;
    await foreign.build('named', '--tag', foreign.named);
    foreign.dangling = await foreign.build('dangling', '--quiet');
    foreign.volume = await docker('volume', 'create', '--label', buildLabel);
    return foreign;
  }

  async build(text, ...options) {
    await writeFile(join(this.folder, 'busybox'), busybox, { mode: 0o755 });
    await writeFile(join(this.folder, 'own'), text + randomBytes(16).toString('hex'));
    await writeFile(join(this.folder, 'Dockerfile'), versionOf);
    return docker('build', ...options, this.folder);
  }

  async isThere() {
    for (const each of [this.named, this.dangling]) assert.ok(await image(each), each);
    assert.equal(await docker('volume', 'inspect', '--format', '{{.Name}}', this.volume), this.volume);
  }

  async remove() {
    await docker('rmi', '--force', this.named, this.dangling);
    await docker('volume', 'rm', this.volume);
    await rm(this.folder, { recursive: true });
  }
}

describe('the disk', () => {
  let world, foreign;

  const name = (tag) => `${imagePrefix}versions:${tag}`;
  const collect = (options) => world.ddp.call('image/collectGarbage', options);
  const documents = () => [...world.ddp.collection('Disk').values()];
  const documentOf = (imageName) => documents().find(({ names }) => names?.includes(imageName));
  const told = (imageName, because) =>
    until(
      () => because.test(documentOf(imageName)?.keptBecause ?? ''),
      () => `${imageName} kept because ${because}; ${JSON.stringify(documentOf(imageName))}`,
    );
  const gone = (imageName) => until(async () => !(await image(imageName)), `${imageName} to be removed`);

  before(async () => {
    [world, foreign] = [await World.start(), await Foreign.make()];
    await world.ddp.subscribe('disk');
  });
  after(async () => {
    const cache = documents().filter(({ kind, madeByLauncher, names }) => kind === 'image' && madeByLauncher && names.length === 0);
    await world?.close();
    for (const { _id } of cache) await docker('rmi', '--force', _id).catch(() => {});
    await foreign?.remove();
  });

  it('tells how full the engine and the data directory are', async () => {
    const engine = await until(() => documents().find(({ _id, checkedAt }) => _id === 'engine' && checkedAt), 'the document of the engine');
    assert.equal(engine.path, await docker('info', '--format', '{{.DockerRootDir}}'));
    for (const field of ['totalBytes', 'usedBytes', 'freeBytes', 'inodes', 'imagesBytes']) assert.ok(engine[field] > 0, `${field} ${engine[field]}`);
    for (const field of ['logsBytes', 'containersBytes', 'buildCacheBytes']) assert.ok(engine[field] >= 0, `${field} ${engine[field]}`);
    assert.ok(engine.usedBytes + engine.freeBytes <= engine.totalBytes);
    assert.equal(engine.watermark, 100, 'what this test world is told');
    assert.equal(engine.error, null);
    assert.ok(engine.checkedAt instanceof Date);
    assert.ok(documents().find(({ _id }) => _id === 'data').totalBytes > 0);
  });

  it('keeps the five newest versions and what is in use, once something is built', async () => {
    await world.build('versions:1', version('1'));
    const app = await world.launch('in-use', { appImage: name(1), answering: false });
    const ids = { 1: (await image(name(1))).Id };
    for (const tag of [2, 3, 4, 5, 6, 7]) {
      await world.build(`versions:${tag}`, version(`${tag}`));
      ids[tag] = (await image(name(tag)))?.Id;
    }
    await gone(name(2));
    assert.equal(await image(ids[2]), null, 'it was not only its name that went');
    for (const tag of [1, 3, 4, 5, 6, 7]) assert.ok(await image(name(tag)), `${tag} stays`);
    await foreign.isThere();
    await told(name(1), /^in use by 1 app instance$/);
    await told(name(3), /^one of the 5 newest of \S+\/versions$/);
    await told(foreign.named, /^not made by this launcher$/);
    assert.equal(documentOf(foreign.named).madeByLauncher, false);
    const { sizeBytes, sharedBytes, uniqueBytes } = documentOf(name(7));
    assert.equal(sharedBytes + uniqueBytes, sizeBytes);
    assert.ok(uniqueBytes >= 64 * 1024 && uniqueBytes < 128 * 1024 && sharedBytes >= busybox.length, `${sharedBytes} shared, ${uniqueBytes} not`);

    await app.call('stop');
    assert.deepEqual((await collect({})).removed, [], 'nor does what is stopped lose its image');
    await app.call('remove');
  });

  it('tells what would be removed, does just that, and then has nothing to do, also after a crash', async () => {
    await world.crash();
    await world.startLauncher();
    await world.ddp.subscribe('disk');
    const told = await collect({ dryRun: true });
    assert.deepEqual(told.removed.map(({ names }) => names), [[name(1)]]);
    assert.match(told.removed[0].why, /^not used, and not one of the 5 newest of \S+\/versions$/);
    assert.ok(await image(name(1)), 'nothing was done');
    await until(() => documents().some(({ _id, reclaimableBytes }) => _id === 'engine' && reclaimableBytes === told.freedBytes), () => `the figure of what can be had; ${JSON.stringify(documents().find(({ _id }) => _id === 'engine'))} ${JSON.stringify(told)}`);
    assert.deepEqual([documentOf(name(1)).kept, documentOf(name(1)).keptBecause], [false, null]);

    const done = await collect({});
    assert.deepEqual(done.removed, told.removed);
    assert.equal(done.freedBytes, told.freedBytes);
    assert.ok(done.freedBytes >= 64 * 1024, `${done.freedBytes} bytes`);
    assert.deepEqual(done.refused, []);
    assert.equal(await image(name(1)), null);
    await until(() => !documentOf(name(1)), 'its document to go');

    const again = await collect();
    assert.deepEqual([again.removed, again.freedBytes], [[], 0]);
    await foreign.isThere();
  });

  it('keeps what somebody else has given a name, and what somebody else has built on', async () => {
    const own = `${imagePrefix}own-name:1`;
    await docker('tag', name(3), own);
    const child = `${imagePrefix}child:1`;
    await writeFile(join(foreign.folder, 'Dockerfile'), `FROM ${name(4)}\nLABEL child=1\n`);
    await docker('build', '--tag', child, foreign.folder);
    for (const tag of [8, 9]) await world.build(`versions:${tag}`, version(`${tag}`));
    await told(name(3), /^somebody else named it \S+own-name:1$/);
    await told(name(4), /^1 image is built on it$/);
    for (const kept of [own, child, name(3), name(4)]) assert.ok(await image(kept), kept);

    await docker('rmi', own, child);
    await collect({});
    for (const tag of [3, 4]) assert.equal(await image(name(tag)), null, `${tag} goes, be it by this collection or by one that was due`);
  });

  it('keeps what builds can go on from', async () => {
    await world.build('stages', stages());
    const isStage = ({ kind, madeByLauncher, names }) => kind === 'image' && madeByLauncher && names.length === 0;
    const stage = await until(() => documents().find(isStage), 'the document of the first stage');
    assert.equal(stage.keptBecause, 'build cache, for which there is room');
    assert.ok(!(await collect({})).removed.some(({ imageId }) => imageId === stage._id));
    assert.ok(await image(stage._id));
  });

  it('takes an image for the launcher\'s only if it was not there before the pull', async () => {
    const registry = await Registry.start();
    const names = [];
    try {
      for (const there of [false, true]) {
        const made = `${imagePrefix}to-pull-${there}`;
        await foreign.build(`${there}`, '--tag', made);
        const pulled = await registry.put(made, `pulled-${there}`);
        names.push(pulled);
        await docker('rmi', made);
        if (there) await docker('pull', pulled);
        const app = await world.launch('pulled', { appImage: pulled, answering: false });
        const because = there ? /^not made by this launcher$/ : /^in use by 1 app instance$/;
        await told(`${pulled}:latest`, because);
        assert.equal(documentOf(`${pulled}:latest`).madeByLauncher, !there);
        await app.call('remove');
        await docker('rmi', pulled);
      }
    } finally {
      for (const name of names) await docker('rmi', '--force', name).catch(() => {});
      await registry.close();
    }
  });

  it('refuses a dry run that is neither true nor false', async () => {
    await refused(collect({ dryRun: 'yes' }), 400, /dryRun/);
  });

  it('above its watermark gives up what builds could go on from, and nothing of anybody else\'s', async () => {
    const full = await World.start({ flags: ['--disk-watermark', '1'] });
    try {
      await full.ddp.subscribe('disk');
      await full.build('full', stages());
      const engine = await until(() => full.ddp.collection('Disk').get('engine'), 'the document of the engine');
      assert.deepEqual([engine.watermark, engine.aboveWatermark], [1, true]);
      const ours = () => [...full.ddp.collection('Disk').values()].filter(({ madeByLauncher }) => madeByLauncher);
      await until(() => ours().length === 1 && ours(), () => `only the image to be left; there is ${JSON.stringify(ours())}`);
      assert.deepEqual(ours()[0].names, [`${imagePrefix}full:latest`]);
      assert.deepEqual((await full.ddp.call('image/collectGarbage', {})).removed, []);
      const another = [...world.ddp.collection('Disk').values()].find(({ keptBecause }) => keptBecause === 'build cache, for which there is room');
      assert.ok(await image(another._id), "another launcher's build cache stays");
      await foreign.isThere();
    } finally {
      await full.close();
    }
  });
});
