// `meteor-launcher proxy` on free ports, with a data directory of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from './http.js';
import { freePort } from './ports.js';
import { until, within } from './until.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = process.env.LAUNCHER_TEST_BINARY ?? join(root, 'target/release/meteor-launcher');
const logs = join(root, 'target/e2e-logs');

export class StandaloneProxy {
  /** Starts one; `flags` are added to what it needs. */
  static async start(routes, flags = []) {
    const proxy = new this();
    Object.assign(proxy, { routes, flags });
    proxy.folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-proxy-'));
    proxy.port = await freePort();
    proxy.proxyPort = await freePort();
    await mkdir(logs, { recursive: true });
    proxy.log = createWriteStream(join(logs, `proxy-${proxy.port}.log`));
    await once(proxy.log, 'open');
    await proxy.restart();
    return proxy;
  }

  async restart() {
    const flags = ['--routes', this.routes, '--port', String(this.port), '--proxy-listen', `127.0.0.1:${this.proxyPort}`, '--data-dir', this.folder, ...this.flags];
    this.process = spawn(binary, ['proxy', ...flags], { env: { PATH: process.env.PATH, RUST_LOG: 'info' }, stdio: ['ignore', this.log, this.log] });
    this.exited = once(this.process, 'exit');
    await until(() => this.health().then(() => true, () => false), 'the proxy to listen');
  }

  async health() {
    return (await request(this.port, `127.0.0.1:${this.port}`, '/health')).json();
  }

  /** Resolves when it has the newest routes, or not any more. */
  async reaches(isReachable = true) {
    await until(async () => (await this.health()).source.reachable === isReachable, async () => `the source to be ${isReachable}: ${JSON.stringify(await this.health())}`);
  }

  get(hostname, path = '/', options = {}) {
    return request(this.proxyPort, hostname, path, options);
  }

  async becomes(hostname, status) {
    await until(async () => (await this.get(hostname)).status === status, async () => `${hostname} to answer ${status}: ${(await this.get(hostname)).status}`);
  }

  async signal(name) {
    this.process.kill(name);
    return within(this.exited, 'the proxy ending');
  }

  async close() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.signal('SIGKILL');
    this.log.end();
    await rm(this.folder, { recursive: true, force: true });
  }
}
