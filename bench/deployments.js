// What a deployment costs, and what visitors notice of it.
//
//   node bench/deployments.js cost [rounds]        against the time that the container itself needs until it answers
//   node bench/deployments.js load [rebuilds]      200 requests/s and 200 DDP connections while an app with two replicas is rebuilt
//
// needs target/release/meteor-launcher, Docker, and `npm ci` in tests/
import http from 'node:http';
import WebSocket from '../tests/node_modules/ws/wrapper.mjs';
import { docker } from '../tests/support/docker.js';
import { pause, until } from '../tests/support/until.js';
import { World, required } from '../tests/support/world.js';

const [what = 'cost', given] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint()) / 1e6;
const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const quantile = (numbers, q) => sorted(numbers)[Math.min(numbers.length - 1, Math.floor(numbers.length * q))];
const row = (name, value, unit = '', bound) => console.log(`${name.padEnd(70)} ${value.toFixed(unit === '' ? 0 : 1).padStart(8)} ${unit}${bound === undefined ? '' : `   bound ${bound} ${unit}`}`);

/** One request; rejects when there is no answer. */
const ask = (port, host, path, agent) => new Promise((resolve, reject) => {
  const request = http.get({ host: '127.0.0.1', port, path, agent, headers: { Host: host }, timeout: 10_000 }, (answer) => {
    answer.resume();
    answer.on('end', () => resolve({ status: answer.statusCode }));
    answer.on('error', reject);
  });
  request.on('timeout', () => request.destroy(new Error('no answer within 10 s')));
  request.on('error', reject);
});

// — What it costs —

/** The time until a container that was made by hand, as the launcher makes it, answers. */
async function byHand(image) {
  const begun = now();
  const id = await docker('run', '--detach', '--init', '--publish', '127.0.0.1::8080', '--env', 'PORT=8080', '--env', `MONGO_URL=${required.mongoUrl}`,
    '--env', `ROOT_URL=${required.rootUrl}`, '--security-opt', 'no-new-privileges', '--cap-drop', 'ALL', '--memory', '1g', '--label', 'launcher.bench=1', image);
  const port = Number((await docker('port', id, '8080/tcp')).split(':').at(-1));
  while (!(await ask(port, 'app.test', '/sockjs/info').then(({ status }) => status === 200, () => false))) await pause(5);
  const took = now() - begun;
  await docker('rm', '--force', id);
  return took;
}

/** The time from the call of a deployment until the route leads to the new container. */
async function deployed(world, app) {
  const before = app.document.containers.map(({ id }) => id);
  const begun = now();
  await world.ddp.call('rebuildAppInstance', app.id);
  const took = now() - begun;
  if (before.includes(app.document.containerId)) throw new Error('the call returned before the route was switched');
  await app.get('/').expect(200);
  return took;
}

async function cost(rounds) {
  const world = await World.start({ env: { RUST_LOG: 'warn' }, flags: ['--drain-period', '1', '--grace-period', '5'] });
  try {
    const image = await world.app();
    const app = await world.launch('cost', { hostname: 'cost.test', appImage: image });
    const [hand, launcher] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      hand.push(await byHand(image));
      launcher.push(await deployed(world, app));
      // The old container's end is not what is measured.
      await until(() => app.document.containers.length === 1, 'the old container to be gone');
      await pause(500);
    }
    const differences = launcher.map((took, round) => took - hand[round]);
    console.log(`${rounds} rounds, in turns`);
    row('by hand, until the container answers, median', quantile(hand, 0.5), 'ms');
    row('rebuildAppInstance, until the route leads to it, median', quantile(launcher, 0.5), 'ms');
    row('what the launcher adds, median', quantile(differences, 0.5), 'ms', 300);
    row('what the launcher adds, worst', Math.max(...differences), 'ms');
  } finally {
    await world.close();
  }
}

// — What visitors notice —

/** A steady stream of requests, each on its way whether or not the ones before have come back. */
class Requests {
  answers = new Map();
  times = [];
  #agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  #open = 0;

  constructor(port, host, each) {
    let next = now();
    this.timer = setInterval(() => {
      for (; next < now(); next += each) this.#ask(port, host);
    }, each);
  }

  async #ask(port, host) {
    const begun = now();
    this.#open += 1;
    const outcome = await ask(port, host, '/', this.#agent).then(({ status }) => status, ({ code, message }) => code ?? message);
    this.#open -= 1;
    this.times.push(now() - begun);
    this.answers.set(outcome, (this.answers.get(outcome) ?? 0) + 1);
  }

  async stop() {
    clearInterval(this.timer);
    await until(() => this.#open === 0, 'the last answers');
    this.#agent.destroy();
  }
}

/** A DDP client that asks for a pong four times a second, and connects again 100 ms after it was cut off. */
class Client {
  longest = 0;
  reconnects = -1;

  constructor(url, host) {
    this.#connect(url, host);
  }

  #connect(url, host) {
    const socket = new WebSocket(url, { headers: { Host: host }, perMessageDeflate: false });
    this.socket = socket;
    let ping;
    socket.on('open', () => socket.send('{"msg":"connect","version":"1","support":["1"]}'));
    socket.on('message', (data) => {
      if (data.includes('"msg":"connected"')) {
        this.reconnects += 1;
        this.#works();
        ping = setInterval(() => socket.send('{"msg":"ping"}'), 250);
      } else if (data.includes('"msg":"pong"')) this.#works();
      else if (data.includes('"msg":"ping"')) socket.send('{"msg":"pong"}');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(ping);
      if (!this.stopped) setTimeout(() => this.#connect(url, host), 100);
    });
  }

  #works() {
    if (this.last !== undefined) this.longest = Math.max(this.longest, now() - this.last);
    this.last = now();
  }

  stop() {
    this.stopped = true;
    this.#works();
    this.socket.terminate();
  }
}

async function load(rebuilds) {
  const world = await World.start({ env: { RUST_LOG: 'warn' } });
  try {
    const app = await world.launch('load', { hostname: 'load.test', appImage: await world.app() });
    await world.ddp.call('scale', app.id, 2);
    await until(() => app.document.containers.filter(({ health }) => health === 'healthy').length === 2, 'two replicas');
    const url = `ws://127.0.0.1:${world.proxyPort}/websocket`;
    const clients = Array.from({ length: 200 }, () => new Client(url, 'load.test'));
    await until(() => clients.every(({ last }) => last), 'all clients to be connected');
    const requests = new Requests(world.proxyPort, 'load.test', 5);
    await pause(2_000);
    const begun = now();
    const took = [];
    for (let round = 0; round < rebuilds; round += 1) {
      const start = now();
      await world.ddp.call('rebuildAppInstance', app.id);
      took.push(now() - start);
    }
    // The WebSockets of the last rebuild are cut off when its drain period ends.
    const shown = () => app.document.containers.map(({ role }) => role);
    await until(() => shown().length === 2, () => `the old containers to be gone: ${shown()}`, 120_000);
    await pause(1_000);
    await requests.stop();
    const seconds = (now() - begun) / 1000;
    const reconnects = clients.reduce((total, client) => total + client.reconnects, 0);
    for (const client of clients) client.stop();
    console.log(`${rebuilds} rebuilds in a row of an app with two replicas, ${seconds.toFixed(0)} s`);
    const answered = [...requests.answers.values()].reduce((a, b) => a + b, 0);
    row('requests', answered);
    row('answers other than 200, and requests without one', answered - (requests.answers.get(200) ?? 0), '', 0);
    console.log(`answers: ${JSON.stringify([...requests.answers])}`);
    row('an answer took, median', quantile(requests.times, 0.5), 'ms');
    row('an answer took, 99 of 100', quantile(requests.times, 0.99), 'ms');
    row('an answer took, worst', Math.max(...requests.times), 'ms');
    row('times that a client was cut off', reconnects);
    row('longest that a client was without a connection', Math.max(...clients.map(({ longest }) => longest)), 'ms', 2000);
    row('a rebuild took, median', quantile(took, 0.5), 'ms');
  } finally {
    await world.close();
  }
}

if (what === 'cost') await cost(Number(given ?? 10));
else if (what === 'load') await load(Number(given ?? 10));
else throw new Error(`${what}: cost or load`);
