// Thousands of clients come back at once when an app is started again: it stays well, and all of them get in.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { docker } from './support/docker.js';
import { until } from './support/until.js';
import { World } from './support/world.js';

// As many as Docker's own proxy, which takes six files for each, can have with 20,000 open files.
const clients = 2000;
const minutes = 60_000;

/** A WebSocket that is opened again whenever it is closed or refused, as impatient clients do it. */
class Client {
  constructor(port, hostname, crowd) {
    Object.assign(this, { port, hostname, crowd });
    this.open();
  }

  open() {
    let answer = '';
    const socket = connect(this.port, '127.0.0.1', () => {
      socket.write(`GET /websocket HTTP/1.1\r\nHost: ${this.hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    });
    this.socket = socket;
    socket.on('data', (data) => {
      if (this.isOpen || answer === null) return;
      answer += data.toString('latin1');
      if (!answer.includes('\r\n\r\n')) return;
      const [, status] = answer.match(/^HTTP\/1.1 (\d+)/);
      if (status === '101') {
        this.isOpen = true;
        this.crowd.open += 1;
        return;
      }
      const after = Number(answer.match(/^retry-after: (\d+)/im)?.[1] ?? 1);
      this.crowd.refused.set(status, (this.crowd.refused.get(status) ?? 0) + 1);
      answer = null;
      socket.destroy();
      this.again(after * 1000 * (0.5 + Math.random()));
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (answer === null) return;
      if (this.isOpen) this.crowd.open -= 1;
      this.isOpen = false;
      this.again(100 * Math.random());
    });
  }

  again(wait) {
    if (!this.crowd.isOver) setTimeout(() => !this.crowd.isOver && this.open(), wait);
  }
}

describe('a storm of clients', () => {
  let world, app;
  const crowd = { open: 0, refused: new Map(), isOver: false, all: [] };

  before(async () => {
    world = await World.start();
    app = await world.launch('stormy', { hostname: 'stormy.test' });
    await until(() => app.document.health === 'healthy', 'the app to be well');
  });
  after(async () => {
    crowd.isOver = true;
    for (const { socket } of crowd.all) socket.destroy();
    await world?.close();
  });

  const allOpen = () => until(() => crowd.open === clients, () => `${clients} connections; there are ${crowd.open}, and refused were ${JSON.stringify([...crowd.refused])}`, 3 * minutes);

  it('gets in', async () => {
    for (let number = 0; number < clients; number += 1) crowd.all.push(new Client(world.proxyPort, 'stormy.test', crowd));
    await allOpen();
  });

  it('gets in again when the app has crashed and is started again, which stays well', async () => {
    const since = world.ddp.messages.length;
    await docker('kill', app.document.containerId);
    await until(() => app.document.containers[0].restarts === 1 && app.document.health === 'healthy', 'the app to be well again', minutes);
    await allOpen();
    const told = world.ddp.messages.slice(since).filter(({ collection, fields }) => collection === 'AppInstances' && fields?.health).map(({ fields }) => fields.health);
    assert.ok(!told.includes('unhealthy'), told.join());
    assert.deepEqual([app.document.health, app.document.containers[0].restarts], ['healthy', 1]);
  });
});
