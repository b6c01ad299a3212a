// Hostnames in all their forms, their options, the pages that visitors get, and the launcher under a name of its own.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Ddp } from './support/ddp.js';
import { StandaloneProxy } from './support/standalone-proxy.js';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

const https = { 'X-Forwarded-Proto': 'https' };
const json = { Accept: 'application/json' };

describe('a hostname', () => {
  let world, one, two;

  before(async () => {
    world = await World.start({ flags: ['--trusted-proxies', '127.0.0.1', '--default-hostname', 'one.test'] });
    one = await world.launch('one', { hostname: 'one.test' });
    two = await world.launch('two', { hostname: 'two.test' });
  });
  after(() => world?.close());

  const inside = async (host, path = '/inside') => (await world.get(host, path).expect(200)).json().container;
  const who = async (app) => (await app.container()).Config.Hostname;
  const add = (app, hostname, ...options) => world.ddp.call('addHostname', app.id, hostname, ...options);
  const remove = (app, hostname) => world.ddp.call('removeHostname', app.id, hostname);
  const set = (app, hostname, ...options) => world.ddp.call('setHostnameOptions', app.id, hostname, ...options);

  it('may stand for all names below a domain; the nearest counts', async () => {
    await add(two, '*.Wild.test');
    await add(one, '*.deep.wild.test');
    await add(one, 'exact.wild.test');
    for (const host of ['a.wild.test', 'a.b.wild.test']) assert.equal(await inside(host), await who(two), host);
    for (const host of ['exact.wild.test', 'a.deep.wild.test']) assert.equal(await inside(host), await who(one), host);
    assert.ok(two.document.hostnames.includes('*.wild.test'));
    await refused(add(one, '*.wild.test'), 400, `"*.wild.test" is already listed as a hostname for the app instance with ID ${two.id}`);
    for (const hostname of ['*.wild.test', '*.deep.wild.test', 'exact.wild.test']) {
      await remove(one, hostname);
      await remove(two, hostname);
    }
  });

  it('that nobody has leads to the default one', async () => {
    assert.equal(await inside('nobody.test'), await who(one));
  });

  it('is the same in Unicode', async () => {
    await add(two, 'bücher.test');
    assert.equal(await inside('xn--bcher-kva.test'), await who(two));
    await remove(two, 'Bücher.test');
    assert.equal(await inside('xn--bcher-kva.test'), await who(one));
  });

  it('may have a path, which the app is given or not', async () => {
    await add(two, 'one.test/two/');
    assert.equal(await inside('one.test', '/inside'), await who(one));
    const asItIs = (await world.get('one.test', '/two/inside')).text;
    await add(two, 'one.test/two', { stripPrefix: true });
    assert.equal(await inside('one.test', '/two/inside'), await who(two));
    assert.notEqual(asItIs, (await world.get('one.test', '/two/inside')).text);
    const headers = (await world.get('one.test', '/two/headers').expect(200)).json();
    assert.equal(headers['x-forwarded-prefix'], '/two');
    assert.equal(await inside('one.test', '/inside'), await who(one), 'what only begins like it is not below it');
    await remove(two, 'one.test/two');
    await remove(two, 'one.test/two/');
  });

  it('may send its visitors elsewhere', async () => {
    await add(two, 'www.two.test', { redirectTo: 'two.test' });
    const moved = await world.get('www.two.test', '/a?b=c').expect(302);
    assert.equal(moved.headers.location, 'http://two.test/a?b=c');
    assert.equal((await world.get('www.two.test', '/', { headers: https }).expect(302)).headers.location, 'https://two.test/');
    await set(two, 'www.two.test', { redirectTo: 'https://two.test', redirectPermanent: true });
    assert.equal((await world.get('www.two.test').expect(301)).headers.location, 'https://two.test/');
    assert.equal((await world.get('www.two.test', '/x', { method: 'POST', body: 'y' }).expect(308)).headers.location, 'https://two.test/x');
    assert.deepEqual(two.document.hostnameOptions, [{ hostname: 'www.two.test', redirectTo: 'https://two.test', redirectPermanent: true }]);
    await set(two, 'www.two.test');
    await world.get('www.two.test').expect(200);
    assert.deepEqual(two.document.hostnameOptions, []);
    await remove(two, 'www.two.test');
  });

  it('may be for https only, where a proxy in front sees to that', async () => {
    await set(two, 'two.test', { https: true, hstsMaxAge: 600 });
    const moved = await world.get(`two.test:${world.proxyPort}`, '/a').expect(301);
    assert.equal(moved.headers.location, 'https://two.test/a');
    assert.equal(moved.headers['strict-transport-security'], undefined, 'RFC 6797 §7.2: not over http');
    const page = await world.get('two.test', '/', { headers: https }).expect(200);
    assert.equal(page.headers['strict-transport-security'], 'max-age=600');
    await set(two, 'two.test');
    assert.equal((await world.get('two.test', '/', { headers: https }).expect(200)).headers['strict-transport-security'], undefined);
  });

  it('may have limits of its own', async () => {
    await set(two, 'two.test', { maxBodyBytes: 10, maxHeaderBytes: 1_000 });
    const send = (host, body) => world.get(host, '/', { method: 'POST', body });
    await send('two.test', 'x'.repeat(11)).expect(413);
    await send('two.test', 'x'.repeat(10)).expect(200);
    await send('one.test', 'x'.repeat(11)).expect(200);
    await world.get('two.test', '/', { headers: { 'X-Long': 'x'.repeat(1_000) } }).expect(431);
    await set(two, 'two.test');
  });

  it('goes with its options from one release to the next, and comes back with an older one', async () => {
    const [before] = two.document.releaseId ? [two.document.releaseId] : [];
    await add(two, 'www.two.test', { redirectTo: 'two.test' });
    await world.ddp.call('setEnvironment', two.id, { COLOUR: 'red' });
    await until(() => two.document.deploymentId === null && two.document.releaseId !== before, 'the release');
    await world.get('www.two.test').expect(302);
    await remove(two, 'www.two.test');
    await world.ddp.call('rollback', two.id, before);
    await until(() => two.document.deploymentId === null && two.document.hostnames.includes('www.two.test'), 'the rollback');
    await world.get('www.two.test').expect(302);
    await remove(two, 'www.two.test');
  });

  it('survives the launcher with its options', async () => {
    await add(two, '*.kept.test/x', { stripPrefix: true });
    await world.crash();
    await world.startLauncher();
    await until(async () => (await world.get('a.kept.test', '/x/inside').answer).status === 200, 'the route');
    assert.equal(await inside('a.kept.test', '/x/inside'), await who(two));
    await remove(two, '*.kept.test/x');
  });

  it('is served by proxies elsewhere as here', async () => {
    const proxy = await StandaloneProxy.start(`ddp://127.0.0.1:${world.port}`);
    try {
      await add(two, 'elsewhere.test/two', { stripPrefix: true });
      await add(two, 'old.test', { redirectTo: 'two.test' });
      await proxy.becomes('old.test', 302);
      const here = (await proxy.get('elsewhere.test', '/two/inside')).json().container;
      assert.equal(here, await who(two));
      assert.equal((await proxy.get('nobody.test', '/inside')).json().container, await who(one));
    } finally {
      await proxy.close();
    }
  });

  it('is refused where it makes no sense, with the reason', async () => {
    for (const [hostname, options, reason] of [
      ['*', undefined, /asterisk/],
      ['a.*.test', undefined, /asterisk/],
      ['two.test//x', undefined, /path after a hostname/],
      ['x.test', { stripPrefix: true }, /stripPrefix option is for hostnames with a path/],
      ['x.test', { redirectTo: 'https://x.test' }, /leads back/],
      ['x.test', { striPrefix: true }, /no option "striPrefix"\. There are stripPrefix/],
      ['x.test', { maxBodyBytes: -1 }, /maxBodyBytes option must be a whole number/],
      ['x.test', [], /object with the hostname's options/],
    ]) {
      await refused(add(two, hostname, options), 400, reason);
    }
    await refused(set(two, 'other.test', {}), 400, `The app instance with ID ${two.id} has no hostname "other.test"`);
    await refused(world.ddp.call('setMaintenance', two.id, 'yes'), 400, /true or false/);
  });

  describe('has a page', () => {
    it('for maintenance, while the app runs on', async () => {
      assert.equal(await world.ddp.call('setMaintenance', two.id, true), true);
      const { text, headers } = await two.get().expect(503);
      assert.match(text, /Under maintenance/);
      assert.equal(headers['retry-after'], '30');
      assert.deepEqual([two.document.maintenance, two.document.status], [true, 'running']);
      const { error, state } = (await two.get('/', { headers: json }).expect(503)).json();
      assert.deepEqual([error, state], ['not-running', 'maintenance']);
      await world.ddp.call('setMaintenance', two.id, false);
      await two.get().expect(200);
    });

    it('for one that is stopped', async () => {
      await two.call('stop');
      assert.match((await two.get().expect(503)).text, /not running now \(stopped\)/);
      await two.call('start');
      await two.answering();
    });
  });
});

describe('pages of the operator', () => {
  let world, pages, app;

  before(async () => {
    pages = await mkdtemp(join(tmpdir(), 'meteor-launcher-pages-'));
    await writeFile(join(pages, 'stopped.html'), '<h1>{{host}} sleeps</h1>');
    await writeFile(join(pages, 'error.html'), '<h1>{{status}} {{title}}</h1><p>{{reason}}</p>');
    world = await World.start({ flags: ['--pages', pages] });
    app = await world.launch('paged', { hostname: 'paged.test' });
  });
  after(async () => {
    await world?.close();
    await rm(pages, { recursive: true, force: true });
  });

  it('take the place of the router’s', async () => {
    await app.call('stop');
    const stopped = await app.get().expect(503);
    assert.equal(stopped.text, '<h1>paged.test sleeps</h1>');
    assert.equal(stopped.headers['content-security-policy'], undefined);
    const unknown = await world.get('<b>.test').answer;
    assert.doesNotMatch(unknown.text, /<b>/);
    assert.match((await world.get('unknown.test').expect(404)).text, /^<h1>404 Nothing here<\/h1>/);
    assert.equal((await app.get('/', { headers: json }).expect(503)).json().state, 'stopped');
  });
});

describe('the launcher itself', () => {
  let world;
  before(async () => void (world = await World.start({ flags: ['--launcher-domain', 'launcher.test'] })));
  after(() => world?.close());

  const connect = (headers) => Ddp.connect(`ws://127.0.0.1:${world.proxyPort}/websocket`, { headers: { Host: 'launcher.test', ...headers } });

  it('answers under its name on the visitors’ port: pages and DDP', async () => {
    assert.equal((await world.get('launcher.test', '/health').expect(200)).json().status, 'ok');
    const client = await connect({ Origin: 'https://launcher.test' });
    await client.subscribe('settings');
    assert.equal(client.collection('Settings').size, 1);
    await client.close();
  });

  it('lets no page of another site in', async () => {
    await assert.rejects(connect({ Origin: 'https://evil.test' }));
    await world.get('launcher.test', '/hooks/x', { method: 'POST', headers: { Origin: 'https://evil.test' } }).expect(403);
  });

  it('tells with an upload where it is reached', async () => {
    const client = await connect();
    const { url } = await client.call('image/createUpload', { size: 1, sha256: '0'.repeat(64) });
    assert.match(url, /^http:\/\/launcher\.test\/uploads\//);
    await client.close();
  });
});
