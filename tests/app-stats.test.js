// What apps use: told while somebody watches, written down every minute, and gone with the instance.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { docker } from './support/docker.js';
import { talker } from './support/talker.js';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

const MINUTE_MS = 60_000;
const figures = (client) => [...client.collection('AppStats').values()];
const hours = (client) => [...client.collection('AppStatsHistory').values()].sort((a, b) => a.from - b.from);
const minutes = (client) => hours(client).flatMap(({ minutes }) => minutes);

describe('figures of apps', () => {
  let world, app;

  before(async () => {
    world = await World.start();
    const appImage = await world.build('talker', talker());
    app = await world.launch('used', { appImage, hostname: 'used.test' });
  });
  after(() => world?.close());

  const versions = (client, id) => client.history('AppStats', id).length;

  it('are those of the container, and follow what it does', async () => {
    const client = await world.connect();
    await client.subscribe('appStats', app.id);
    await until(() => figures(client)[0]?.cpu !== undefined && figures(client)[0].cpu !== null, () => `figures, not ${JSON.stringify(figures(client))}`);
    const [first] = figures(client);
    assert.equal(first._id, app.document.containerId);
    assert.equal(first.instanceId, app.id);
    assert.ok(first.at instanceof Date && Math.abs(first.at - Date.now()) < MINUTE_MS);
    assert.ok(first.memoryBytes > 5e6 && first.memoryBytes < 500e6, String(first.memoryBytes));
    assert.ok(first.memoryLimitBytes > first.memoryBytes);
    assert.ok(first.pids > 1 && first.networkReceivedBytes > 0 && first.networkSentBytes > 0, JSON.stringify(first));

    await app.get('/use?cpu=3000&bytes=100000000').expect(200);
    await until(() => figures(client)[0].memoryBytes > first.memoryBytes + 90e6, 'the memory that it took');
    const highest = Math.max(...client.history('AppStats', first._id).map(({ fields }) => fields.cpu ?? 0));
    assert.ok(highest > 10 && highest < 250, `${highest} percent`);
    const said = await docker('stats', '--no-stream', '--format', '{{.MemUsage}}', app.document.containerId);
    const megabytes = Number(/^([0-9.]+)MiB/.exec(said)[1]) * 2 ** 20;
    const shown = figures(client)[0].memoryBytes;
    assert.ok(Math.abs(shown - megabytes) < 10e6, `${shown}, while Docker says ${said}`);
    await client.close();
  });

  it('are of the container that runs, and of none when none does', async () => {
    const client = await world.connect();
    await client.subscribe('appStats', app.id, { history: false });
    await until(() => figures(client).length === 1, 'figures');
    await app.call('stop');
    await until(() => figures(client).length === 0, 'no figures');
    await app.call('start');
    await app.answering();
    await until(() => figures(client).length === 1, 'figures again');
    await app.call('rebuild');
    await app.answering();
    await until(() => figures(client).length === 1 && figures(client)[0]._id === app.document.containerId, 'those of the new container');
    assert.equal(hours(client).length, 0);
    await client.close();
  });

  it('count what visitors have open, and tell the replicas apart', async () => {
    const client = await world.connect();
    await client.subscribe('appStats', app.id);
    await until(() => figures(client)[0]?.openConnections === 0, 'nothing open');
    const held = app.get('/hold').answer;
    await until(() => figures(client)[0].openConnections === 1, () => `a request, not ${figures(client)[0].openConnections}`);
    await app.get('/release').expect(200);
    assert.equal((await held).text, 'released');
    await until(() => figures(client)[0].openConnections === 0, 'nothing open again');

    await world.ddp.call('scale', app.id, 2);
    await until(() => figures(client).length === 2, 'figures of two');
    assert.deepEqual(figures(client).map(({ replica }) => replica).sort(), [0, 1]);
    assert.deepEqual(figures(client).map(({ restarts }) => restarts), [0, 0]);
    await world.ddp.call('scale', app.id, 1);
    await until(() => figures(client).length === 1, 'figures of one');
    await client.close();
  });

  it('are told to nobody who has unsubscribed, and go on for the others', async () => {
    const [one, other] = [await world.connect(), await world.connect()];
    const subscription = await one.subscribe('appStats', app.id);
    await other.subscribe('appStats', app.id);
    const id = app.document.containerId;
    await until(() => versions(one, id) > 1 && versions(other, id) > 1, 'figures for both');
    one.send({ msg: 'unsub', id: subscription });
    await until(() => figures(one).length === 0, 'the end of the subscription');
    const before = versions(other, id);
    await until(() => versions(other, id) > before + 1, 'more figures for the other');
    await Promise.all([one.close(), other.close()]);
  });

  it('of each minute are there after a crash of the launcher, until the instance is removed', async () => {
    const client = await world.connect();
    await client.subscribe('appStats', app.id);
    await until(() => minutes(client).length > 0, 'a minute', 3 * MINUTE_MS);
    const [hour] = hours(client);
    assert.equal(hour.instanceId, app.id);
    assert.equal(hour.from.getTime() % (60 * MINUTE_MS), 0);
    for (const name of ['cpu', 'memoryBytes', 'memoryLimitBytes', 'networkReceivedBytes', 'networkSentBytes', 'blockReadBytes', 'blockWrittenBytes', 'pids', 'containers', 'openConnections']) {
      assert.equal(hour[name].length, hour.minutes.length, name);
    }
    assert.ok(hour.memoryBytes[0] > 5e6 && hour.containers[0] === 1);
    const known = minutes(client);

    await world.crash();
    await world.startLauncher();
    await world.status(app.id, 'running');
    const later = await world.connect();
    await later.subscribe('appStats', app.id);
    assert.deepEqual(minutes(later).slice(0, known.length), known, 'they are there before the subscription is ready');
    await app.call('remove');
    await refused(later.subscribe('appStats', app.id), 400, `No app instance has ID ${app.id}`);
    await refused(later.subscribe('appStats', app.id, { history: 1 }), 400, /history/);
  });
});
