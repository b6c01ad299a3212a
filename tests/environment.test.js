// What an instance is given: variables, secrets, ports, and the limits of its container.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dockerfile } from './support/archives.js';
import { World, appImage, required } from './support/world.js';

describe("an instance's environment", () => {
  let world;
  before(async () => {
    world = await World.start();
    await world.app();
  });
  after(() => world?.close());

  const inContainer = async (app) => Object.fromEntries((await app.container()).Config.Env.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  const recorded = (app) => world.ddp.call('getEnvironmentVariables', app.id);

  it('has the options under their names, and env over them', async () => {
    const app = await world.launch('named', { email: 'me@app.test', env: { COLOUR: 'red', ROOT_URL: 'http://other.test', EMPTY: '' } });
    const expected = { MONGO_URL: required.mongoUrl, ROOT_URL: 'http://other.test', METEOR_EMAIL: 'me@app.test', COLOUR: 'red', EMPTY: '', PORT: '8080' };
    const actual = await inContainer(app);
    for (const [name, value] of Object.entries(expected)) assert.equal(actual[name], value, name);
    const variables = await recorded(app);
    for (const name of ['MONGO_URL', 'ROOT_URL', 'METEOR_EMAIL', 'COLOUR', 'EMPTY']) assert.equal(variables[name], expected[name], name);
    await app.call('remove');
  });

  it('has METEOR_EMAIL only when email is given', async () => {
    const app = await world.launch('nameless');
    assert.equal((await inContainer(app)).METEOR_EMAIL, undefined);
    assert.equal('METEOR_EMAIL' in (await recorded(app)), false);
    await app.call('remove');
  });

  it('passes no value through a shell', async () => {
    const nasty = '$(touch /tmp/x) `id` "quoted" \'single\' \\ ; | & * \n second line ✓ =';
    const app = await world.launch('nasty', { env: { NASTY: nasty } });
    assert.equal((await inContainer(app)).NASTY, nasty);
    assert.equal((await recorded(app)).NASTY, nasty);
    await app.call('remove');
  });

  it('has METEOR_SETTINGS as JSON, given as an object or as text', async () => {
    const settings = { public: { title: 'Quotes " and $ and ✓', nested: { a: [1, 2] } }, apiKey: 'hunter2' };
    for (const [name, given] of Object.entries({ object: settings, text: JSON.stringify(settings) })) {
      const app = await world.launch(`settings-${name}`, { hostname: `settings-${name}.test`, env: { METEOR_SETTINGS: given } });
      assert.deepEqual(JSON.parse((await inContainer(app)).METEOR_SETTINGS), settings);
      assert.deepEqual((await app.get('/settings').expect(200)).json(), settings.public);
      await app.call('remove');
    }
  });

  it('is published with its secrets masked, and given in full only to those who ask', async () => {
    const secrets = { DB_PASSWORD: 'hunter3', API_TOKEN: 'hunter4', AWS_SECRET_ACCESS_KEY: 'hunter5', stripeKey: 'hunter6' };
    const settings = { public: { title: 'shown' }, private: { apiKey: 'hunter7' } };
    const app = await world.launch('secretive', { env: { ...secrets, COLOUR: 'red', METEOR_SETTINGS: settings, MONGO_OPLOG_URL: 'mongodb://oplog:hunter8@db.test/local' } });

    const messages = JSON.stringify(world.ddp.messages.filter(({ collection, id }) => collection === 'AppInstances' && id === app.id));
    assert.doesNotMatch(messages, /hunter[0-9]/);
    const { env } = app.document;
    assert.equal(env.COLOUR, 'red');
    for (const name of Object.keys(secrets)) assert.ok(name in env, `${name} is listed`);
    assert.match(env.MONGO_URL, /^mongodb:\/\/app:.*@db\.test:27017\/app$/, 'all but the password is shown');
    assert.match(JSON.stringify(env.METEOR_SETTINGS), /shown/);

    const full = await recorded(app);
    for (const [name, value] of Object.entries(secrets)) assert.equal(full[name], value);
    assert.equal(full.MONGO_URL, required.mongoUrl);
    assert.match(JSON.stringify(full.METEOR_SETTINGS), /hunter7/);
    await app.call('remove');
  });

  describe('PORT', () => {
    // Each launches and must be reached through the proxy.
    async function port(name, options) {
      const app = await world.launch(name, { hostname: `${name}.test`, ...options });
      const { port: inside } = (await app.get('/inside').expect(200)).json();
      await app.call('remove');
      return inside;
    }
    const exposing = (name, lines) => world.build(`exposing-${name}`, dockerfile(`FROM ${appImage}\n${lines}`));

    it('is 8080', async () => assert.equal(await port('plain'), '8080'));
    it('is the one other port that the image exposes', async () =>
      assert.equal(await port('one-port', { appImage: await exposing('one', 'EXPOSE 9000\n') }), '9000'));
    it('is 8080 when the image exposes several', async () =>
      assert.equal(await port('two-ports', { appImage: await exposing('two', 'EXPOSE 9000 9001\n') }), '8080'));
    it('is what the caller says', async () => assert.equal(await port('said', { env: { PORT: '1234' } }), '1234'));
    it('is what the caller says, whatever the image exposes', async () =>
      assert.equal(await port('said-exposed', { appImage: await exposing('said', 'EXPOSE 9000\n'), env: { PORT: '1234' } }), '1234'));
  });

  it('and container are as getContainerInfo says, in the words of Docker', async () => {
    const app = await world.launch('inspected');
    const info = await world.ddp.call('getContainerInfo', app.id);
    const { State, ...own } = await app.container();
    assert.equal(info.Id, own.Id);
    assert.equal(info.State.Running, true);
    assert.equal(info.State.StartedAt, State.StartedAt);
    assert.deepEqual(info.NetworkSettings.Ports, own.NetworkSettings.Ports);
    assert.equal(info.Config.Labels['launcher.instance'], app.id);
    await app.call('remove');
  });

  it('leaves a container little power', async () => {
    const app = await world.launch('limited');
    const { HostConfig, Config } = await app.container();
    assert.ok(HostConfig.SecurityOpt?.some((option) => option.startsWith('no-new-privileges')));
    assert.equal(HostConfig.Init, true);
    assert.equal(HostConfig.Privileged, false);
    assert.ok(HostConfig.LogConfig.Config['max-size'], 'its log has a limit');
    assert.ok(['', 'no'].includes(HostConfig.RestartPolicy.Name), 'restarts are the launcher\'s');
    assert.equal(Config.Labels['launcher.instance'], app.id);
    const bindings = Object.values(HostConfig.PortBindings).flat();
    assert.deepEqual(bindings.map(({ HostIp }) => HostIp), ['127.0.0.1']);
    await app.call('remove');
  });

  it('stops an app gracefully, and one that will not listen all the same', async () => {
    const good = await world.launch('graceful', { hostname: 'graceful.test' });
    await good.call('stop');
    assert.equal((await good.container()).State.ExitCode, 0, 'it ended by itself on SIGTERM');
    await good.call('remove');

    const bad = await world.launch('stubborn', { hostname: 'stubborn.test', env: { STAND_IN_IGNORES_SIGTERM: '1' } });
    assert.equal(await bad.call('stop'), true);
    await bad.status('stopped');
    assert.equal((await bad.container()).State.ExitCode, 137);
    await bad.call('remove');
  });

  it('brings an app that crashes back, each time no sooner than a second later', async () => {
    const app = await world.launch('crashing', { hostname: 'crashing.test' });
    for (let round = 0; round < 2; round++) {
      const messages = world.ddp.history('AppInstances', app.id).length;
      await app.get('/crash').expect(200);
      const statuses = () => world.ddp.history('AppInstances', app.id).slice(messages).map(({ fields }) => fields?.status);
      await world.ddp.until(() => statuses().includes('stopped'), 'stopped');
      await app.status('running');
      const { State } = await app.container();
      assert.ok(Date.parse(State.StartedAt) - Date.parse(State.FinishedAt) >= 1000);
      await app.answering();
    }
    await app.call('remove');
  });

  it('lets an app fail on its first start and run on its second', async () => {
    const app = await world.launch('second-time', { hostname: 'second-time.test', env: { STAND_IN_FAIL_ONCE: '1' } });
    await app.answering();
    await app.call('remove');
  });
});
