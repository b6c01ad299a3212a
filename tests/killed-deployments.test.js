// kill -9 of the launcher at each step of a deployment, as the launcher itself lists them (its feature `failpoints`): visitors are served by
// something that runs as soon as the next launcher does, no container is left or made twice, and the deployment ends with words.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { docker, labelledContainers } from './support/docker.js';
import { Registry } from './support/registry.js';
import { smallApp, smallAppHealth } from './support/small-app.js';
import { pause, until, within } from './support/until.js';
import { gone } from './support/watching.js';
import { World, required } from './support/world.js';

const binary = process.env.FAILPOINTS_BINARY ?? fileURLToPath(new URL('../target/debug/meteor-launcher', import.meta.url));
const failpoints = execFileSync(binary, ['failpoints'], { encoding: 'utf8' }).trim().split('\n');

// What goes on when the launcher is killed, where it is not simply another release that takes the place of the one before. A number: which time.
const elsewhere = {
  ImagePulled: ['pulled'],
  FailureFound: ['refused'],
  FailureNoted: ['refused'],
  TakenBack: ['refused'],
  NewReleaseFailed: ['refused'],
  FailureTold: ['refused'],
  OvertakenTold: ['overtaken'],
  Abandoned: ['stopped'],
  Killed: ['stubborn'],
  ContainerCreated: ['replaced', 'replaced 2'],
  ContainerStarted: ['replaced', 'replaced 2'],
  AskedToEnd: ['replaced', 'replaced 2', 'lingering', 'lingering 2'],
  ContainerRemoved: ['replaced', 'refused', 'refused 2'],
  WishRecorded: ['replaced', 'overtaken'],
};

describe('a launcher that is killed while it deploys', () => {
  let world, registry, app, armed;
  let colours = 0;

  before(async () => {
    registry = await Registry.start();
    world = await World.start({ binary, flags: ['--grace-period', '1'] });
    await world.crash();
    armed = join(world.folder, 'failpoint');
    world.env = { LAUNCHER_FAILPOINT: armed };
    await world.startLauncher();
    const appImage = await world.build('small-app', await smallApp());
    const env = { COLOUR: 'colour-0' };
    app = await world.launch('killed', { appImage, hostname: 'killed.test', env, replicas: 2, health: smallAppHealth, wait: 'ready' });
    await world.ddp.subscribe('deployments', app.id);
  });
  after(async () => {
    await world?.close();
    await registry?.close();
  });

  const deployments = () => [...world.ddp.collection('Deployments').values()];
  const releases = () => [...world.ddp.collection('Releases').values()];
  const own = async () => (await labelledContainers()).filter(({ Config }) => Config.Labels['launcher.instance'] === app.id);
  const cutOff = (call) => call.catch(() => {});
  const mute = { env: { ...required, MUTE: '1' } };

  // Each begins what the launcher will not see the end of.
  const ways = {
    replaced: async (COLOUR, arm) => {
      await arm();
      cutOff(world.ddp.call('setEnvironment', app.id, { COLOUR }));
    },
    refused: async (_, arm) => {
      await arm();
      cutOff(world.ddp.call('deploy', app.id, { ...mute, health: { ...smallAppHealth, startPeriod: 200 } }));
    },
    pulled: async (COLOUR, arm) => {
      const name = await registry.put(await world.build('small-app-pulled', await smallApp('pulled')), 'small-app');
      await gone(name);
      await arm();
      cutOff(world.ddp.call('deploy', app.id, { image: name, env: { ...required, COLOUR } }));
    },
    overtaken: async (COLOUR, arm) => {
      const deployment = await world.ddp.call('deploy', app.id, mute);
      await until(() => world.ddp.collection('Deployments').get(deployment)?.status === 'waiting', 'the first to wait');
      await arm();
      cutOff(world.ddp.call('setEnvironment', app.id, { COLOUR, MUTE: '' }));
    },
    stopped: async (_, arm) => {
      const deployment = await world.ddp.call('deploy', app.id, mute);
      await until(() => world.ddp.collection('Deployments').get(deployment)?.status === 'waiting', 'it to wait');
      await arm();
      cutOff(app.call('stop'));
    },
    stubborn: (COLOUR, arm) => unwilling('STUBBORN', COLOUR, arm),
    lingering: (COLOUR, arm) => unwilling('LINGER', COLOUR, arm),
  };

  // Replaces containers that do not end as soon as they are asked to.
  async function unwilling(how, COLOUR, arm) {
    const deployment = await world.ddp.call('setEnvironment', app.id, { [how]: '1' });
    await until(() => world.ddp.collection('Deployments').get(deployment)?.status === 'succeeded', `${how} to be deployed`);
    await arm();
    cutOff(world.ddp.call('setEnvironment', app.id, { COLOUR, [how]: '' }));
  }

  const colour = async () => {
    const { status, text } = await app.get('/');
    return status === 200 ? text.trim() : `${status} ${text}`;
  };

  // Visits from the launcher's first moment on, one after the other; gives what they were answered when they are over.
  function visits() {
    const seen = new Set();
    let isOver = false;
    const all = (async () => {
      while (!isOver) {
        // Before the launcher listens there is nobody to answer.
        const answer = await colour().catch((error) => (seen.size === 0 && error.code === 'ECONNREFUSED' ? null : error.message));
        if (answer) seen.add(answer);
        await pause(answer ? 20 : 1);
      }
      return seen;
    })();
    return () => ((isOver = true), all);
  }

  // What is not as it must be in the end, in words.
  async function differences(isStopped) {
    const found = [];
    const { status, containers, replicas, deploymentId } = app.document ?? {};
    const all = await own();
    const running = all.filter(({ State }) => State.Running).map(({ Id }) => Id);
    const shown = containers?.filter((line) => line.status === 'running').map(({ id }) => id) ?? [];
    const expected = isStopped ? 0 : 2;
    if (status !== (isStopped ? 'stopped' : 'running') || replicas !== 2) found.push(`${status} with ${replicas} replicas`);
    if (deploymentId) found.push(`${deploymentId} is under way`);
    if (running.length !== expected || running.some((id) => !shown.includes(id))) found.push(`${running} run, ${shown} are shown`);
    if (!isStopped && all.length > running.length + 1) found.push(`${all.length} containers, ${running.length} run`);
    if (containers?.some((line) => line.role !== 'serving' || (!isStopped && line.health !== 'healthy'))) found.push(JSON.stringify(containers));
    for (const { status: each, _id, error } of deployments()) {
      if (!['succeeded', 'failed', 'superseded'].includes(each)) found.push(`deployment ${_id} is ${each}`);
      if (each === 'failed' && !error) found.push(`deployment ${_id} has failed without a word`);
    }
    const current = releases().filter((release) => release.status === 'current');
    if (current.length !== 1 || current[0]._id !== app.document?.releaseId) found.push(`current: ${JSON.stringify(current)}`);
    if (releases().some((release) => release.status === 'pending')) found.push('a release is pending');
    return found;
  }

  // The next launcher, until everything is as wanted.
  async function converged(isStopped) {
    await world.startLauncher();
    await world.ddp.subscribe('deployments', app.id);
    await world.ddp.subscribe('releases', app.id);
    let found = [];
    await until(
      async () => {
        found = await differences(isStopped);
        return found.length === 0;
      },
      () => `everything to be as wanted: ${found.join('; ')}`,
    );
  }

  async function round(failpoint, way, count) {
    const [before, wanted, since] = [await colour(), `colour-${++colours}`, new Date().toISOString()];
    const arm = () => writeFile(armed, `${failpoint} ${count}`);
    await ways[way](wanted, arm);
    const [, signal] = await within(world.exited, `${failpoint} to be reached`);
    assert.equal(signal, 'SIGKILL');
    await rm(armed);
    const isStopped = way === 'stopped';
    const answers = visits();
    try {
      await converged(isStopped);
    } finally {
      // It would go on for ever.
      await answers();
    }
    if (!isStopped) for (const answer of await answers()) assert.ok([before, wanted].includes(answer), `a visitor was answered ${answer}`);

    const newest = deployments().sort((a, b) => a.startedAt - b.startedAt).at(-1);
    const hasSucceeded = newest?.status === 'succeeded' && newest.releaseId === app.document.releaseId;
    if (isStopped) await world.ddp.call('startAppInstance', app.id);
    assert.equal(await until(async () => (await colour()).startsWith('colour') && colour(), 'an answer'), hasSucceeded ? wanted : before);
    if (!hasSucceeded && newest) assert.notEqual(newest.status, 'succeeded', JSON.stringify(newest));
    if (way === 'refused') assert.match(newest.error, /did not become ready/);
    await nothingTwice(since);
    assert.equal(world.instances.size, 1);
  }

  // No container's name was given twice, and none was started twice.
  async function nothingTwice(since) {
    const filters = ['create', 'start'].flatMap((event) => ['--filter', `event=${event}`]);
    const format = ['--format', '{{.Action}} {{.Actor.Attributes.name}}'];
    const until_ = new Date(Date.now() + 1).toISOString();
    const told = await docker('events', '--since', since, '--until', until_, '--filter', `label=launcher.instance=${app.id}`, ...filters, ...format);
    const events = told.split('\n').filter(Boolean).sort();
    const twice = events.filter((event, index) => events.indexOf(event) !== index);
    assert.deepEqual(twice, []);
  }

  for (const failpoint of failpoints) {
    for (const each of elsewhere[failpoint] ?? ['replaced']) {
      const [way, count = '1'] = each.split(' ');
      it(`at ${failpoint} (${each})`, () => round(failpoint, way, Number(count)));
    }
  }

  it('knows all of these places', () => {
    for (const failpoint of Object.keys(elsewhere)) assert.ok(failpoints.includes(failpoint), failpoint);
    assert.ok(failpoints.length > 20, String(failpoints));
  });
});
