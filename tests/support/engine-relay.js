// Stands between a launcher and the machine's Docker engine, so that their connections can be cut.
import { rm } from 'node:fs/promises';
import net from 'node:net';

export class EngineRelay {
  static async start(path, engine = '/var/run/docker.sock') {
    const relay = new EngineRelay(path, engine);
    await new Promise((resolve, reject) => relay.server.once('error', reject).listen(path, resolve));
    return relay;
  }

  #connections = new Set();

  constructor(path, engine) {
    this.path = path;
    this.host = `unix://${path}`;
    this.server = net.createServer({ allowHalfOpen: true }, (near) => {
      const far = net.connect({ path: engine, allowHalfOpen: true });
      for (const [one, other] of [[near, far], [far, near]]) {
        this.#connections.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          this.#connections.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  /** Breaks off whatever goes on, the event stream among it. */
  cut() {
    for (const connection of this.#connections) connection.destroy();
  }

  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.cut();
    await closed;
    await rm(this.path, { force: true });
  }
}
