// An image registry on loopback: Debian's docker-registry, with an empty folder.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker } from './docker.js';
import { request } from './http.js';
import { freePort } from './ports.js';
import { until } from './until.js';

export class Registry {
  /** Starts one; it tells of pushes at `hook`, if one is given. */
  static async start({ hook } = {}) {
    const [folder, port] = [await mkdtemp(join(tmpdir(), 'meteor-launcher-registry-')), await freePort()];
    const config = join(folder, 'config.yml');
    await writeFile(config, `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${join(folder, 'images')}}, delete: {enabled: true}}
http: {addr: '127.0.0.1:${port}'}
notifications: {endpoints: [${hook ? `{name: hook, url: '${hook}', timeout: 5s, threshold: 3, backoff: 1s}` : ''}]}
`);
    const server = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'inherit'] });
    const registry = new Registry(folder, port, server);
    await until(async () => (await request(port, '127.0.0.1', '/v2/').catch(() => null))?.status === 200, 'the registry to answer');
    return registry;
  }

  constructor(folder, port, server) {
    Object.assign(this, { folder, server, host: `127.0.0.1:${port}`, ended: once(server, 'exit') });
  }

  /** Puts an image of the engine into the registry, and only there; gives its name. */
  async put(image, name) {
    const there = `${this.host}/${name}`;
    await docker('tag', image, there);
    await docker('push', there);
    await docker('rmi', there);
    return there;
  }

  async close() {
    this.server.kill();
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}
