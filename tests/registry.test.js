// Pulls from and pushes to real registries: what is told while they go on, how they fail, and that no password gets out.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { docker, image } from './support/docker.js';
import { Foreign } from './support/foreign.js';
import { freePort } from './support/ports.js';
import { Registry, Relay, WrongRegistry, bridgeAddress, users } from './support/registry.js';
import { until } from './support/until.js';
import { Watching, gone, isOver } from './support/watching.js';
import { refused, required } from './support/world.js';

const MiB = 1024 * 1024;

const untagged = (name) => name.replace(/:[^:@/]+@/, '@');

describe('a registry that lets everyone in', () => {
  let world, registry, relay;

  before(async () => {
    world = await Watching.start();
    registry = await Registry.start();
    relay = await Relay.start(registry.port);
  });
  after(async () => {
    const left = (await docker('images', '--format', '{{.Repository}}:{{.Tag}}@{{.Digest}}', '--filter', `reference=${relay.host}/*`)).split('\n');
    await gone(...left.filter(Boolean).map((name) => name.replace(/@<none>$|:<none>/, '').replace(/(:[^:@/]+)@.*/, '$1')));
    await relay?.close();
    await registry?.close();
    await world?.close();
  });

  it('gets an image and gives it back, by tag and by digest', async () => {
    const name = await world.made(`${relay.host}/there-and-back:1`);
    const { Id } = await image(name);
    const push = await world.done('image/push', name);
    assert.deepEqual(world.history(push._id, 'status'), ['queued', 'uploading', 'succeeded']);
    assert.equal(push.kind, 'push');
    assert.equal(push.source, relay.host);
    assert.equal(push.imageId, Id);
    assert.match(push.digest, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(push.layers, { done: 1, of: 1 });
    assert.ok(push.receivedBytes >= MiB && push.expectedBytes === push.receivedBytes, JSON.stringify(push));

    const digest = `${relay.host}/there-and-back@${push.digest}`;
    for (const asked of [name, digest, `${relay.host}/there-and-back:none@${push.digest}`]) {
      await gone(name, digest);
      assert.equal(await image(Id), null);
      const pull = await world.done('image/pull', asked);
      assert.deepEqual(world.history(pull._id, 'status'), ['queued', 'downloading', 'succeeded']);
      assert.equal(pull.kind, 'pull');
      assert.equal(pull.image, asked);
      assert.equal(pull.imageId, Id);
      assert.equal(pull.digest, push.digest);
      assert.deepEqual(pull.layers, { done: 1, of: 1 });
      assert.equal((await image(asked)).Id, Id);
      // With a digest the tag means nothing: it is one name, told as it was first asked for.
      const documents = [...world.images.values()].filter(({ name }) => untagged(name) === untagged(asked));
      assert.equal(documents.length, 1, asked);
      const log = await world.log(pull._id);
      assert.deepEqual(log.filter((line) => /: (Pulling fs layer|Pull complete)$/.test(line)).length, 2, log.join('\n'));
      assert.ok(log.length < 20, log.join('\n'));
    }
    await gone(digest);
  });

  it('is asked once for an image that twenty want', async () => {
    const name = await world.made(`${relay.host}/twenty`, 4 * MiB);
    await world.done('image/push', name);
    await gone(name);
    relay.holdAfter(MiB);
    const asks = Array.from({ length: 20 }, (_, index) => world.ddp.call('image/pull', index % 2 ? name : `${name}:latest`));
    const ids = new Set(await Promise.all(asks));
    assert.equal(ids.size, 1, [...ids].join());
    const [id] = ids;
    await world.moving(id);
    relay.release();
    assert.equal((await world.ended(id)).status, 'succeeded');
    await gone(name);
  });

  it('can be launched from by digest', async () => {
    const base = await world.app();
    const name = `${relay.host}/app:1`;
    await docker('tag', base, name);
    const { digest } = await world.done('image/push', name);
    await gone(name);
    const asked = `${relay.host}/app@${digest}`;
    const app = await world.launch('by-digest', { appImage: asked, hostname: 'by-digest.test' });
    assert.equal(app.document.image, asked);
    await app.call('remove');
    await gone(asked);
  });

  for (const [method, verb] of [['image/pull', 'pull'], ['image/push', 'push']]) {
    it(`holds up a ${verb} that is cancelled in the middle, of which nothing is left`, async () => {
      const name = await world.made(`${relay.host}/cancelled-${verb}`, 8 * MiB);
      if (verb === 'pull') {
        await world.done('image/push', name);
        await gone(name);
      }
      relay.holdAfter(2 * MiB);
      const id = await world.ddp.call(method, name);
      await world.moving(id);
      assert.equal(await world.ddp.call('image/cancelBuild', id), true);
      assert.equal(world.builds().get(id).status, 'cancelled');
      relay.release();
      if (verb === 'pull') {
        assert.equal(await image(name), null);
        await until(() => world.imageDocuments(name).length === 0, 'the document to go');
      }
      await world.done(method, name);
      await gone(name);
    });
  }

  it('is watched layer by layer by a client of somebody else', async () => {
    const files = { one: randomBytes(MiB), two: randomBytes(2 * MiB), three: randomBytes(3 * MiB) };
    const name = `${relay.host}/layers`;
    const local = await world.build('layers', dockerfile('FROM scratch\nCOPY one /\nCOPY two /\nCOPY three /\n', files));
    await docker('tag', local, name);
    await world.done('image/push', name);
    await gone(name, local);
    const client = await Foreign.connect('simpleddp', world.url, ['Builds']);
    try {
      await client.subscribe('imageBuilds');
      relay.holdAfter(2 * MiB);
      const id = await client.call('image/pull', name);
      await until(() => client.collection('Builds').get(id)?.layers?.of === 3, 'three layers');
      relay.release();
      await until(() => isOver(client.collection('Builds').get(id)), 'the end');
      const { layers, status, receivedBytes, expectedBytes } = client.collection('Builds').get(id);
      assert.deepEqual({ layers, status }, { layers: { done: 3, of: 3 }, status: 'succeeded' });
      assert.ok(receivedBytes === expectedBytes && receivedBytes >= 5 * MiB, `${receivedBytes} of ${expectedBytes}`);
      const received = world.history(id, 'receivedBytes');
      assert.deepEqual(received, received.toSorted((a, b) => a - b), 'bytes never go back');
    } finally {
      await client.close();
      await gone(name);
    }
  });

  it('does not have everything', async () => {
    const name = await world.made(`${relay.host}/known:1`);
    await world.done('image/push', name);
    for (const missing of [`${relay.host}/known:2`, `${relay.host}/unknown:1`, `${relay.host}/known@sha256:${'0'.repeat(64)}`]) {
      assert.match(await world.failed('image/pull', missing), /has no image of this name with this tag or digest$/);
      assert.equal(world.imageDocuments(missing).length, 0);
    }
    await gone(name);
  });

  it('cannot be reached, or speaks plain HTTP where it may not', async () => {
    const nowhere = `127.0.0.1:${await freePort()}`;
    assert.match(await world.failed('image/pull', `${nowhere}/app:1`), new RegExp(`the registry ${nowhere} cannot be reached: .*refused`));
    const { details } = await refused(world.ddp.call('launchAppInstance', { appImage: `${nowhere}/app:1`, ...required }), 500);
    assert.match(details, /cannot be reached/);
    const plain = await Relay.start(registry.port, await bridgeAddress());
    try {
      assert.match(await world.failed('image/pull', `${plain.host}/app:1`), /speaks plain HTTP where .* insecure-registries/);
    } finally {
      await plain.close();
    }
  });

  it('gets only what has a name and a tag', async () => {
    const push = (name) => world.ddp.call('image/push', name);
    await refused(push(`${relay.host}/not-there:1`), 400, `No image has the name ${relay.host}/not-there:1`);
    await refused(push(`${relay.host}/app@sha256:${'0'.repeat(64)}`), 400, /name and tag/);
    for (const method of ['image/pull', 'image/push']) {
      for (const bad of [undefined, 7, '', 'a b', 'App', '../x']) await refused(world.ddp.call(method, bad), 400, /name argument|\(name\)/);
    }
  });

  it('dies in the middle of a pull, which says so after it has tried again', async () => {
    const dying = await Registry.start();
    try {
      const name = await world.made(`${dying.host}/dying`, 64 * MiB);
      await world.done('image/push', name);
      await gone(name);
      const slow = await Relay.start(dying.port);
      const there = name.replace(dying.host, slow.host);
      slow.holdAfter(4 * MiB);
      const id = await world.ddp.call('image/pull', there);
      await world.moving(id);
      await dying.kill();
      await slow.close();
      const { error, status } = await world.ended(id);
      assert.equal(status, 'failed');
      assert.match(error, /the registry \S+ cannot be reached: |the connection to the registry \S+ broke off/);
      assert.equal(await image(there), null);
    } finally {
      await dying.close();
    }
  });
});

describe('a registry that wants a password', () => {
  let world, registry;
  const { right, changed } = users;
  const wrong = { username: 'user', password: 'hunter2-?>~' };
  const add = (user, more) => world.ddp.call('registry/add', { registry: registry.host, username: user.username, password: user.password, ...more });

  before(async () => {
    world = await Watching.start({ env: { RUST_LOG: 'trace' } });
    registry = await Registry.start({ user: right });
  });
  after(async () => {
    await registry?.close();
    await world?.close();
  });

  it('says what it lacks: no credentials, wrong ones, changed ones, none any more', async () => {
    const name = await world.made(`${registry.host}/team/private:1`);
    const none = /wants credentials, of which none are stored; registry\/add/;
    assert.match(await world.failed('image/push', name), none);
    assert.match(await world.failed('image/pull', name), none);

    await refused(add(wrong), 400, `the credentials were not stored: the registry ${registry.host} refused those of "user"`);
    assert.deepEqual(world.registries(), []);
    const id = await add(wrong, { verify: false });
    assert.match(await world.failed('image/push', name), /refused it to the credentials of "user"; registry\/add/);
    assert.match(world.registries()[0].error, /credentials/);

    assert.equal(await add(right, { registry: `HTTP://${registry.host}/v2/` }), id);
    const [document] = world.registries();
    assert.deepEqual(Object.keys(document).filter((key) => document[key] !== null).sort(), ['_id', 'createdAt', 'lastUsedAt', 'registry', 'username']);
    assert.equal(document.registry, registry.host);
    assert.equal(document.username, 'user');
    assert.ok(document.createdAt instanceof Date && document.lastUsedAt instanceof Date);
    await world.done('image/push', name);
    await gone(name);
    await world.done('image/pull', name);

    await registry.letIn(changed);
    assert.match(await world.failed('image/pull', name), /refused it to the credentials of "user"/);
    await add(changed);
    await world.done('image/pull', name);
    await registry.letIn(right);
    await add(right);
    assert.equal(await world.ddp.call('registry/remove', registry.host), true);
    await until(() => world.registries().length === 0, 'the document to go');
    assert.match(await world.failed('image/pull', name), none);
    await refused(world.ddp.call('registry/remove', id), 400, /No credentials/);
    await gone(name);
  });

  it('gives the base of a build and the image of a launch, also after a restart', async () => {
    await add(right);
    const base = `${registry.host}/base:1`;
    const local = await world.app();
    await docker('tag', local, base);
    await world.done('image/push', base);
    await gone(base);
    const fromBase = dockerfile(`FROM ${base}\nLABEL own=${Date.now()}\n`);
    await world.crash();
    await world.startLauncher();
    await world.build('on-private', fromBase);
    await gone(base);
    const app = await world.launch('private', { appImage: base, hostname: 'private.test' });
    await app.call('remove');
    await gone(base);
  });

  it('has a name that is a host, and credentials that are not too long', async () => {
    const secret = 'hunter2-in-a-name';
    for (const bad of [undefined, '', 'registry', 'registry.test/team', `https://user:${secret}@registry.test`, 'a b.test', 7]) {
      const { wire } = await refused(add(right, { registry: bad }), 400, /registry option/);
      assert.ok(!JSON.stringify(wire).includes(secret));
    }
    for (const bad of [{ username: 'a:b' }, { username: 'x'.repeat(300) }, { password: 'x'.repeat(20_000) }, { password: 'two\nlines' }, { verify: 'yes' }, { password: '' }]) {
      await refused(add(right, bad), 400);
    }
    await refused(world.ddp.call('registry/add', `https://user:${secret}@registry.test`), 400);
    await refused(world.ddp.call('registry/remove', 'nobody.test'), 400);
    assert.ok(!(await readFile(world.logFile, 'utf8')).includes(secret));
  });

  // The last one: it reads what all of the above has left.
  it('has no password that anybody but the engine was told, whatever is logged', async () => {
    const secrets = ['hunter2@db.test', ...[right, changed, wrong].flatMap(({ username, password }) => [
      password, encodeURIComponent(password), JSON.stringify(password).slice(1, -1), Buffer.from(`${username}:${password}`).toString('base64'),
      Buffer.from(JSON.stringify({ username, password }).slice(0, -1)).toString('base64').slice(0, 32),
    ])];
    const places = new Map([['the log', await readFile(world.logFile, 'utf8')]]);
    places.set('a message to a client', JSON.stringify(world.ddp.messages));
    for (const file of await readdir(world.dataDir)) {
      if (!file.startsWith('launcher.db')) places.set(file, await readFile(join(world.dataDir, file), 'latin1').catch(() => ''));
    }
    assert.match(places.get('the log'), / TRACE /, 'all is logged that can be');
    for (const [place, text] of places) {
      for (const secret of secrets) assert.equal(text.includes(secret), false, `${place} has ${secret}`);
    }
  });
});

describe('what is no good registry is told apart:', () => {
  let world;

  before(async () => {
    world = await Watching.start();
  });
  after(() => world?.close());

  // A pull and a launch fail with these words.
  async function says(host, words) {
    const name = `${host}/team/app:1`;
    assert.match(await world.failed('image/pull', name), words);
    await refused(world.ddp.call('launchAppInstance', { appImage: name, ...required }), 500, words);
    await until(() => world.imageDocuments(name).length === 0, 'the document to go');
  }

  it('one whose certificate is not trusted', async () => {
    const wrong = await WrongRegistry.start((_, response) => response.writeHead(200).end('{}'), { address: await bridgeAddress(), tls: true });
    try {
      await says(wrong.host, /: the Docker engine does not trust the certificate of the registry \S+: certificate (signed by unknown authority|relies on)/);
      const stored = world.ddp.call('registry/add', { registry: wrong.host, username: 'user', password: 'hunter2-tls' });
      const { details } = await refused(stored, 500, /the credentials were not stored: the Docker engine does not trust the certificate/);
      assert.doesNotMatch(details, /hunter2/);
    } finally {
      await wrong.close();
    }
  });

  for (const [what, greeting] of [['speaks first', 'SSH-2.0-something\r\n'], ['says nothing that is HTTP', null]]) {
    it(`a port that ${what}`, async () => {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        if (greeting) socket.end(greeting, () => socket.destroy());
        else socket.once('data', () => socket.end('nonsense\r\n\r\n', () => socket.destroy()));
      });
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      try {
        await says(`127.0.0.1:${server.address().port}`, /: what answers at \S+ is no registry: it speaks no HTTP$/);
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    });
  }

  it('one whose rate limit is reached', async () => {
    const errors = { errors: [{ code: 'TOOMANYREQUESTS', message: 'You have reached your pull rate limit.' }] };
    const wrong = await WrongRegistry.start((request, response) => {
      if (request.url === '/v2/') return response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
      return response.writeHead(429, { 'Content-Type': 'application/json', 'Retry-After': '60' }).end(JSON.stringify(errors));
    });
    try {
      await says(wrong.host, /: the registry \S+ answers no more for now: its rate limit is reached \(no credentials were used; registry\/add stores some\)$/);
    } finally {
      await wrong.close();
    }
  });

  it('one that is ill', async () => {
    const wrong = await WrongRegistry.start((request, response) => response.writeHead(503, { 'Content-Type': 'text/html' }).end('<h1>Service Unavailable</h1>'));
    try {
      await says(wrong.host, / cannot be pulled: received unexpected HTTP status: 503 Service Unavailable$/);
    } finally {
      await wrong.close();
    }
  });
});
