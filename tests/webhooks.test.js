// New containers under the same id: asked for, and because a registry tells of a push.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { docker, image } from './support/docker.js';
import { request } from './support/http.js';
import { Registry } from './support/registry.js';
import { until } from './support/until.js';
import { World, imagePrefix, refused } from './support/world.js';

// As Docker Hub's documentation shows it.
const dockerHub = {
  callback_url: 'https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/',
  push_data: { images: ['27d47432a69bca5f2700e4dff7de0388ed65f9d3fb1ec645e2bc24c223dc1cc3'], pushed_at: 1.417566161e9, pusher: 'trustedbuilder', tag: 'latest' },
  repository: {
    comment_count: 0, date_created: 1.417494799e9, description: '', dockerfile: 'FROM ubuntu', full_description: '', is_official: false, is_private: true,
    is_trusted: true, name: 'testhook', namespace: 'svendowideit', owner: 'svendowideit', repo_name: 'svendowideit/testhook',
    repo_url: 'https://registry.hub.docker.com/u/svendowideit/testhook/', star_count: 0, status: 'Active',
  },
};

describe('new containers', () => {
  let world, registry, hook;

  before(async () => {
    world = await World.start();
    await world.ddp.subscribe('hooks');
    await world.ddp.subscribe('imageBuilds');
    hook = await world.ddp.call('hook/create', { name: 'registry' });
    registry = await Registry.start({ hook: hook.url });
  });
  after(async () => {
    await world?.close();
    // Releases that another one has followed have lost their names.
    const all = await docker('images', '--no-trunc', '--format', '{{.Repository}} {{.ID}}');
    const ours = all.split('\n').filter((line) => line.startsWith(`${registry?.host}/`));
    for (const line of ours) await docker('rmi', '--force', line.split(' ')[1]).catch(() => {});
    await registry?.close();
  });

  const hooks = () => world.ddp.collection('Hooks');
  const post = (url, body, headers = {}) =>
    request(world.port, `127.0.0.1:${world.port}`, new URL(url).pathname, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });

  // Builds an image of this name anew, to the end.
  async function build(name, text) {
    const url = world.archives.serve(`${name}.tar`, dockerfile(text));
    const id = await world.ddp.call('image/build', { name: imagePrefix + name, url });
    const builds = world.ddp.collection('Builds');
    await until(() => ['succeeded', 'failed'].includes(builds.get(id)?.status), 'the end of the build');
    assert.equal(builds.get(id).status, 'succeeded', builds.get(id).error);
    return imagePrefix + name;
  }
  const release = async (name, version) => build(name, `FROM ${await world.app()}\nLABEL version=${version}\n`);

  // Pushes a release; the registry tells of it.
  async function push(name, version) {
    return registry.publish(await release(`source-${name}`, version), name);
  }

  const version = async (app) => (await app.container())?.Config.Labels.version;
  const statuses = (app) => world.ddp.history('AppInstances', app.id).map(({ fields }) => fields?.status).filter(Boolean);

  describe('when they are asked for', () => {
    for (const method of ['rebuildAppInstance', 'ai/rebuild']) {
      it(`by ${method}: from the newest image, with the same id and hostnames, and no other state is ever shown`, async () => {
        const name = method.replace('/', '-').toLowerCase();
        const app = await world.launch(name, { appImage: await release(name, 1), hostname: `${name}.test` });
        await world.ddp.call('addHostname', app.id, `www.${name}.test`);
        const old = app.document.containerId;
        await release(name, 2);
        assert.equal(await world.ddp.call(method, app.id), true);
        assert.notEqual(app.document.containerId, old);
        assert.equal(await version(app), '2');
        assert.deepEqual(app.document.hostnames, [`${name}.test`, `www.${name}.test`]);
        assert.equal(statuses(app).slice(statuses(app).indexOf('running')).join(), 'running');
        await world.agreement();
        await app.answering();
        await world.get(`www.${name}.test`).expect(200);
        await app.call('remove');
      });
    }

    it('and cannot be made to run: the old one goes on, and the error says why', async () => {
      const app = await world.launch('broken', { appImage: await release('broken', 1), hostname: 'broken.test' });
      const old = app.document.containerId;
      await build('broken', `FROM ${await world.app()}\nENTRYPOINT ["/nothing/there"]\n`);
      const { details } = await refused(world.ddp.call('rebuildAppInstance', app.id), 500, /the app instance goes on as it was$/);
      assert.match(details, /ended 3 times: the program was not found \(127\)/);
      await until(() => app.document.deployError === details, 'the error in the document');
      await world.agreement();
      assert.equal(app.document.containerId, old);
      await app.get('/').expect(200);
      await release('broken', 2);
      await world.ddp.call('rebuildAppInstance', app.id);
      assert.equal(app.document.deployError, null);
      await app.call('remove');
    });

    it('of an instance that does not exist', async () => {
      for (const method of ['rebuildAppInstance', 'ai/rebuild']) await refused(world.ddp.call(method, 'nothing'), 400, 'No app instance has ID nothing');
      await refused(world.ddp.call('setAutoDeploy', 'nothing', true), 400, 'No app instance has ID nothing');
    });
  });

  describe('when the registry tells of a push', () => {
    it('where autoDeploy says so; elsewhere it is pulled only', async () => {
      const appImage = await push('team/app', 1);
      const auto = await world.launch('auto', { appImage, hostname: 'auto.test', autoDeploy: true });
      const other = await world.launch('other', { appImage });
      assert.deepEqual([auto.document.autoDeploy, other.document.autoDeploy], [true, false]);
      const untouched = other.document.containerId;

      await push('team/app', 2);
      await until(async () => (await version(auto)) === '2', 'the new release to run');
      await world.agreement();
      await auto.answering();
      assert.equal(other.document.containerId, untouched);
      assert.equal((await image(appImage)).Config.Labels.version, '2');
      assert.deepEqual(hooks().get(hook.hookId).lastImages, [appImage + ':latest']);

      assert.equal(await world.ddp.call('setAutoDeploy', auto.id, false), true);
      assert.equal(await world.ddp.call('setAutoDeploy', other.id, true), true);
      const kept = auto.document.containerId;
      await push('team/app', 3);
      await until(async () => (await version(other)) === '3', 'the other to be new');
      await world.agreement();
      assert.equal(auto.document.containerId, kept);
      for (const app of [auto, other]) await app.call('remove');
    });

    it('with the tag that an instance has, and no other', async () => {
      const appImage = await push('tagged:stable', 1);
      const app = await world.launch('tagged', { appImage, autoDeploy: true });
      const before = app.document.containerId;
      await push('tagged:next', 2);
      await until(() => hooks().get(hook.hookId).lastImages[0]?.endsWith('tagged:next'), 'the other tag to be told');
      await push('tagged:stable', 3);
      await until(async () => (await version(app)) === '3', 'the tag to be deployed');
      assert.notEqual(app.document.containerId, before);
      await app.call('remove');
    });

    it('and a release that does not run costs nothing', async () => {
      const appImage = await push('fragile', 1);
      const app = await world.launch('fragile', { appImage, hostname: 'fragile.test', autoDeploy: true });
      const old = app.document.containerId;
      const bad = await build('source-fragile', `FROM ${await world.app()}\nENTRYPOINT ["/nothing/there"]\n`);
      await registry.publish(bad, 'fragile');
      await until(() => /not found \(127\)/.test(app.document.deployError), () => `the error; there is ${app.document.deployError}`);
      await world.agreement();
      assert.equal(app.document.containerId, old);
      await app.get('/').expect(200);
      await app.call('remove');
    });
  });

  describe('hooks', () => {
    it("understand Docker Hub's payload", async () => {
      const answer = await post(hook.url, dockerHub).expect(202);
      assert.deepEqual(answer.json(), { images: ['docker.io/svendowideit/testhook:latest'] });
      await until(() => hooks().get(hook.hookId).lastImages[0] === 'docker.io/svendowideit/testhook:latest', 'the push in the document');
    });

    it('are answered as if nothing were there without their secret', async () => {
      const said = ({ status, headers, text }) => ({ status, headers: Object.keys(headers).filter((name) => name !== 'date'), text });
      const nothing = said(await post('http://x/nothing/there', dockerHub));
      assert.deepEqual([nothing.status, nothing.text], [404, '']);
      const gone = await world.ddp.call('hook/create');
      assert.equal(await world.ddp.call('hook/remove', gone.hookId), true);
      await until(() => !hooks().has(gone.hookId), 'the document to go');
      for (const url of [`${hook.url}x`, hook.url.slice(0, -1), 'http://x/hooks/', 'http://x/hooks', 'http://x/hooks/%ff', gone.url]) {
        assert.deepEqual(said(await post(url, dockerHub)), nothing, url);
      }
      const { pathname } = new URL(hook.url);
      assert.deepEqual(said(await request(world.port, '127.0.0.1', pathname)), said(await request(world.port, '127.0.0.1', '/nothing/there')));
      await refused(world.ddp.call('hook/remove', gone.hookId), 400, `No hook has ID ${gone.hookId}`);
    });

    it('say what is wrong with what was sent', async () => {
      for (const body of ['', 'hello', '[]', '{}', '{"events": 7}', '{"push_data": {"tag": 1}}']) {
        const answer = await post(hook.url, body).expect(400);
        assert.equal(typeof answer.json().error, 'string');
      }
      await post(hook.url, ' '.repeat((1 << 20) + 1)).expect(413);
      await post(hook.url, dockerHub, { Origin: 'https://evil.test' }).expect(403);
    });

    it('keep their secret', async () => {
      const secret = hook.url.split('/').pop();
      assert.match(secret, /^[A-Za-z0-9]{32}$/);
      assert.deepEqual(Object.keys(hooks().get(hook.hookId)).sort(), ['_id', 'createdAt', 'lastImages', 'lastPushAt', 'name']);
      assert.doesNotMatch(JSON.stringify([...hooks().values()]), new RegExp(secret));
      for (const file of await readdir(world.dataDir)) {
        if (!file.startsWith('launcher.db')) continue;
        assert.ok(!(await readFile(join(world.dataDir, file))).includes(secret), `${file} has it`);
      }
    });

    it('survive a crash of the launcher', async () => {
      await world.crash();
      await world.startLauncher();
      await post(hook.url, dockerHub).expect(202);
    });

    for (const [method, ...wrong] of [
      ['hook/create', { name: 7 }], ['hook/create', { name: '' }], ['hook/create', { name: 'x'.repeat(201) }],
      ['hook/remove'], ['hook/remove', 7], ['setAutoDeploy', 'x'], ['setAutoDeploy', 'x', 'yes'], ['rebuildAppInstance'],
    ]) {
      it(`refuse ${method}(${JSON.stringify(wrong).slice(1, 30)})`, () => refused(world.ddp.call(method, ...wrong), 400));
    }
  });
});
