// Many instances on one machine: how soon they are ready, what the launcher needs for them, and how soon its subscribers see a change.
//
//   node bench/density.js [instances] [subscribers]        needs target/release/meteor-launcher, Docker, busybox, and `npm ci` in tests/
import { execFile } from 'node:child_process';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import WebSocket from '../tests/node_modules/ws/wrapper.mjs';
import { pause, until } from '../tests/support/until.js';
import { World, required } from '../tests/support/world.js';

const count = Number(process.argv[2] ?? 200);
const subscribers = Number(process.argv[3] ?? 1000);
const quietSeconds = 60;
const now = () => Number(process.hrtime.bigint()) / 1e6;
const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const quantile = (numbers, q) => sorted(numbers)[Math.min(numbers.length - 1, Math.floor(numbers.length * q))];
const row = (name, value, unit, bound) => console.log(`${name.padEnd(66)} ${value.toFixed(unit === 's' ? 1 : 2).padStart(8)} ${unit}${bound ? `   bound ${bound} ${unit}` : ''}`);

async function tinyApp(world) {
  const file = join(world.folder, 'tiny-app.tar.gz');
  await promisify(execFile)(fileURLToPath(new URL('../examples/tiny-app/pack', import.meta.url)), [file]);
  return world.build('tiny-app', await readFile(file));
}

/** Resident memory in MiB, and the most that it has been. */
async function memory(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) / 1024;
  return { now: field('VmRSS'), most: field('VmHWM') };
}

/** CPU time of all threads, in ms, by the scheduler's own account. */
async function cpu(pid) {
  const tasks = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8').catch(() => '0')));
  return times.reduce((total, time) => total + Number(time.split(' ')[0]) / 1e6, 0);
}

async function launchAll(world, image) {
  const begun = now();
  const names = Array.from({ length: count }, (_, index) => `tiny-${index}.test`);
  const launching = names.map((hostname) => world.ddp.call('launchAppInstance', {
    appImage: image, ...required, hostname, rootUrl: `http://${hostname}`, limits: { memoryBytes: 16 << 20 }, wait: 'ready',
  }));
  const ids = await Promise.all(launching);
  const ready = now() - begun;
  const healthy = ids.filter((id) => world.instances.get(id)?.health === 'healthy').length;
  return { ids, ready, healthy };
}

/** Connections that look for a word in what comes, and parse nothing. */
class Crowd {
  static async gather(url, size) {
    const crowd = new this();
    for (let begun = 0; begun < size; begun += 50) {
      await Promise.all(Array.from({ length: Math.min(50, size - begun) }, () => crowd.#join(url)));
    }
    return crowd;
  }

  #sockets = [];
  #word;
  #seen = new Set();
  #times = [];

  #join(url) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      socket.on('error', reject);
      socket.on('open', () => {
        socket.send('{"msg":"connect","version":"1","support":["1"]}');
        socket.send('{"msg":"sub","id":"s","name":"appInstances","params":[]}');
      });
      socket.on('message', (data) => {
        if (data.includes('"msg":"ready"')) resolve();
        if (data.includes('"msg":"ping"')) socket.send('{"msg":"pong"}');
        if (this.#word && data.includes(this.#word) && !this.#seen.has(socket)) {
          this.#seen.add(socket);
          this.#times.push(now());
        }
      });
      this.#sockets.push(socket);
    });
  }

  /** Makes the change, of which every connection's message has the word; how long each took to see it, in ms. */
  async see(word, change) {
    this.#seen.clear();
    this.#times = [];
    this.#word = word;
    const begun = now();
    await change();
    await until(() => this.#seen.size === this.#sockets.length, () => `${word}, which ${this.#seen.size} have seen`);
    return this.#times.map((time) => time - begun);
  }

  leave() {
    for (const socket of this.#sockets) socket.terminate();
  }
}

const world = await World.start({ env: { RUST_LOG: 'warn' } });
const { pid } = world.launcher;
try {
  const image = await tinyApp(world);
  console.log(`${count} instances, ${subscribers} subscribers`);
  row('memory of the launcher before', (await memory(pid)).now, 'MiB');
  const before = await cpu(pid);
  const { ids, ready, healthy } = await launchAll(world, image);
  row('launched at once, until the last was ready', ready / 1000, 's');
  row('CPU time of the launcher for that', (await cpu(pid) - before) / 1000, 's');
  console.log(`healthy: ${healthy} of ${count}`);

  await pause(10_000);
  const begun = await cpu(pid);
  const at = now();
  await pause(quietSeconds * 1000);
  row(`CPU when nothing happens, over ${quietSeconds} s, of one core`, (100 * (await cpu(pid) - begun)) / (now() - at), '%', 1);
  const { now: resident, most } = await memory(pid);
  row('memory of the launcher', resident, 'MiB', 57.2);
  row('memory of the launcher, the most', most, 'MiB', 57.2);

  const crowd = await Crowd.gather(world.url, subscribers);
  await pause(2_000);
  const seen = [];
  for (const id of ids) {
    seen.push(...await crowd.see(`"id":"${id}"`, () => world.ddp.call('setAutoDeploy', id, true)));
  }
  row('until a subscriber has seen a change, median', quantile(seen, 0.5), 'ms');
  row('until a subscriber has seen a change, 99 of 100', quantile(seen, 0.99), 'ms', 100);
  row('memory of the launcher with its subscribers', (await memory(pid)).now, 'MiB');
  crowd.leave();

  const ending = now();
  await Promise.all(ids.map((id) => world.ddp.call('removeAppInstance', id)));
  row('removed at once, until the last was gone', (now() - ending) / 1000, 's');
} finally {
  await world.close();
  await rm(world.folder, { recursive: true, force: true });
}
