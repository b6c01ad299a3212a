// A page of the old version of an app gets its script while another version takes its place, and when it has.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { seen, tell, obedient } from './support/obedient.js';
import { until } from './support/until.js';
import { World } from './support/world.js';

/** The script of a page of that release, as `support/obedient.js` names it. */
const script = (release) => `/${createHash('sha1').update(`release ${release}`).digest('hex')}.js?meteor_js_resource=true`;

describe('a page of the old version', { concurrency: false }, () => {
  let world, app, old;

  before(async () => {
    world = await World.start();
    const appImage = await world.build('obedient', obedient());
    app = await world.launch('bridged', { appImage, hostname: 'bridged.test', answering: false, env: { RELEASE: '1' } });
    await world.ddp.call('awaitReady', app.id);
    old = app.document.containerId;
  });
  after(() => world?.close());

  const figure = async (name) => {
    const metrics = await (await fetch(`http://127.0.0.1:${world.port}/metrics`)).text();
    return Number(metrics.match(new RegExp(`^launcher_router_${name} (\\d+)$`, 'm'))[1]);
  };
  const asked = async () => (await seen(old)).filter(({ path }) => path === script('1')).length;

  it('gets its script from the container of that version that drains', async () => {
    const held = app.get('/hold').answer;
    await until(async () => (await tell(old, 'holding')) === '1', 'the request');
    await world.ddp.call('setEnvironment', app.id, { RELEASE: '2' });
    await until(async () => (await app.get('/').expect(200)).json().release === '2', 'the new release');
    assert.equal(await asked(), 0);
    const answer = await app.get(script('1')).expect(200);
    assert.equal(answer.text, '// of release 1');
    assert.equal(await asked(), 1);
    assert.equal(await figure('assets_bridged_total'), 1);
    assert.equal((await app.get(script('2')).expect(200)).text, '// of release 2');
    assert.equal((await app.get(script('3')).expect(404)).text, '404 Not Found');
    await tell(old, 'release');
    assert.equal((await held).text, 'released');
  });

  it('gets it from the cache when that is gone', async () => {
    await until(() => app.document.containers.every(({ id }) => id !== old), 'the old container to be gone');
    const answer = await app.get(script('1')).expect(200);
    assert.equal(answer.text, '// of release 1');
    assert.ok(Number(answer.headers.age) >= 0);
    await app.get(script('1'), { headers: { 'if-none-match': '"1"' } }).expect(304);
    await app.get(script('3')).expect(404);
    assert.deepEqual([await figure('assets_bridged_total'), await figure('assets_from_cache_total')], [1, 2]);
  });
});
