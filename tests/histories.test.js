// Random histories against real Docker: wishes, containers that are killed, started and removed by hand, connections to the engine that break off,
// and launchers that are killed. When it is over, everything is as wanted: the invariants of the plan's property test
// (crates/launcher-core/src/reconciler/plan/properties.rs).
//
// HISTORIES_SECONDS: how long (30). HISTORIES_SEED: the history to begin with, as a failure tells it.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readFile } from 'node:fs/promises';
import { docker, labelledContainers } from './support/docker.js';
import { EngineRelay } from './support/engine-relay.js';
import { smallApp, smallAppHealth } from './support/small-app.js';
import { pause, until } from './support/until.js';
import { World, required } from './support/world.js';

const seconds = Number(process.env.HISTORIES_SECONDS ?? 30);
const firstSeed = Number(process.env.HISTORIES_SEED ?? Math.floor(Math.random() * 2 ** 31));
const INSTANCES = 4;
const LONGEST_PAUSE_MS = 250;

/** Numbers from 0 to 1 that follow from the seed (mulberry32). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('after any history', () => {
  let world, relay, appImage;

  before(async () => {
    relay = await EngineRelay.start(join(tmpdir(), `meteor-launcher-relay-${process.pid}.sock`));
    world = await World.start({ flags: ['--docker-host', relay.host, '--grace-period', '1', '--drain-period', '1'] });
    appImage = await world.build('small-app', await smallApp());
  });
  after(async () => {
    await world?.close();
    await relay?.close();
  });

  const own = async () => (await labelledContainers()).filter(({ Config }) => Config.Labels['launcher.owner'] === world.launcherId);
  const label = ({ Config }, name) => Number(Config.Labels[`launcher.${name}`]);
  const hostname = ({ _id }) => `${_id.toLowerCase()}.test`;

  // What is not as wanted, in words.
  async function differences() {
    const found = [];
    const containers = await own();
    const documents = [...world.instances.values()];
    for (const document of documents) {
      const { _id, status, replicas, health, deploymentId, error, env } = document;
      const all = containers.filter(({ Config }) => Config.Labels['launcher.instance'] === _id);
      const running = all.filter(({ State }) => State.Running);
      const places = new Set(running.map((container) => label(container, 'replica')));
      const releases = new Set(running.map((container) => label(container, 'release')));
      const note = (text) => found.push(`${_id} (${status}): ${text}`);
      if (error || deploymentId) note(`${error} ${deploymentId}`);
      if (status === 'stopped') {
        if (running.length > 0) note(`${running.length} run`);
        const answer = await world.get(hostname(document)).catch(String);
        if (answer.status !== 503) note(`answers ${answer.status ?? answer}`);
        continue;
      }
      if (status !== 'running') note('is neither running nor stopped');
      if (running.length !== replicas || places.size !== replicas || releases.size !== 1) note(`${running.length} of ${replicas} run, in ${[...places]} of ${[...releases]}`);
      if (Math.max(...places) >= replicas) note(`replica ${[...places]}`);
      if (all.length - running.length > 1) note(`${all.length - running.length} are kept`);
      if (document.containers.some(({ role }) => role !== 'serving')) note(JSON.stringify(document.containers));
      // One that was stopped while it was to be replaced by something mute is that now.
      if (env.MUTE) continue;
      if (health !== 'healthy') note(health);
      const answer = await world.get(hostname(document)).catch(String);
      if (answer.status !== 200 || answer.text.trim() !== env.COLOUR) note(`answers ${answer.status ?? answer}, not ${env.COLOUR}`);
    }
    for (const { Id, Config } of containers) {
      if (!documents.some(({ _id }) => _id === Config.Labels['launcher.instance'])) found.push(`container ${Id} of nobody`);
    }
    return found;
  }

  async function isAsWanted(told) {
    let found = [];
    const settled = async () => {
      found = await differences();
      return found.length === 0;
    };
    await until(settled, () => `everything as wanted: ${found.join('; ')}\n${told()}`, 150_000);
  }

  async function launch(random) {
    const env = { COLOUR: `c${Math.floor(random() * 1e6)}` };
    const replicas = 1 + Math.floor(random() * 3);
    const health = { ...smallAppHealth, interval: 1000, restartAfter: 0 };
    const id = await world.ddp.call('launchAppInstance', { appImage, ...required, env, replicas, health });
    await world.ddp.call('addHostname', id, hostname({ _id: id }));
    return id;
  }

  async function history(seed) {
    const random = seeded(seed);
    const below = (number) => Math.floor(random() * number);
    const any = (list) => list[below(list.length)];
    const told = [];
    const calls = [];
    const tell = (...words) => told.push(words.join(' '));
    while (world.instances.size < INSTANCES) await launch(random);
    const instance = () => any([...world.instances.keys()].sort());
    const wish = (method, ...params) => {
      tell(method, JSON.stringify(params));
      calls.push(world.ddp.call(method, ...params).catch(() => {}));
    };
    const byHand = async (...command) => {
      const containers = (await own()).sort((a, b) => (a.Name < b.Name ? -1 : 1));
      if (containers.length === 0) return;
      const { Id, Name } = any(containers);
      tell('docker', ...command, Name);
      await docker(...command, Id).catch(() => {});
    };
    const health = { ...smallAppHealth, interval: 1000, restartAfter: 0 };
    const happenings = [
      ...['start', 'stop', 'kill', 'restart', 'start', 'start'].map((verb) => () => wish(`${verb}AppInstance`, instance())),
      () => wish('rebuildAppInstance', instance()),
      () => wish('scale', instance(), 1 + below(3)),
      () => wish('scale', instance(), 1 + below(3)),
      ...[1, 2, 3].map(() => () => wish('setEnvironment', instance(), { COLOUR: `c${below(1e6)}`, MUTE: '' })),
      () => wish('deploy', instance(), { env: { ...required, MUTE: '1' }, health: { ...health, startPeriod: 300 } }),
      () => wish('removeAppInstance', instance()),
      ...[1, 2].map(() => () => byHand('kill')),
      ...[1, 2].map(() => () => byHand('start')),
      ...[1, 2].map(() => () => byHand('rm', '--force')),
      ...[1, 2].map(() => () => {
        tell('connections to the engine break off');
        relay.cut();
      }),
      async () => {
        tell('kill -9 of the launcher');
        await world.crash();
        await world.startLauncher();
      },
    ];
    for (let left = 5 + below(12); left > 0 && world.instances.size > 0; left--) {
      await any(happenings)();
      if (below(2)) await pause(below(LONGEST_PAUSE_MS));
    }
    const text = () => `HISTORIES_SEED=${seed}\n${told.join('\n')}`;
    await isAsWanted(text);

    // What is asked for in the end is what there is.
    const last = [...world.instances.keys()].map((id) => [id, any(['start', 'stop', 'remove']), 1 + below(3)]);
    await Promise.all(last.map(async ([id, verb, replicas]) => {
      tell(verb, id, replicas);
      await world.ddp.call('scale', id, replicas);
      await world.ddp.call(`${verb}AppInstance`, id);
    }));
    await isAsWanted(text);
    for (const [id, verb, replicas] of last) {
      const document = world.instances.get(id);
      if (verb === 'remove') assert.equal(document, undefined, text());
      else assert.deepEqual([document.status, document.replicas], [verb === 'start' ? 'running' : 'stopped', replicas], text());
    }
    assert.doesNotMatch(await readFile(world.logFile, 'utf8'), /panicked/, text());
  }

  it(`everything is as wanted (HISTORIES_SEED=${firstSeed})`, async (t) => {
    const end = Date.now() + seconds * 1000;
    let seed = firstSeed;
    do {
      t.diagnostic(`history ${seed}`);
      await history(seed++);
    } while (Date.now() < end);
    t.diagnostic(`${seed - firstSeed} histories`);
  });
});
