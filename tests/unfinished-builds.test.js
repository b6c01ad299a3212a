// Builds that take too long, are cancelled before the engine has them, want a base that is private, or say more than anybody can read.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { busybox, dockerfile } from './support/archives.js';
import { bundleFiles, carried, packed, tarball } from './support/bundles.js';
import { buildLabel, buildRemains, docker, image } from './support/docker.js';
import { Registry, Relay, users } from './support/registry.js';
import { until } from './support/until.js';
import { Watching, gone, isOver } from './support/watching.js';
import { imagePrefix, refused, required } from './support/world.js';

const MiB = 1024 * 1024;
const runs = async (mark) => (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(`echo ${mark} `);

describe('deadlines of builds', () => {
  let world;
  before(async () => (world = await Watching.start({ flags: ['--build-timeout', '0.1', '--download-timeout', '0.02'] })));
  after(() => world?.close());

  it('are named when a build takes too long, of which nothing is left', async () => {
    const [name, remains] = [`${imagePrefix}too-long`, await buildRemains()];
    const url = world.archives.serve('too-long.tar', await busybox({ label: buildLabel, lines: ['RUN echo too-long && sleep 60'] }));
    assert.match(await world.failed('image/build', { name, url }), /^not done within 6 s \(see --build-timeout\); it was carrying out step \d of \d, "RUN echo too-long && sleep 60"$/);
    assert.deepEqual(await buildRemains(), remains);
    assert.equal(await runs('too-long'), false);
    assert.equal(await image(name), null);
  });

  it('are named when a download does', async () => {
    const url = world.archives.serve('slow.tar', (_, response) => response.writeHead(200, { 'Content-Length': MiB }).write('slow'));
    assert.match(await world.failed('image/build', { name: `${imagePrefix}slow`, url }), /^the archive was not downloaded within 1\.2s \(see --download-timeout\)$/);
    assert.deepEqual(await world.leftovers(), []);
  });
});

describe('a build on a private base', () => {
  let world, registry, relay, base, url;
  const { right } = users;

  before(async () => {
    registry = await Registry.start({ user: right });
    relay = await Relay.start(registry.port);
    base = `${relay.host}/node:22`;
    world = await Watching.start({ flags: ['--node-image', `${relay.host}/node:{major}`] });
    url = world.archives.serve('bundle.tar.gz', packed(carried(bundleFiles('3.3'))));
    await world.made(base, 4 * MiB);
  });
  after(async () => {
    relay?.release();
    await world?.close();
    await gone(base);
    await relay?.close();
    await registry?.close();
  });

  const name = `${imagePrefix}on-private-base`;
  const add = (password) => world.ddp.call('registry/add', { registry: relay.host, username: right.username, password, verify: false });

  it('wants credentials, and the right ones', async () => {
    await add(right.password);
    await world.done('image/push', base);
    await gone(base);
    await world.ddp.call('registry/remove', relay.host);
    const cannot = `^the base image ${base} \\(see --node-image\\) cannot be pulled: the registry ${relay.host} has no such repository, or`;
    assert.match(await world.failed('image/build', { name, url }), new RegExp(`${cannot} wants credentials, of which none are stored; registry/add stores them$`));
    await add('hunter2');
    const error = await world.failed('image/build', { name, url });
    assert.match(error, new RegExp(`${cannot} refused it to the credentials of "user"; registry/add stores others$`));
    assert.doesNotMatch(error, /hunter2/);
    await add(right.password);
    await world.done('image/build', { name, url });
    await world.ddp.call('image/remove', name);
    await gone(base);
  });

  it('is cancelled while its base comes, of which nothing is left', async () => {
    relay.holdAfter(MiB);
    const id = await world.ddp.call('image/build', { name, url });
    await until(() => relay.isHeld, 'the pull to be under way');
    await world.reaches(id, 'preparing');
    assert.equal(await world.ddp.call('image/cancelBuild', id), true);
    assert.equal(world.builds().get(id).status, 'cancelled');
    relay.release();
    assert.deepEqual([await image(name), await image(base), world.imageDocuments(name), await world.leftovers()], [null, null, [], []]);
    await world.done('image/build', { name, url });
  });

  it('is cancelled while its archive is prepared', async () => {
    let asked = false;
    const silent = world.archives.serve('silent', () => (asked = true));
    const files = bundleFiles('3.3');
    files['programs/server/package.json'] = files['programs/server/package.json'].replace(tarball, silent);
    const id = await world.ddp.call('image/build', { name: `${name}-prepared`, url: world.archives.serve('prepared.tar.gz', packed(files)) });
    await until(() => asked, 'the question for the tarball');
    await world.reaches(id, 'preparing');
    assert.equal(await world.ddp.call('image/cancelBuild', id), true);
    assert.equal(world.builds().get(id).status, 'cancelled');
    assert.deepEqual([world.imageDocuments(`${name}-prepared`), await world.leftovers()], [[], []]);
  });

  it('like a launch: the cancelled pull is its error', async () => {
    const there = `${relay.host}/launched`;
    await world.made(there, 4 * MiB);
    await world.done('image/push', there);
    await gone(there);
    relay.holdAfter(MiB);
    const launch = refused(world.ddp.call('launchAppInstance', { appImage: there, ...required }), 500, /the pull of \S+\/launched was cancelled/);
    const pull = () => [...world.builds().values()].find(({ kind, image, status }) => kind === 'pull' && image === there && status === 'downloading');
    await until(() => pull() && relay.isHeld, 'the pull to be under way');
    assert.equal(await world.ddp.call('image/cancelBuild', pull()._id), true);
    await launch;
    relay.release();
    await until(() => world.instances.size === 0, 'the instance to go');
    assert.equal(await image(there), null);
  });
});

describe('a build of a bundle', () => {
  let world;
  before(async () => (world = await Watching.start()));
  after(() => world?.close());

  it('takes source-map-support from where it is told, and its image tells release and Node', async () => {
    // Answers, but nothing that npm could use; the lock file would name another place.
    const nowhere = 'http://127.0.0.1:9/source-map-support.tgz';
    const files = bundleFiles('3.3');
    files['programs/server/package.json'] = files['programs/server/package.json'].replace(tarball, nowhere);
    files['programs/server/.npmrc'] = 'fetch-retries=0\n';
    delete files['programs/server/npm-shrinkwrap.json'];
    const name = `${imagePrefix}source-map-support`;
    const url = world.archives.serve('bundle.tar.gz', packed(files));
    assert.match(await world.failed('image/build', { name, url, sourceMapSupport: 'bundle' }), /^installing npm packages failed with exit code \d+: .*127\.0\.0\.1:9/);
    const { _id } = await world.done('image/build', { name, url, sourceMapSupport: 'registry' });
    assert.ok((await world.log(_id)).some((line) => /^source-map-support is taken as version 0\.4\.18 from the npm registry instead of/.test(line)));
    const [{ meteorRelease, nodeVersion, sourceUrl }] = world.imageDocuments(name);
    assert.deepEqual({ meteorRelease, nodeVersion, sourceUrl }, { meteorRelease: 'METEOR@3.3', nodeVersion: '22.16.0', sourceUrl: url });
    await refused(world.ddp.call('image/build', { name, url, sourceMapSupport: 'npm' }), 400, /sourceMapSupport/);
  });
});

describe('a build that says more than anybody can read', () => {
  let world;
  before(async () => (world = await Watching.start()));
  after(() => world?.close());

  it('keeps nobody else waiting, and tells or counts every line', async () => {
    const lines = 100_000;
    const name = `${imagePrefix}talkative`;
    const url = world.archives.serve('talkative.tar', await busybox({ label: buildLabel, lines: [`RUN yes ${'many '.repeat(60)}| head -n ${lines}`, 'RUN echo the end'] }));
    const [reader, other] = [await world.connect(), await world.connect()];
    await other.subscribe('imageBuilds');
    const id = await world.ddp.call('image/build', { name, url });
    await reader.subscribe('buildLog', id);
    const over = () => isOver(other.collection('Builds').get(id));
    let answers = 0;
    await until(() => reader.collection('BuildLog').size > 100 || over(), 'the first of many lines');
    while (!over()) {
      assert.equal(await other.call('image/status', `${imagePrefix}nothing`), 'missing');
      if (!over()) answers += 1;
    }
    assert.equal(other.collection('Builds').get(id).status, 'succeeded', other.collection('Builds').get(id).error);
    assert.ok(answers > 0, 'others were answered meanwhile');
    await until(() => [...reader.collection('BuildLog').values()].some(({ text }) => text === 'the end'), 'the last line');
    const told = reader.messages.filter(({ msg, collection }) => msg === 'added' && collection === 'BuildLog').map(({ fields }) => fields);
    // How many are left out depends on how fast they come: each is told, or counted.
    let number = 0;
    for (const { number: its, text } of told) {
      number += Number(/^\((\d+) lines are left out\)$/.exec(text)?.[1] ?? 1);
      assert.equal(its, number, text);
    }
    assert.ok(number > lines, `${number} lines`);
    const kept = await world.log(id);
    assert.ok(kept.length <= 5_000 && kept.includes('the end'));
    for (const client of [reader, other]) await client.close();
  });
});
