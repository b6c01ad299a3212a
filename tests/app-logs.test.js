// What apps write, live: in order, through restarts and replacements, for several who want different things, and from one that never stops.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { docker } from './support/docker.js';
import { EngineRelay } from './support/relay.js';
import { say, talker } from './support/talker.js';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

const lines = (client) => [...client.collection('AppLogs').values()].sort((a, b) => a.n - b.n || (a._id < b._id ? -1 : 1));
const texts = (client) => lines(client).map(({ text }) => text);
const shows = (client, text) => until(() => texts(client).includes(text), () => `${text}, not ${JSON.stringify(texts(client).slice(-5))}`);

describe('logs of apps', () => {
  let world, appImage;

  before(async () => {
    world = await World.start();
    appImage = await world.build('talker', talker());
  });
  after(() => world?.close());

  const launch = (name) => world.launch(name, { appImage, hostname: `${name}.test` });

  async function watching(app, options = {}) {
    const client = await world.connect();
    await client.subscribe('appLogs', app.id, options);
    return client;
  }

  it('have every line with its time, stream and container, as it was written', async () => {
    const app = await launch('plain');
    const { containerId } = app.document;
    await say(app, 'before\n');
    // What a program has written is in Docker's log a little later.
    await until(async () => (await docker('logs', containerId)).includes('before'), 'the line in Docker\'s log');
    const client = await watching(app);
    assert.ok(texts(client).includes('before'), 'what is there is sent before ready');
    assert.ok(texts(client).includes('listening'));

    const told = Date.now();
    await say(app, '\x1b[31mred\x1b[0m\n');
    await shows(client, '\x1b[31mred\x1b[0m');
    await say(app, 'to the other\n', 'stderr');
    // Docker reads the two streams one independently of the other.
    await shows(client, 'to the other');
    await say(app, Buffer.from('Gr\u00fc\u00dfe').subarray(0, 3));
    await say(app, Buffer.concat([Buffer.from('Gr\u00fc\u00dfe \u{1f511}').subarray(3), Buffer.from([0xff, 0x0a])]));
    await app.get('/long?bytes=70000').expect(200);
    await say(app, 'last\n');
    await shows(client, 'last');

    const written = lines(client).slice(texts(client).indexOf('before') + 1);
    assert.deepEqual(written.map(({ text }) => (text.length > 100 ? text.length : text)), [
      '\x1b[31mred\x1b[0m', 'to the other', 'Gr\u00fc\u00dfe \u{1f511}\ufffd', 65_536, 'last',
    ]);
    assert.deepEqual(written.map(({ stream }) => stream), ['stdout', 'stderr', 'stdout', 'stdout', 'stdout']);
    assert.deepEqual(written.map(({ truncated }) => truncated), [undefined, undefined, undefined, true, undefined]);
    for (const line of written) {
      assert.equal(line.instanceId, app.id);
      assert.equal(line.containerId, containerId);
      assert.ok(line.at instanceof Date && Math.abs(line.at - told) < 60_000, String(line.at));
    }
    await app.call('remove');
  });

  it('go on through restarts and new containers, and are there when it is stopped', async () => {
    const app = await launch('restarted');
    const client = await watching(app);
    await say(app, 'first run\n');
    await shows(client, 'first run');
    await app.call('restart');
    await app.answering();
    await say(app, 'second run\n');
    await shows(client, 'second run');
    await app.call('rebuild');
    await app.answering();
    await say(app, 'third run\n');
    await shows(client, 'third run');
    const own = texts(client).filter((text) => / run$/.test(text));
    assert.deepEqual(own, ['first run', 'second run', 'third run']);
    assert.equal(texts(client).filter((text) => text === 'listening').length, 3);
    assert.equal(new Set(lines(client).map(({ containerId }) => containerId)).size, 2);

    await app.call('stop');
    const late = await watching(app);
    assert.ok(texts(late).includes('third run'), 'the last container is stopped, not forgotten');
    await app.call('remove');
  });

  it('are those of all replicas', async () => {
    const app = await launch('replicas');
    await world.ddp.call('scale', app.id, 2);
    const client = await watching(app);
    const listening = () => lines(client).filter(({ text }) => text === 'listening');
    await until(() => listening().length === 2, () => JSON.stringify(texts(client)));
    assert.deepEqual(listening().map(({ replica }) => replica).sort(), [0, 1]);
    await world.ddp.call('scale', app.id, 3);
    await until(() => listening().length === 3, 'the line of the third');
    await app.call('remove');
  });

  it('are what was asked for, also when others ask for something else', async () => {
    const app = await launch('options');
    await say(app, 'one\ntwo\n');
    await say(app, 'error one\n', 'stderr');
    await say(app, 'three\n');
    const all = await watching(app);
    const errors = await watching(app, { stream: 'stderr' });
    const newest = await watching(app, { tail: 2 });
    const none = await watching(app, { tail: 0 });
    const since = await watching(app, { since: { $date: lines(all).find(({ text }) => text === 'error one').at.getTime() + 1 } });
    const container = await watching(app, { container: app.document.containerId.slice(0, 12) });
    const other = await watching(app, { container: '0'.repeat(12) });
    assert.deepEqual(texts(errors), ['error one']);
    assert.equal(texts(newest).length, 2);
    assert.deepEqual(texts(none), []);
    assert.ok(!texts(since).includes('one'));
    assert.deepEqual(texts(container), texts(all));

    const both = await watching(app, { tail: 1 });
    await both.subscribe('appLogs', app.id, { tail: 1_000, stream: 'stderr' });
    await say(app, 'error two\n', 'stderr');
    // Docker reads the two streams one independently of the other.
    await shows(all, 'error two');
    await say(app, 'four\n');
    await Promise.all([all, newest, none, since, container, both].map((client) => shows(client, 'four')));
    await shows(errors, 'error two');
    assert.deepEqual(texts(errors), ['error one', 'error two']);
    assert.deepEqual(texts(newest), ['error two', 'four'], 'never more than the newest two');
    assert.deepEqual(texts(none), ['error two', 'four']);
    assert.deepEqual(texts(both), ['error one', 'error two', 'four']);
    assert.deepEqual(texts(other), []);
    await app.call('remove');
  });

  it('of one that writes more than anybody can read show the newest lines, and how many are left out', async () => {
    const app = await launch('flood');
    const other = await launch('other');
    const [client, calm] = [await watching(app), await watching(other)];
    await app.get('/flood?lines=1000&wait=10').expect(200);
    await until(() => lines(client).some(({ dropped }) => dropped > 0), 'lines that are left out');
    await say(other, 'not held up\n');
    await shows(calm, 'not held up');
    assert.ok(client.collection('AppLogs').size <= 1_000);

    const count = Number((await app.get('/quiet').expect(200)).text);
    const last = `flood ${count - 1} `;
    await until(() => texts(client).some((text) => text.startsWith(last)), () => `${last}, not ${texts(client).slice(-3)}`);
    const added = client.messages.filter(({ msg, collection }) => msg === 'added' && collection === 'AppLogs').map(({ id, fields }) => ({ _id: id, ...fields }));
    added.sort((a, b) => (a._id < b._id ? -1 : 1));
    let [expected, noted] = [0, 0];
    for (const { text, dropped } of added) {
      const number = Number(/^flood (\d+) /.exec(text)?.[1] ?? NaN);
      if (dropped) noted += dropped;
      if (Number.isNaN(number)) continue;
      if (number !== expected) assert.ok(number > expected && noted > 0, `a note between ${expected} and ${number}`);
      [expected, noted] = [number + 1, 0];
    }
    for (const line of added.filter((line) => line.dropped)) assert.equal(line.text, `(${line.estimated ? 'about ' : ''}${line.dropped} lines are left out)`);
    await app.call('remove');
    await other.call('remove');
  });

  it('of an instance that is not there, or with options that mean nothing, are refused', async () => {
    const app = await launch('refused');
    const client = await world.connect();
    const attempt = (...params) => client.subscribe('appLogs', ...params);
    await refused(attempt('nothing'), 400, 'No app instance has ID nothing');
    await refused(attempt(), 400, /instanceId/);
    for (const options of [{ tail: 10_001 }, { tail: 'all' }, { since: 'now' }, { container: 'abc' }, { stream: 'stdin' }]) {
      await refused(attempt(app.id, options), 400, new RegExp(Object.keys(options)[0]));
    }
    await app.call('remove');
  });
});

describe('logs of an app that nobody watches', () => {
  let relay, world;

  before(async () => {
    relay = await EngineRelay.start();
    world = await World.start({ flags: ['--docker-host', `unix://${relay.path}`] });
  });
  after(async () => {
    await world?.close();
    await relay?.close();
  });

  it('are not read; those that several watch are read once', async () => {
    const app = await world.launch('unwatched', { appImage: await world.build('talker-alone', talker()), hostname: 'unwatched.test' });
    const readers = () => relay.asking(/\/logs\?.*follow=1/);
    assert.equal(readers(), 0);
    const [one, other] = [await world.connect(), await world.connect()];
    const subscription = await one.subscribe('appLogs', app.id);
    await until(() => readers() === 1, 'the log to be read');
    await other.subscribe('appLogs', app.id, { tail: 5 });
    await say(app, 'to both\n');
    await Promise.all([one, other].map((client) => shows(client, 'to both')));
    assert.equal(readers(), 1);

    one.send({ msg: 'unsub', id: subscription });
    await until(() => texts(one).length === 0, 'the end of the subscription');
    await say(app, 'to one\n');
    await shows(other, 'to one');
    assert.equal(readers(), 1);
    await other.close();
    await until(() => readers() === 0, 'the log being let go of');
    await app.call('remove');
  });
});
