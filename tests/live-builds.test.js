// Builds as live documents: every state in order, the log before the end, one at a time, cancelled and failed without a trace.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile, meteorBundleWith } from './support/archives.js';
import { buildLabel, buildRemains, containerIds, docker, image } from './support/docker.js';
import { until } from './support/until.js';
import { World, appImage, imagePrefix, refused } from './support/world.js';

const ORDER = ['queued', 'downloading', 'preparing', 'building', 'succeeded'];
const isOver = (build) => ['succeeded', 'failed', 'cancelled'].includes(build?.status);

// Dockerfiles whose remains can be told from others'.
const steps = (...lines) => dockerfile([`FROM ${appImage}`, `LABEL ${buildLabel}`, ...lines, ''].join('\n'));
const eatMemory = `node -e "const a=[];for(;;)a.push(Buffer.alloc(10<<20,1))"`;

describe('builds that are watched', () => {
  let world, builds;
  let count = 0;

  before(async () => {
    world = await World.start({ flags: ['--build-memory', '200m', '--build-cpus', '1.5'] });
    await world.app();
    await world.ddp.subscribe('imageBuilds');
    builds = world.ddp.collection('Builds');
  });
  after(() => world?.close());

  const nextName = () => `${imagePrefix}live-${++count}`;
  const serve = (archive) => world.archives.serve(`live-${++count}.tar`, archive);
  const start = (name, archive) => world.ddp.call('image/build', { name, url: serve(archive) });
  const ended = (id) => until(() => isOver(builds.get(id)) && builds.get(id), () => `the end of ${JSON.stringify(builds.get(id))}`, 120_000);
  const inStatus = (id, status) => until(() => builds.get(id)?.status === status, () => `${status}: ${JSON.stringify(builds.get(id))}`);

  async function log(client, id, options = {}) {
    await client.subscribe('buildLog', id, options);
    return [...client.collection('BuildLog').values()].filter(({ build }) => build === id).sort((a, b) => a.number - b.number);
  }

  // What happens to one document and its log, in the order in which it was told.
  const story = (client, id) => client.messages
    .filter(({ collection, id: of, fields }) => (collection === 'Builds' && of === id) || (collection === 'BuildLog' && fields?.build === id))
    .flatMap(({ collection, fields }) => (collection === 'Builds' ? (fields?.status ? [{ status: fields.status }] : []) : [{ line: fields.text }]));

  // An answer that does not come before it is told to.
  function held(archive) {
    let release;
    const released = new Promise((resolve) => (release = resolve));
    let asked;
    const wasAsked = new Promise((resolve) => (asked = resolve));
    const url = world.archives.serve(`held-${++count}.tar`, async (_, response) => {
      asked();
      response.writeHead(200, { 'Content-Length': archive.length });
      response.write(archive.subarray(0, 100));
      await released;
      response.end(archive.subarray(100));
    });
    return { url, release, asked: wasAsked };
  }

  it('tell every state in order, and every line before the end', async () => {
    const watcher = await world.connect();
    const { url, release } = held(steps('RUN for i in $(seq 1 2000); do echo "line $i of many"; done'));
    const id = await world.ddp.call('image/build', { name: nextName(), url });
    await watcher.subscribe('imageBuild', id);
    await watcher.subscribe('buildLog', id, { tail: 10 });
    release();
    await until(() => isOver(watcher.collection('Builds').get(id)), 'the end');

    const told = story(watcher, id);
    const statuses = told.flatMap(({ status }) => status ?? []);
    assert.deepEqual(statuses, ORDER.slice(ORDER.indexOf(statuses[0])));
    const end = told.findIndex(({ status }) => status === 'succeeded');
    const said = told.slice(0, end).filter(({ line }) => /^line \d+ of many$/.test(line)).map(({ line }) => Number(line.split(' ')[1]));
    assert.deepEqual(said, Array.from({ length: 2000 }, (_, index) => index + 1));
    assert.equal(told.length, end + 1, 'nothing is said after the end');

    const document = watcher.collection('Builds').get(id);
    assert.equal(document.kind, 'build');
    assert.equal(document.source, url);
    assert.equal(document.imageId, (await image(document.image)).Id);
    assert.ok(document.createdAt <= document.startedAt && document.startedAt <= document.finishedAt);
    assert.equal(document.receivedBytes, document.expectedBytes);
    assert.equal(document.step.number, document.step.of);
    assert.equal(document.error, null);
    watcher.socket.close();
  });

  it('keep their log after the end, of which one can have the tail', async () => {
    const id = await start(nextName(), steps('RUN seq 1 50'));
    await ended(id);
    const client = await world.connect();
    const lines = await log(client, id, { tail: 3 });
    assert.equal(lines.length, 3);
    assert.match(lines[2].text, /Successfully tagged/);
    assert.ok(lines[2].at instanceof Date);
    const whole = await log(await world.connect(), id);
    assert.deepEqual(whole.map(({ number }) => number), whole.map((_, index) => index + 1));
    assert.ok(whole.filter(({ text }) => /^\d+$/.test(text)).length === 50);
  });

  it('are unknown without an error, and can be listed a few at a time', async () => {
    const client = await world.connect();
    await client.subscribe('imageBuild', 'nothing');
    await client.subscribe('buildLog', 'nothing');
    assert.equal(client.collection('Builds').size + client.collection('BuildLog').size, 0);
    await client.subscribe('imageBuilds', { limit: 2 });
    const newest = [...builds.values()].sort((a, b) => b.createdAt - a.createdAt).slice(0, 2);
    assert.deepEqual(new Set(client.collection('Builds').keys()), new Set(newest.map(({ _id }) => _id)));
    const wrong = await client.subscribe('imageBuilds', { limit: -1 }).catch((error) => error);
    assert.equal(wrong.error, 400);
  });

  it('go on one at a time, and those that wait know their place', async () => {
    const names = [nextName(), nextName(), nextName()];
    const ids = [];
    for (const name of names) ids.push(await start(name, steps(`RUN echo ${name} && sleep 3`)));
    await until(() => builds.get(ids[2])?.queuePlace === 2, () => `two to wait: ${JSON.stringify(ids.map((id) => builds.get(id)))}`);
    assert.deepEqual(ids.map((id) => builds.get(id).queuePlace), [null, 1, 2]);
    assert.equal(builds.get(ids[1]).status, 'queued');
    const all = await Promise.all(ids.map(ended));
    for (const [index, build] of all.entries()) {
      assert.equal(build.status, 'succeeded', build.error);
      assert.equal(build.queuePlace, null);
      if (index > 0) assert.ok(build.startedAt >= all[index - 1].finishedAt, 'one after the other');
    }
  });

  it('are refused when too many wait', async () => {
    const archives = Array.from({ length: 100 }, () => held(steps('RUN true')));
    const [{ url }] = archives;
    const ids = [];
    for (const one of archives) ids.push(await world.ddp.call('image/build', { name: nextName(), url: one.url }));
    const words = /^100 builds, pulls and pushes are waiting or under way, which is the most that there may be/;
    await refused(world.ddp.call('image/build', { name: nextName(), url }), 400, words);
    await refused(world.ddp.call('buildImageIfNotExist', nextName(), url), 400, words);
    await refused(world.ddp.call('image/pull', nextName()), 400, words);
    assert.ok(builds.get(ids[0]), 'what is known goes on');
    for (const id of ids.reverse()) assert.equal(await world.ddp.call('image/cancelBuild', id), true);
    for (const { release } of archives) release();
    assert.equal((await ended(await start(nextName(), steps('RUN true')))).status, 'succeeded', 'there is room again');
  });

  it('are one when twenty want the same, and none when it is there', async () => {
    const known = builds.size;
    const name = nextName();
    const url = serve(steps('RUN sleep 1'));
    const clients = await Promise.all(Array.from({ length: 20 }, () => world.connect()));
    const answers = await Promise.all(clients.map((client) => client.call('buildImageIfNotExist', name, url)));
    assert.deepEqual(new Set(answers), new Set([true]));
    assert.equal(builds.size, known + 1);
    assert.equal(world.archives.requests.get(new URL(url).pathname), 1);
    assert.equal(await world.ddp.call('buildImageIfNotExist', name, url), true);
    assert.equal(builds.size, known + 1);
    for (const client of clients) client.socket.close();
  });

  it('are joined by buildImageIfNotExist, whoever began them', async () => {
    const name = nextName();
    const { url, release } = held(steps('RUN true'));
    const id = await world.ddp.call('image/build', { name, url });
    const joined = world.ddp.call('buildImageIfNotExist', name, 'http://127.0.0.1:9/never.tar');
    assert.equal(await world.ddp.call('image/build', { name, url }), id, 'an equal one that is not built yet is the same');
    release();
    assert.equal(await joined, true);
    assert.equal((await ended(id)).status, 'succeeded');
  });

  it('let others go first while their download takes long', async () => {
    const slow = held(steps('RUN true'));
    const first = await world.ddp.call('image/build', { name: nextName(), url: slow.url });
    await slow.asked;
    const second = await start(nextName(), steps('RUN true'));
    assert.equal((await ended(second)).status, 'succeeded');
    assert.equal(builds.get(first).status, 'downloading');
    slow.release();
    assert.equal((await ended(first)).status, 'succeeded');
  });

  it('use no more memory and processors than they may, and weigh less than apps', async () => {
    const name = nextName();
    const cgroup = '/sys/fs/cgroup';
    const id = await start(name, steps(
      `RUN cat ${cgroup}/memory/memory.limit_in_bytes ${cgroup}/memory.max 2>/dev/null; cat ${cgroup}/cpu/cpu.cfs_quota_us ${cgroup}/cpu/cpu.shares ${cgroup}/cpu.max 2>/dev/null; true`,
    ));
    await ended(id);
    const text = (await log(await world.connect(), id)).map(({ text }) => text);
    assert.ok(text.includes(String(200 << 20)), text.join('\n'));
    assert.ok(text.some((line) => /^150000( 100000)?$/.test(line)), text.join('\n'));
  });

  it('label what they make', async () => {
    const name = nextName();
    const url = serve(steps('RUN true'));
    await ended(await world.ddp.call('image/build', { name, url }));
    const { Labels } = (await image(name)).Config;
    assert.equal(Labels['launcher.source'], url);
    assert.match(Labels['launcher.owner'], /^\w{17}$/);
  });

  describe('fail with one sentence, and leave nothing:', () => {
    let remains, containers;

    async function fails(archive, sentence) {
      remains = await buildRemains();
      containers = await containerIds();
      const name = nextName();
      const id = await start(name, archive);
      const build = await ended(id);
      assert.equal(build.status, 'failed');
      assert.match(build.error, sentence);
      assert.doesNotMatch(build.error, /\n/);
      assert.deepEqual(await buildRemains(), remains);
      assert.equal(await image(name), null);
      assert.deepEqual(await world.leftovers(), []);
      assert.deepEqual(world.imageDocuments(name), []);
      return build;
    }

    it('a program that eats memory', () => fails(steps(`RUN exec ${eatMemory}`), /^out of memory while carrying out step 3 of 5, "RUN exec node .*" \(limit 200 MiB\)$/));

    it('a program that another one began', () => fails(steps(`RUN ${eatMemory} || exit 3`), /^out of memory while carrying out step 3 of 5/));

    it('a program that only looks like it', () => fails(steps('RUN exit 137'), /^probably out of memory while carrying out step 3 of 5, "RUN exit 137" \(exit code 137, limit 200 MiB\)$/));

    it('a step that fails', () => fails(steps('RUN echo first', 'RUN echo why; exit 7'), /^carrying out step 4 of 6, "RUN echo why; exit 7" failed with exit code 7$/));

    it('a file that is not there', () => fails(steps('COPY nothing /'), /^step 3 of 5, "COPY nothing \/" failed: .*nothing/));

    it('a base image that is not there', () => fails(dockerfile(`FROM 127.0.0.1:1/${imagePrefix}nothing\n`), /^the base image 127\.0\.0\.1:1\/\S+nothing cannot be pulled: /));

    it('a Dockerfile that is none', () => fails(dockerfile('FRUM scratch\n'), /unknown instruction: FRUM/));

    it('npm without a network', async () => {
      const npmrc = 'registry=http://127.0.0.1:9/\nfetch-retries=0\nfetch-timeout=1000\n';
      const bundle = await meteorBundleWith({ 'bundle/programs/server/.npmrc': npmrc });
      const build = await fails(bundle, /^installing npm packages failed with exit code \d+: .*127\.0\.0\.1:9/);
      assert.equal(build.step.number > 1, true);
    });

    it('and buildImageIfNotExist says it with the end of the output', async () => {
      const { details } = await refused(world.ddp.call('buildImageIfNotExist', nextName(), serve(steps('RUN echo reason; exit 7'))), 500);
      assert.match(details, /failed: carrying out step 3 of 5, "RUN echo reason; exit 7" failed with exit code 7; its output ended with:\nreason \(build \w{17}\)$/);
    });
  });

  describe('are cancelled, and leave nothing:', () => {
    const running = async (text) => (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(text);

    // Begins one, waits for a moment, cancels; others wait for it meanwhile.
    async function cancelled(url, moment) {
      const remains = await buildRemains();
      const name = nextName();
      const id = await world.ddp.call('image/build', { name, url });
      const waiter = world.ddp.call('buildImageIfNotExist', name, url).catch((error) => error);
      await moment(id);
      assert.equal(await world.ddp.call('image/cancelBuild', id), true);
      assert.equal(builds.get(id).status, 'cancelled');
      assert.ok(builds.get(id).finishedAt instanceof Date);
      assert.deepEqual(await buildRemains(), remains);
      assert.equal(await image(name), null);
      assert.deepEqual(await world.leftovers(), []);
      assert.deepEqual(world.imageDocuments(name), []);
      const again = await refused(world.ddp.call('image/cancelBuild', id), 400);
      assert.match(again.details, /is over/);
      return waiter;
    }

    it('while their archive comes', async () => {
      const slow = held(steps('RUN true'));
      const waiter = await cancelled(slow.url, () => slow.asked);
      assert.equal(waiter.error, 500);
      assert.match(waiter.details, /was cancelled/);
      slow.release();
    });

    it('while the engine builds', async () => {
      const mark = `cancelled-${++count}`;
      const url = serve(steps('RUN echo layer > /tmp/layer', `RUN echo ${mark} && sleep 60`));
      const waiter = await cancelled(url, () => until(() => running(mark), 'the long step'));
      assert.match(waiter.details, /was cancelled/);
      assert.equal(await running(mark), false);
    });

    it('while they wait for their turn', async () => {
      const mark = `ahead-${++count}`;
      const ahead = await start(nextName(), steps(`RUN echo ${mark} && sleep 60`));
      await until(() => running(mark), 'the build ahead');
      const url = serve(steps('RUN true'));
      await cancelled(url, (id) => until(() => builds.get(id)?.queuePlace === 1, 'a place in the line'));
      assert.equal(world.archives.requests.get(new URL(url).pathname), undefined);
      // One of the same name waits for the other's end.
      const name = builds.get(ahead).image;
      const behind = await world.ddp.call('image/build', { name, url });
      assert.equal(await world.ddp.call('image/cancelBuild', behind), true);
      assert.equal(builds.get(ahead).status, 'building');
      assert.equal(await world.ddp.call('image/cancelBuild', ahead), true);
      assert.equal(await running(mark), false);
    });

    it('but not twice, and not what never was', async () => {
      await refused(world.ddp.call('image/cancelBuild', 'nothing'), 400, 'No build has ID nothing');
      await refused(world.ddp.call('image/cancelBuild'), 400);
    });
  });

  it('have failed when the launcher was killed, and their log is there', async () => {
    const mark = `killed-${++count}`;
    const remains = await buildRemains();
    const name = nextName();
    const id = await start(name, steps('RUN echo layer > /tmp/layer', `RUN echo ${mark} && sleep 60`));
    await until(async () => (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(mark), 'the long step');
    await world.crash();
    await world.startLauncher();
    await world.ddp.subscribe('imageBuilds');
    builds = world.ddp.collection('Builds');
    assert.deepEqual([builds.get(id).status, builds.get(id).error], ['failed', 'the launcher ended before it was done']);
    assert.notDeepEqual(await log(world.ddp, id), []);
    await until(async () => JSON.stringify([...(await buildRemains())]) === JSON.stringify([...remains]), async () => `nothing left; there is ${[...(await buildRemains())]}`);
    assert.equal(await image(name), null);
    await until(() => world.imageDocuments(name).length === 0, 'the document of the image to go');
    assert.deepEqual(await world.leftovers(), []);
  });

  it('end with the launcher, whose next start tells of it', async () => {
    const mark = `stopped-${++count}`;
    const remains = await buildRemains();
    const id = await start(nextName(), steps(`RUN echo ${mark} && sleep 60`));
    const waiting = world.ddp.call('buildImageIfNotExist', builds.get(id).image, 'http://127.0.0.1:9/x').catch((error) => error);
    await until(async () => (await docker('ps', '--no-trunc', '--format', '{{.Command}}')).includes(mark), 'the long step');
    const [code] = await world.signal('SIGTERM');
    assert.equal(code, 0);
    assert.match((await waiting).details, /shutting down/);
    assert.deepEqual(await buildRemains(), remains);

    await world.startLauncher();
    await world.ddp.subscribe('imageBuild', id);
    const build = world.ddp.collection('Builds').get(id);
    assert.deepEqual([build.status, build.error], ['failed', 'the launcher ended before it was done']);
    const lines = await log(world.ddp, id);
    assert.ok(lines.some(({ text }) => text === mark));
  });
});

describe('bad requests for builds', () => {
  let world;
  before(async () => (world = await World.start()));
  after(() => world?.close());

  for (const [what, params, details] of [
    ['nothing', [], /name option/],
    ['no name', [{ url: 'http://a.test/a.tar' }], /name option/],
    ['no source', [{ name: 'a' }], /url/],
    ['a URL that is none', [{ name: 'a', url: 'file:///etc/passwd' }], /url option/],
    ['a name with a digest', [{ name: `a@sha256:${'0'.repeat(64)}`, url: 'http://a.test/a.tar' }], /digest/],
    ['a name that is none', [{ name: 'A b', url: 'http://a.test/a.tar' }], /name option/],
  ]) {
    it(what, () => refused(world.ddp.call('image/build', ...params), 400, details));
  }
});
