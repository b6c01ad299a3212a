// 500 SockJS clients, by WebSocket and by HTTP, of an app of which another release takes the place: each is sent away once, with SockJS's own words,
// and none of their sessions is ever seen by two containers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import SockJS from 'sockjs-client';
import { tell } from './support/obedient.js';
import { sockjsApp } from './support/sockjs-app.js';
import { until } from './support/until.js';
import { World } from './support/world.js';

const clients = 500;
const transports = ['websocket', 'xhr-polling', 'xhr-streaming', 'eventsource'];
const drainSeconds = 10;

/** A client who comes back whenever he is sent away, and remembers which container opened each of his sessions. */
class Client {
  visits = [];
  closes = [];
  refused = 0;
  #ended = false;

  constructor(url, transport) {
    this.url = url;
    this.transport = transport;
    this.#connect();
  }

  #connect() {
    const socket = (this.socket = new SockJS(this.url, null, { transports: [this.transport], timeout: 10_000 }));
    this.visit = null;
    socket.onmessage = ({ data }) => {
      if (data === 'echo') return void (this.echoed = true);
      this.visit = JSON.parse(data);
      this.visits.push(this.visit);
    };
    socket.onclose = ({ code, reason }) => {
      if (this.#ended) return;
      if (this.visit) this.closes.push(`${code} ${reason}`);
      else this.refused++;
      // As Meteor's clients do who were not let in: not at once.
      if (this.visit) this.#connect();
      else setTimeout(() => this.#ended || this.#connect(), 500 + Math.random() * 1_500);
    };
  }

  /** Resolves when it has sent something and heard it again, wherever it is connected. */
  async works() {
    this.echoed = false;
    const visit = this.visit;
    if (this.socket.readyState === SockJS.OPEN) this.socket.send('echo');
    await until(() => this.echoed || this.visit !== visit, () => `an echo by ${this.transport}`);
  }

  leave() {
    this.#ended = true;
    this.socket.close();
  }
}

describe('500 SockJS clients of an app that is replaced', { concurrency: false }, () => {
  let world, app;
  const all = [];

  before(async () => {
    world = await World.start({ flags: ['--drain-period', String(drainSeconds), '--grace-period', '5'] });
    const appImage = await world.build('sockjs-app', await sockjsApp());
    app = await world.launch('moving', { appImage, hostname: 'localhost', answering: false, health: { kind: 'http', path: '/' } });
    await world.ddp.call('awaitReady', app.id);
  });
  after(async () => {
    for (const client of all) client.leave();
    await world?.close();
  });

  it('are sent away once each, and no session is seen by two containers', async () => {
    const old = app.document.containerId;
    const url = `http://localhost:${world.proxyPort}/sockjs`;
    for (let i = 0; i < clients; i++) all.push(new Client(url, transports[i % transports.length]));
    const missing = () => all.filter(({ visit }) => !visit);
    await until(() => missing().length === 0, () => `${missing().length} clients more to connect: ${JSON.stringify(missing()[0]?.closes)}`);
    const deployed = world.ddp.call('setEnvironment', app.id, { RELEASE: '2' });
    const moving = until(() => all.some(({ visits }) => visits.length > 1), 'the first to move');
    await moving;
    // Those that have not been sent away yet go on where they are.
    await Promise.all(all.filter(({ visits }) => visits.length === 1).slice(0, 20).map((client) => client.works()));
    await deployed;
    const left = () => all.filter(({ visit }) => !visit || visit.container === old.slice(0, 12));
    await until(() => left().length === 0, () => `${left().length} clients to move: ${left()[0]?.transport} ${JSON.stringify(left()[0]?.closes)}`);
    await until(() => app.document.containerId !== old && app.document.containers.length === 1, 'the old container to be gone');
    for (const { transport, visits, closes } of all) {
      assert.deepEqual(closes, ['3000 Go away!'], transport);
      assert.equal(visits.length, 2, transport);
    }
    const before = new Set(all.map(({ visits }) => visits[0].session));
    const opened = JSON.parse(await tell(app.document.containerId, 'opened'));
    assert.equal(opened.length, clients);
    assert.deepEqual(opened.filter((session) => before.has(session)), []);
    await Promise.all(all.slice(0, 20).map((client) => client.works()));
  });
});
