// An image registry on loopback: Debian's docker-registry, with an empty folder, with or without authentication; and a relay
// before it, where its bytes can be held up and its connections cut.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dockerfile } from './archives.js';
import { docker } from './docker.js';
import { request } from './http.js';
import { freePort } from './ports.js';
import { until } from './until.js';

const run = promisify(execFile);

/** Users of a registry with authentication: each one's password, and the line that `htpasswd -B` makes of it. */
export const users = {
  right: { username: 'user', password: 'ri>ght?~', line: 'user:$2b$04$/5tSTleUkrSYvM2eHuTYg.4/wTVwWd0Uznnq/gNviwgq0/Bn4upm.' },
  changed: { username: 'user', password: 'chan>ged?~', line: 'user:$2b$04$ZLU9fuimthBaD4.buTvPROVE623KdoO6BCUZTSAxK/vqUkTnTijQ6' },
};

/** An address of this machine's, on Docker's own network, that is not loopback: there Docker expects TLS. */
export const bridgeAddress = () => docker('network', 'inspect', '--format', '{{(index .IPAM.Config 0).Gateway}}', 'bridge');

export class Registry {
  #names = [];

  /** Starts one; it tells of pushes at `hook`, and lets in only `user`, if they are given. */
  static async start({ hook, user } = {}) {
    const [folder, port] = [await mkdtemp(join(tmpdir(), 'meteor-launcher-registry-')), await freePort()];
    const config = join(folder, 'config.yml');
    await writeFile(config, `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${join(folder, 'images')}}, delete: {enabled: true}}
http: {addr: '127.0.0.1:${port}'}
notifications: {endpoints: [${hook ? `{name: hook, url: '${hook}', timeout: 5s, threshold: 3, backoff: 1s}` : ''}]}
${user ? `auth: {htpasswd: {realm: test, path: ${join(folder, 'users')}}}` : ''}
`);
    const server = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
    const registry = new Registry(folder, port, server);
    if (user) await registry.letIn(user);
    await until(async () => (await request(port, '127.0.0.1', '/v2/').catch(() => null))?.status === (user ? 401 : 200), 'the registry to answer');
    return registry;
  }

  constructor(folder, port, server) {
    Object.assign(this, { folder, server, port, host: `127.0.0.1:${port}`, ended: once(server, 'exit') });
  }

  /** Puts an image of the engine into the registry, and only there; gives its name. */
  async put(image, name) {
    const there = `${this.host}/${name}`;
    await docker('tag', image, there);
    await docker('push', there);
    await docker('rmi', there);
    this.#names.push(there);
    return there;
  }

  /**
   * As `put`, but the engine never has it by the name that the hook is told: somebody who pulls it at once keeps it. It gets
   * there by a tag of another name, which is copied inside the registry.
   */
  async publish(image, name) {
    const [repository, tag = 'latest'] = name.split(':');
    await this.put(image, `${repository}:on-its-way`);
    const manifest = (reference, options) => request(this.port, this.host, `/v2/${repository}/manifests/${reference}`, options);
    const type = 'application/vnd.docker.distribution.manifest.v2+json';
    const { text } = await manifest('on-its-way', { headers: { Accept: type } }).expect(200);
    await manifest(tag, { method: 'PUT', headers: { 'Content-Type': type }, body: text }).expect(201);
    const there = `${this.host}/${name}`;
    this.#names.push(there);
    return there;
  }

  /** Builds an image of its own on the example app, which only the registry has; gives its name. */
  async only(world, name) {
    const archive = dockerfile(`FROM ${await world.app()}\nLABEL own=${name}\n`);
    const built = await world.build(`to-push-${name.replace(':', '-')}`, archive);
    const there = await this.put(built, name);
    await docker('rmi', built);
    return there;
  }

  /** From now on lets in this user only. */
  async letIn({ line }) {
    await writeFile(join(this.folder, 'users'), `${line}\n`);
  }

  async kill() {
    this.server.kill('SIGKILL');
    await this.ended;
  }

  /** Ends it; what the engine has by the names that were put there goes with it. */
  async close() {
    for (const name of this.#names) await docker('rmi', '--force', name).catch(() => {});
    this.server.kill();
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Carries connections to a port of 127.0.0.1. */
export class Relay {
  static async start(port, address = '127.0.0.1') {
    const relay = new Relay();
    relay.server = net.createServer((near) => relay.#carry(near, net.connect(port, '127.0.0.1')));
    await new Promise((resolve, reject) => relay.server.once('error', reject).listen(0, address, resolve));
    relay.host = `${address}:${relay.server.address().port}`;
    return relay;
  }

  #sockets = new Set();
  #left = Infinity;

  /** Lets through about so many more bytes, then none. */
  holdAfter(bytes) {
    this.#left = bytes;
  }

  /** Whether it lets nothing through any more. */
  get isHeld() {
    return this.#left <= 0;
  }

  release() {
    this.#left = Infinity;
    for (const socket of this.#sockets) socket.resume();
  }

  #carry(near, far) {
    for (const [socket, other] of [[near, far], [far, near]]) {
      this.#sockets.add(socket);
      socket.on('data', (bytes) => {
        this.#left -= bytes.length;
        other.write(bytes);
        if (this.#left <= 0) for (const each of this.#sockets) each.pause();
      });
      socket.on('end', () => other.end());
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      if (this.#left <= 0) socket.pause();
    }
  }

  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** Something that is no good registry: what `answer(request, response)` says, with a certificate that nobody knows where `tls` is set. */
export class WrongRegistry {
  static async start(answer, { address = '127.0.0.1', tls } = {}) {
    const wrong = new WrongRegistry();
    wrong.server = tls ? https.createServer(await selfSigned(address), answer) : http.createServer(answer);
    await new Promise((resolve, reject) => wrong.server.once('error', reject).listen(0, address, resolve));
    wrong.host = `${address}:${wrong.server.address().port}`;
    return wrong;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function selfSigned(address) {
  const folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  try {
    const names = ['-subj', '/CN=registry.test', '-addext', `subjectAltName=IP:${address}`];
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', ...names, '-keyout', key, '-out', cert]);
    return { key: await readFile(key), cert: await readFile(cert) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
