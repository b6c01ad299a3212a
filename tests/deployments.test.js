// One release takes the place of another: visitors do not notice, whether it succeeds or fails, and everybody can see how it goes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { container, docker, image } from './support/docker.js';
import { goesOn, obedient, tell } from './support/obedient.js';
import { Registry } from './support/registry.js';
import { until } from './support/until.js';
import { Visitors } from './support/visitors.js';
import { World, imagePrefix, refused } from './support/world.js';

/** A world that watches what is deployed. */
class Deploying extends World {
  call(...args) {
    return this.ddp.call(...args);
  }

  /** Launches an instance whose releases and deployments are watched, and waits until it answers. */
  async deployed(name, options = {}) {
    const app = await this.launch(name, { appImage: this.appImage, hostname: `${name}.test`, answering: false, ...options });
    await this.ddp.subscribe('releases', app.id);
    await this.ddp.subscribe('deployments', app.id);
    await this.call('awaitReady', app.id);
    return app;
  }

  of(collection, app) {
    return [...this.ddp.collection(collection).values()].filter(({ instanceId }) => instanceId === app.id);
  }

  releases(app) {
    return this.of('Releases', app).sort((a, b) => a.number - b.number);
  }

  /** The document of a deployment, as soon as it has this status; it must not end in another one. */
  async reaches(id, status) {
    const deployment = () => this.ddp.collection('Deployments').get(id);
    await until(() => deployment()?.status === status || deployment()?.finishedAt, () => `${status}: ${JSON.stringify(deployment())}`);
    assert.equal(deployment().status, status, JSON.stringify(deployment()));
    return deployment();
  }

  /** The lines of its containers in each version of its document, from that one on. */
  shown(app, from = 0) {
    const versions = this.ddp.history('AppInstances', app.id).slice(from);
    return versions.flatMap(({ fields }) => (fields?.containers ? [fields.containers] : []));
  }

  containersOf(app) {
    return this.containers().then((all) => all.filter(({ Config }) => Config.Labels['launcher.instance'] === app.id));
  }

  /** Ids of its containers that run. */
  async running(app) {
    return (await this.containersOf(app)).filter(({ State }) => State.Running).map(({ Id }) => Id);
  }
}

const short = (id) => id.slice(0, 12);
const roles = (app) => app.document.containers.map(({ role }) => role);
const notReady = { STATE: 'starting', RELEASE: '2' };

describe('a deployment', { concurrency: true }, () => {
  let world;

  before(async () => {
    world = await Deploying.start({ flags: ['--grace-period', '5'] });
    world.appImage = await world.build('obedient', obedient());
    world.otherImage = await world.build('obedient-other', obedient('ENV RELEASE=other'));
  });
  after(() => world?.close());

  const call = (...args) => world.call(...args);
  /** A deployment that waits for an app that does not get ready. */
  const waiting = async (app, options = {}) => {
    const id = await call('deploy', app.id, { env: notReady, ...options });
    await world.reaches(id, 'waiting');
    await until(() => app.document.containers.some(({ role, status }) => role === 'coming' && status === 'running'), 'the new container');
    return id;
  };

  it('of any kind loses no request, and switches in one step', async () => {
    const app = await world.deployed('steady', { replicas: 2 });
    const versions = world.ddp.history('AppInstances', app.id).length;
    const visitors = Visitors.of(world, 'steady.test');
    const kinds = {
      environment: () => call('setEnvironment', app.id, { RELEASE: 'environment' }),
      deploy: () => call('deploy', app.id, { image: world.otherImage, env: { RELEASE: 'deploy' } }),
      rootUrl: () => call('setRootUrl', app.id, 'https://other.test/'),
      rebuild: () => call('rebuildAppInstance', app.id),
    };
    for (const [reason, begin] of Object.entries(kinds)) {
      const old = app.document.containers.map(({ id }) => short(id));
      const count = visitors.answers.length;
      const said = await begin();
      const [deployment] = world.of('Deployments', app).sort((a, b) => b.startedAt - a.startedAt);
      assert.equal(said, reason === 'rebuild' ? true : deployment._id);
      assert.equal(deployment.reason, reason);
      await world.reaches(deployment._id, 'succeeded');
      await visitors.comeAgain();
      const answers = visitors.answers.slice(count).map(({ container }) => container);
      const first = answers.findIndex((id) => !old.includes(id));
      const late = answers.slice(first).filter((id) => old.includes(id));
      assert.ok(first > 0 && late.length <= visitors.work.length, `${reason}: ${late.length} answers of old ones after the first of a new one`);
      assert.deepEqual(roles(app), ['serving', 'serving'], reason);
    }
    await visitors.leave();
    assert.deepEqual(visitors.failures, []);
    const { release, rootUrl, grace } = visitors.answers.at(-1);
    assert.deepEqual([release, rootUrl, grace], ['deploy', 'https://other.test/', '5']);
    assert.deepEqual(world.releases(app).map(({ reason, status }) => [reason, status]), [
      ['launch', 'superseded'], ['environment', 'superseded'], ['deploy', 'superseded'], ['rootUrl', 'superseded'], ['rebuild', 'current'],
    ]);
    assert.equal(app.document.releaseId, world.releases(app).at(-1)._id);
    for (const all of world.shown(app, versions)) {
      const serving = all.filter(({ role }) => role === 'serving');
      assert.deepEqual(serving.map(({ status, health }) => [status, health]), Array(2).fill(['running', 'healthy']), JSON.stringify(all));
      assert.equal(new Set(serving.map(({ release }) => release)).size, 1, JSON.stringify(all));
    }
    await app.call('remove');
    assert.deepEqual([world.of('Releases', app), world.of('Deployments', app)], [[], []]);
  });

  it('tells each step as it happens', async () => {
    const app = await world.deployed('told');
    const before = world.releases(app)[0]._id;
    const id = await call('deploy', app.id, { env: notReady });
    const deployment = await world.reaches(id, 'waiting');
    assert.equal(app.document.deploymentId, id);
    assert.deepEqual([deployment.instanceId, deployment.fromReleaseId, deployment.reason, deployment.finishedAt], [app.id, before, 'deploy', null]);
    assert.equal(deployment.releaseId, app.document.releaseId);
    assert.deepEqual(world.releases(app).map(({ status }) => status), ['current', 'pending']);
    assert.equal((await app.get('/').expect(200)).json().release, '', 'the old one answers');
    await until(() => roles(app).join() === 'serving,coming', () => roles(app).join());
    assert.equal(app.document.containerId, app.document.containers[0].id);
    await tell(app.document.containers[1].id, 'turn?to=ready');
    const done = await world.reaches(id, 'succeeded');
    assert.deepEqual(done.steps.map(({ status, text }) => [status, text]), [
      ['queued', 'recorded'],
      ['starting', `container 0 was made from ${world.appImage}`],
      ['waiting', 'container 0 was started; waiting until it is ready'],
      ['draining', 'requests go to the new containers'],
      ['succeeded', 'the old containers have ended'],
    ]);
    assert.ok(done.steps.every(({ at }, i) => i === 0 || at >= done.steps[i - 1].at));
    const words = world.ddp.history('Deployments', id).map(({ fields }) => fields?.status).filter(Boolean);
    assert.deepEqual(words, ['queued', 'starting', 'waiting', 'draining', 'succeeded']);
    assert.ok(done.finishedAt >= done.startedAt);
    assert.deepEqual([done.error, done.probe, done.log], [null, null, []]);
    assert.equal(app.document.deploymentId, null);
    await app.call('remove');
  });

  it('goes on while what serves falls: that is started again, and visitors are sent to it', async () => {
    const app = await world.deployed('falling');
    const id = await waiting(app);
    const [old, coming] = app.document.containers;
    await docker('kill', old.id);
    await until(() => app.document.containers[0].restarts === 1 && app.document.health === 'healthy', () => JSON.stringify(app.document.containers));
    assert.equal((await app.get('/').expect(200)).json().release, '', 'the old one answers');
    assert.deepEqual(app.document.containers.map(({ id, role }) => [id, role]), [[old.id, 'serving'], [coming.id, 'coming']]);
    const shown = world.ddp.history('AppInstances', app.id).map(({ fields }) => fields?.containerId).filter(Boolean);
    assert.deepEqual([...new Set(shown)], [old.id], 'it has not been taken for replaced');
    const deployment = await world.reaches(id, 'waiting');
    assert.equal(deployment.steps.filter(({ text }) => text.includes('was started')).length, 1, JSON.stringify(deployment.steps));
    await tell(coming.id, 'turn?to=ready');
    await world.reaches(id, 'succeeded');
    assert.deepEqual((await world.running(app)).map(short), [short(coming.id)]);
    await app.call('remove');
  });

  it('lets the old ones answer what they were asked, and closes their WebSockets when they end', async () => {
    const app = await world.deployed('drained', { health: { interval: 1_000 } });
    const old = app.document.containerId;
    const held = app.get('/hold').answer;
    const client = await app.ddp();
    await until(async () => (await tell(old, 'holding')) === '1', 'the request');
    const id = await call('setEnvironment', app.id, { RELEASE: '2' });
    await world.reaches(id, 'draining');
    await until(() => roles(app).join() === 'serving,draining', () => roles(app).join());
    for (let i = 0; i < 5; i++) assert.equal((await app.get('/').expect(200)).json().release, '2');
    await until(() => app.document.deploymentId === null, 'the new release to be what there is');
    await goesOn(old);
    assert.equal(await client.call('who'), short(old), 'a WebSocket goes on');
    assert.equal((await container(old)).State.Running, true);
    await tell(old, 'release');
    assert.equal((await held).text, 'released');
    await client.whenClosed;
    await world.reaches(id, 'succeeded');
    assert.equal((await container(old)).State.ExitCode, 0, 'it ended by itself, and stays for its log');
    assert.match(await docker('logs', old), /SIGTERM/);
    const again = await app.ddp();
    assert.equal(await again.call('who'), short(app.document.containerId));
    await again.close();
    await app.call('remove');
    assert.deepEqual(await world.containersOf(app), []);
  });

  it('kills those that do not end', async () => {
    const app = await world.deployed('stubborn', { env: { ON_SIGTERM: 'ignore' } });
    const old = app.document.containerId;
    const id = await call('setEnvironment', app.id, {});
    await world.reaches(id, 'succeeded');
    assert.equal((await container(old)).State.ExitCode, 137);
    assert.match(await docker('logs', old), /SIGTERM/);
    assert.equal(app.document.exit, null, 'that was no crash');
    await app.call('remove');
  });

  const failures = {
    'does not get ready': {
      options: { env: { STATE: 'starting', LINES: '150' }, health: { startPeriod: 2_000 } },
      error: /did not become ready: GET \/sockjs\/info answered 503/,
      probe: 'GET /sockjs/info answered 503',
      last: /^(listening, starting)$/,
      lines: 100,
    },
    'ends at once': {
      options: { env: { EXIT: '3', LINES: '50' } },
      error: /ended 3 times: ended with an error \(exit code 3\)/,
      last: /^line 50$/,
      lines: 100,
    },
    'has no image': { options: { image: 'localhost:1/no/such:image' }, error: /localhost:1\/no\/such:image/, lines: 0 },
  };
  for (const [what, { options, error, probe, last, lines }] of Object.entries(failures)) {
    it(`of what ${what} changes nothing for visitors`, async () => {
      const name = `fails-${what.replaceAll(' ', '-')}`;
      const app = await world.deployed(name, { env: { RELEASE: '1' } });
      const { image: wanted, env, containerId, releaseId, healthSettings } = app.document;
      const visitors = Visitors.of(world, `${name}.test`, { many: 2 });
      const id = await call('deploy', app.id, options);
      const failed = await world.reaches(id, 'failed');
      assert.match(failed.error, error);
      assert.match(failed.steps.at(-1).text, /the app instance goes on as it was$/);
      assert.equal(failed.steps.at(-1).status, 'failed');
      if (probe) assert.equal(failed.probe, probe);
      assert.equal(failed.log.length, lines, failed.log.join('\n'));
      if (last) assert.match(failed.log.at(-1), last);
      assert.match(app.document.deployError, error);
      await until(async () => (await world.containersOf(app)).length === 1, 'only the old container');
      await visitors.comeAgain();
      await visitors.leave();
      assert.deepEqual(visitors.failures, []);
      assert.deepEqual(new Set(visitors.answers.map(({ container }) => container)), new Set([short(containerId)]));
      await until(() => app.document.deploymentId === null, 'its end');
      const { document } = app;
      assert.deepEqual([document.image, document.env, document.containerId, document.releaseId, document.healthSettings], [wanted, env, containerId, releaseId, healthSettings]);
      assert.deepEqual([document.status, document.health, document.error], ['running', 'healthy', null]);
      assert.deepEqual(world.releases(app).map(({ status }) => status), ['current', 'failed']);
      assert.equal(await call('awaitReady', app.id), true);

      await world.reaches(await call('setEnvironment', app.id, { RELEASE: '2' }), 'succeeded');
      assert.equal(app.document.deployError, null);
      await app.call('remove');
    });
  }

  it('is overtaken by the next one', async () => {
    const app = await world.deployed('overtaken');
    const first = await waiting(app, { env: { ...notReady, FIRST: '1' } });
    const overtaken = app.document.containers[1].id;
    const second = await call('setEnvironment', app.id, { RELEASE: '3' });
    await world.reaches(first, 'superseded');
    await world.reaches(second, 'succeeded');
    assert.equal((await app.get('/').expect(200)).json().release, '3');
    assert.equal(await container(overtaken), null);
    assert.ok(!world.shown(app).flat().some(({ id, role }) => id === overtaken && role === 'serving'), 'it never served');
    assert.deepEqual(world.releases(app).map(({ status }) => status), ['superseded', 'superseded', 'current']);
    assert.equal(world.ddp.collection('Deployments').get(second).fromReleaseId, world.releases(app)[0]._id);
    assert.equal((await world.running(app)).length, 1);

    const rebuilding = refused(call('rebuildAppInstance', app.id), 500, /something else/);
    await call('setEnvironment', app.id, { RELEASE: '4' });
    await rebuilding;
    await until(async () => (await app.get('/').expect(200)).json().release === '4', 'the newest');
    await app.call('remove');
  });

  for (const verb of ['stop', 'kill']) {
    it(`is given up when somebody asks for a ${verb}`, async () => {
      const app = await world.deployed(`given-up-${verb}`, { env: { RELEASE: '1' } });
      const id = await waiting(app);
      assert.equal(await app.call(verb), true);
      await world.reaches(id, 'superseded');
      await app.status('stopped');
      assert.deepEqual(await world.running(app), []);
      assert.equal(app.document.deploymentId, null);
      assert.equal(app.document.releaseId, world.releases(app)[0]._id, 'what has not proven itself is not what is started');
      assert.equal(world.releases(app)[1].status, 'superseded');
      await app.call('start');
      await call('awaitReady', app.id);
      assert.equal((await app.get('/').expect(200)).json().release, '1');
      await app.call('remove');
    });
  }

  it('goes with its instance', async () => {
    const app = await world.deployed('removed');
    await waiting(app);
    assert.equal(await app.call('remove'), true);
    assert.deepEqual(await world.containersOf(app), []);
    assert.deepEqual([world.of('Releases', app), world.of('Deployments', app)], [[], []]);
    await app.get('/').expect(404);
  });

  it('takes so many containers as there are to be, also if that changes meanwhile', async () => {
    const app = await world.deployed('scaled');
    const id = await waiting(app);
    const scaled = call('scale', app.id, 2);
    const coming = () => app.document.containers.filter(({ role, status }) => role === 'coming' && status === 'running');
    await until(() => coming().length === 2, () => `two new ones: ${roles(app)}`);
    for (const { id } of coming()) await tell(id, 'turn?to=ready');
    assert.equal(await scaled, true);
    await world.reaches(id, 'succeeded');
    await call('awaitReady', app.id);
    assert.deepEqual(roles(app), ['serving', 'serving']);
    assert.equal((await app.get('/').expect(200)).json().release, '2');
    await app.call('remove');
  });

  it('of a stopped instance takes effect when that is started', async () => {
    const app = await world.deployed('stopped', { env: { RELEASE: '1' } });
    await app.call('stop');
    const done = await world.reaches(await call('setEnvironment', app.id, { RELEASE: '2' }), 'succeeded');
    assert.deepEqual(done.steps.map(({ text }) => text), ['takes effect when the app instance is started']);
    await app.status('stopped');
    assert.deepEqual(await world.running(app), []);
    assert.deepEqual(world.releases(app).map(({ status }) => status), ['superseded', 'current']);
    await app.call('start');
    await call('awaitReady', app.id);
    assert.equal((await app.get('/').expect(200)).json().release, '2');
    await app.call('stop');
    assert.equal(await app.call('rebuild'), true);
    assert.equal(app.document.status, 'running');
    assert.equal((await app.get('/').expect(200)).json().release, '2');
    await app.call('remove');
  });

  it('can be taken back: image, variables, limits, health settings and hostnames', async () => {
    const app = await world.deployed('back', { env: { RELEASE: '1' }, limits: { pids: 100 } });
    const [first] = world.releases(app);
    const moving = await world.build('moving', obedient('ENV RELEASE=moving-1'));
    await world.reaches(await call('deploy', app.id, { image: moving, env: {}, limits: { pids: 200 }, health: { kind: 'http' } }), 'succeeded');
    const second = world.releases(app)[1];
    const exact = app.document.imageId;
    assert.equal(second.imageId, exact);
    await call('addHostname', app.id, 'also-back.test');

    await world.reaches(await call('rollback', app.id, first._id), 'succeeded');
    const { document } = app;
    assert.deepEqual([document.image, document.imageId, document.limits.pids, document.healthSettings.kind], [world.appImage, first.imageId, 100, 'auto']);
    assert.deepEqual(document.hostnames, ['back.test']);
    await world.get('also-back.test').expect(404);
    assert.equal((await app.get('/').expect(200)).json().release, '1');

    // Its name means another image now; the release is of the one that it was made from.
    const url = world.archives.serve('moved.tar', obedient('ENV RELEASE=moving-2'));
    const builds = await world.connect();
    await builds.subscribe('imageBuilds');
    const build = await call('image/build', { name: moving, url });
    await until(() => builds.collection('Builds').get(build)?.status === 'succeeded', () => JSON.stringify(builds.collection('Builds').get(build)));
    await builds.close();
    assert.notEqual((await image(moving)).Id, exact);
    await world.reaches(await call('rollback', app.id, second._id), 'succeeded');
    assert.equal((await app.get('/').expect(200)).json().release, 'moving-1');
    assert.equal((await app.container()).Image, exact);
    assert.deepEqual(app.document.hostnames, ['back.test', 'also-back.test']);
    assert.deepEqual(world.releases(app).map(({ reason, status }) => `${reason} ${status}`), ['launch superseded', 'deploy superseded', 'rollback superseded', 'rollback current']);
    await app.call('rebuild');
    assert.equal((await app.get('/').expect(200)).json().release, 'moving-2', 'a rebuild is from the newest');
    await app.call('remove');
  });

  it('can be taken back to an image that only a registry still has', async (test) => {
    const registry = await Registry.start();
    test.after(() => registry.close());
    const version = async (number) => registry.put(await world.build(`version-${number}`, obedient(`ENV RELEASE=${number}`)), 'team/app');
    const name = await version(1);
    const app = await world.deployed('registry', { appImage: name, env: {} });
    const [first] = world.releases(app);
    assert.match(first.digest, /^\S+\/team\/app@sha256:[0-9a-f]{64}$/);
    for (const number of [2, 3]) {
      await version(number);
      await docker('pull', '--quiet', name);
      await app.call('rebuild');
      await until(() => world.of('Deployments', app).every(({ status }) => status === 'succeeded'), 'the end of the old one');
      assert.equal((await app.get('/').expect(200)).json().release, String(number));
    }
    await docker('rmi', '--force', first.imageId);
    assert.equal(await image(first.imageId), null);
    const done = await world.reaches(await call('rollback', app.id, first._id), 'succeeded');
    assert.ok(done.steps.some(({ status }) => status === 'pulling'), JSON.stringify(done.steps));
    assert.equal((await app.get('/').expect(200)).json().release, '1');
    assert.equal(app.document.imageId, first.imageId);
    await app.call('remove');
    await docker('rmi', '--force', first.imageId);
  });

  it('is compared with another, and tells no secret', async () => {
    const secret = 'hunter-very-secret';
    const app = await world.deployed('compared', { env: { RELEASE: '1', API_KEY: secret, GONE: 'x' } });
    const changed = { MONGO_URL: 'mongodb://app:hunter3@db.test:27017/app', RELEASE: '2', API_KEY: `${secret}-too`, NEW: 'y' };
    await world.reaches(await call('deploy', app.id, { image: world.otherImage, env: changed, limits: { pids: 300 }, health: { interval: 5_000 } }), 'succeeded');
    const [one, two] = world.releases(app);
    const messages = world.ddp.messages.length;
    const differences = await call('diffReleases', one._id, two._id);
    const of = (field) => differences.find((difference) => difference.field === field);
    assert.deepEqual(differences.map(({ field }) => field).sort(), [
      'env.API_KEY', 'env.GONE', 'env.MONGO_URL', 'env.NEW', 'env.RELEASE', 'health.intervalMs', 'image', 'imageId', 'limits.pids',
    ]);
    assert.deepEqual(of('env.API_KEY'), { field: 'env.API_KEY', changed: true, secret: true });
    assert.deepEqual(of('env.MONGO_URL'), { field: 'env.MONGO_URL', changed: true, secret: true });
    assert.deepEqual(of('env.RELEASE'), { field: 'env.RELEASE', changed: true, before: '1', after: '2' });
    assert.deepEqual(of('env.GONE'), { field: 'env.GONE', changed: true, before: 'x', after: null });
    assert.deepEqual(of('env.NEW'), { field: 'env.NEW', changed: true, before: null, after: 'y' });
    assert.deepEqual(of('image'), { field: 'image', changed: true, before: world.appImage, after: world.otherImage });
    assert.deepEqual(of('limits.pids'), { field: 'limits.pids', changed: true, before: '1024', after: '300' });
    assert.deepEqual(await call('diffReleases', one._id, one._id), []);
    assert.doesNotMatch(JSON.stringify([world.ddp.messages.slice(messages), one, two, world.of('Deployments', app)]), /hunter/);
    assert.deepEqual([one.env.API_KEY, one.env.RELEASE], ['********', '1']);
    await app.call('remove');
    await refused(call('diffReleases', one._id, two._id), 400, `No release has ID ${one._id}`);
  });

  it('sets variables, but for those that have options of their own', async () => {
    const app = await world.deployed('variables', { env: { RELEASE: '1', OTHER: 'x' }, email: 'a@b.test' });
    await world.reaches(await call('setEnvironment', app.id, { RELEASE: 2, METEOR_EMAIL: null, METEOR_SETTINGS: { public: { a: 1 } } }), 'succeeded');
    const env = await call('getEnvironmentVariables', app.id);
    assert.deepEqual(env, { MONGO_URL: 'mongodb://app:hunter2@db.test:27017/app', ROOT_URL: 'http://variables.test', RELEASE: '2', METEOR_SETTINGS: '{"public":{"a":1}}' });
    const { Config } = await app.container();
    assert.ok(Config.Env.includes('RELEASE=2') && !Config.Env.some((entry) => /^(OTHER|METEOR_EMAIL)=/.test(entry)));
    await refused(call('setEnvironment', app.id, app.document.env), 400, /MONGO_URL.*\*{8}/);
    await refused(call('setEnvironment', app.id), 400, /env/);
    for (const wrong of ['A=1', [], 5, { A: [] }, { 'A=B': 'c' }, { '': 'x' }]) await refused(call('setEnvironment', app.id, wrong), 400);
    for (const wrong of [undefined, 5, 'ftp://a.test', 'nonsense', {}]) await refused(call('setRootUrl', app.id, wrong), 400, /rootUrl/);
    for (const wrong of [5, '', 'UPPER case', {}]) await refused(call('deploy', app.id, { image: wrong }), 400, /image/);
    assert.equal(world.releases(app).length, 2, 'what is refused leaves nothing');
    await app.call('remove');
  });

  it('is not begun where there is nothing', async () => {
    const app = await world.deployed('something');
    const other = await world.deployed('something-else');
    const calls = [['deploy', {}], ['setEnvironment', {}], ['setRootUrl', 'http://a.test'], ['rollback', 'release'], ['rebuildAppInstance']];
    for (const [method, ...more] of calls) {
      await refused(call(method, 'nobody', ...more), 400, 'No app instance has ID nobody');
      await refused(call(method), 400, /instanceId|must pass/);
    }
    await refused(call('rollback', app.id, 'nothing'), 400, 'No release has ID nothing');
    await refused(call('rollback', app.id, world.releases(other)[0]._id), 400, /No release has ID/);
    await refused(call('rollback', app.id), 400, /releaseId/);
    await refused(call('diffReleases', 'a', 'b'), 400, 'No release has ID a');
    await refused(call('diffReleases', world.releases(app)[0]._id, 'b'), 400, 'No release has ID b');
    for (const publication of ['releases', 'deployments']) await refused(world.ddp.subscribe(publication), 400, /instanceId/);
    assert.deepEqual(world.of('Deployments', app), []);
    await app.call('remove');
    await other.call('remove');
  });
});

describe('old containers that will not end', () => {
  let world;

  before(async () => {
    world = await Deploying.start({ flags: ['--drain-period', '1', '--grace-period', '1'] });
    world.appImage = await world.build('obedient-short', obedient());
  });
  after(() => world?.close());

  it('are given up with what they still answer', async () => {
    const app = await world.deployed('short', { env: { ON_SIGTERM: 'ignore' } });
    const old = app.document.containerId;
    const [held, posted] = [app.get('/hold').answer, app.get('/hold', { method: 'POST', body: 'once' }).answer];
    const client = await app.ddp();
    await until(async () => (await tell(old, 'holding')) === '2', 'the requests');
    const id = await world.call('setEnvironment', app.id, {});
    assert.equal((await posted).status, 502);
    await client.whenClosed;
    await world.reaches(id, 'succeeded');
    assert.equal((await container(old)).State.ExitCode, 137);
    // What may be asked twice is asked again where the others are.
    await until(async () => (await tell(app.document.containerId, 'holding')) === '1', 'the request that does no harm');
    await tell(app.document.containerId, 'release');
    assert.equal((await held).text, 'released');
    await app.get('/').expect(200);
    await app.call('remove');
  });
});
