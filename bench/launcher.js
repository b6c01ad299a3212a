// What the launcher adds to Docker's own times. Each number is measured against Docker itself, in the same run, in turns.
//
//   node bench/launcher.js [rounds]        needs target/release/meteor-launcher, Docker, and `npm ci` in tests/
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { docker } from '../tests/support/docker.js';
import { until } from '../tests/support/until.js';
import { World, required } from '../tests/support/world.js';

const rounds = Number(process.argv[2] ?? 20);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const median = (numbers) => sorted(numbers)[Math.floor(numbers.length / 2)];
const worst = (numbers) => sorted(numbers).at(-1);

const timed = async (action) => {
  const start = now();
  const result = await action();
  return [now() - start, result];
};

// The same container by hand: what the launcher asks for, as options of `docker run`.
const dockerRun = (image) => docker('run', '--detach', '--init', '--publish', '127.0.0.1::8080', '--env', 'PORT=8080',
  '--env', `MONGO_URL=${required.mongoUrl}`, '--env', `ROOT_URL=${required.rootUrl}`, '--security-opt', 'no-new-privileges',
  '--log-opt', 'max-size=10m', '--log-opt', 'max-file=3', '--label', 'launcher.bench=1', image);

async function launching(world, image) {
  const [byHand, launched] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const [a, container] = await timed(() => dockerRun(image));
    byHand.push(a);
    await docker('rm', '--force', container);
    const [b, id] = await timed(() => world.ddp.call('launchAppInstance', { appImage: image, ...required }));
    launched.push(b);
    await world.ddp.call('removeAppInstance', id);
  }
  return { byHand, launched };
}

/** For every `die`: the time at which Docker's own event stream told it to this process. */
function dieEvents() {
  const events = spawn('docker', ['events', '--filter', 'event=die', '--format', '{{.ID}}'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const told = new Map();
  createInterface({ input: events.stdout }).on('line', (id) => told.set(id, now()));
  return { told, stop: () => events.kill() };
}

async function killing(world, image) {
  const id = await world.ddp.call('launchAppInstance', { appImage: image, ...required });
  const { told, stop } = dieEvents();
  const beyond = [];
  for (let round = 0; round < rounds; round += 1) {
    const { containerId } = await world.status(id, 'running');
    told.delete(containerId);
    const changed = new Promise((resolve) => {
      const socket = world.ddp.socket;
      const onMessage = (data) => {
        const message = JSON.parse(data);
        if (message.msg === 'changed' && message.id === id && message.fields?.status === 'stopped') {
          socket.off('message', onMessage);
          resolve(now());
        }
      };
      socket.on('message', onMessage);
    });
    await docker('kill', containerId);
    const at = await changed;
    await until(() => told.has(containerId), () => 'the event of the kill');
    beyond.push(at - told.get(containerId));
    // A restart by the caller, so that no backoff grows from round to round.
    await world.ddp.call('startAppInstance', id);
  }
  stop();
  return beyond;
}

const world = await World.start();
try {
  const image = await world.app();
  const { byHand, launched } = await launching(world, image);
  const beyond = await killing(world, image);
  const row = (name, value, bound) => console.log(`${name.padEnd(66)} ${value.toFixed(1).padStart(8)} ms${bound ? `   bound ${bound} ms` : ''}`);
  console.log(`${rounds} rounds, in turns`);
  row('docker run -d, median', median(byHand));
  row('launchAppInstance of a present image, median', median(launched));
  row('what the launcher adds, median', median(launched) - median(byHand), 150);
  row("from Docker's die event to the subscriber's changed, median", median(beyond), 50);
  row("from Docker's die event to the subscriber's changed, worst", worst(beyond), 50);
} finally {
  await world.close();
}
