// A socket between the launcher and Docker that can be cut and mended, so that a test can take the engine away without
// touching Docker itself.
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const engine = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');

export class EngineRelay {
  static async start() {
    const relay = new EngineRelay();
    relay.folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-relay-'));
    relay.path = join(relay.folder, 'docker.sock');
    await relay.mend();
    return relay;
  }

  #sockets = new Set();
  // By connection, the first line of the newest request on it.
  #requests = new Map();
  #server = null;

  /** Listens, and carries every connection to the engine. */
  async mend() {
    if (this.#server) return;
    this.#server = net.createServer({ allowHalfOpen: true }, (near) => {
      const far = net.connect({ path: engine, allowHalfOpen: true });
      near.on('data', (bytes) => {
        const [line] = bytes.toString('latin1').split('\r\n', 1);
        if (/^[A-Z]+ .* HTTP\/1\.1$/.test(line)) this.#requests.set(near, line);
      });
      near.on('close', () => this.#requests.delete(near));
      for (const [socket, other] of [[near, far], [far, near]]) {
        this.#sockets.add(socket);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.on('error', () => other.destroy());
        socket.pipe(other);
      }
    });
    await new Promise((resolve, reject) => this.#server.once('error', reject).listen(this.path, resolve));
  }

  /** How many connections are open of which the newest request is such a one. */
  asking(request) {
    return [...this.#requests.values()].filter((line) => request.test(line)).length;
  }

  /** Breaks the connections that are open; new ones are served. */
  breakOff() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Breaks the connections and takes no new ones. */
  async cut() {
    if (!this.#server) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.breakOff();
    await closed;
    this.#server = null;
  }

  async close() {
    await this.cut();
    await rm(this.folder, { recursive: true });
  }
}
