// A launcher of its own for each test file: the release binary on free ports, with an empty data directory, real Docker, and
// a subscription that sees everything. `close()` leaves nothing behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ArchiveServer, meteorBundle } from './archives.js';
import { Ddp } from './ddp.js';
import { container, docker, hostPort, image, imagesNamed, labelledContainers, testRun } from './docker.js';
import { request } from './http.js';
import { freePort } from './ports.js';
import { until, within } from './until.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = process.env.LAUNCHER_TEST_BINARY ?? join(root, 'target/release/meteor-launcher');
const logs = join(root, 'target/e2e-logs');

/** All images that this run of the tests makes have names that begin so; nothing else has. */
export const imagePrefix = `meteor-launcher-test-${testRun}/`;

/** The example bundle's image, built through the launcher by the first test that wants it, removed when all tests are done. */
export const appImage = `${imagePrefix}app`;

// The worlds that are open: each knows which containers are another's.
const worlds = new Set();

/** Options that launchAppInstance cannot do without; nothing listens at the database's address. */
export const required = { mongoUrl: 'mongodb://app:hunter2@db.test:27017/app', rootUrl: 'http://app.test' };

export class World {
  /** Starts a launcher and waits until it is healthy. `flags` and `env` are added to what it needs; `dataDir` may lie elsewhere; `binary` is another. */
  static async start({ flags = [], env = {}, dataDir, privateSources = true, binary: other = binary } = {}) {
    const folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-world-'));
    const world = new this(folder, flags, env, dataDir);
    world.privateSources = privateSources;
    world.binary = other;
    worlds.add(world);
    await mkdir(world.temporary);
    world.port = await freePort();
    world.proxyPort = await freePort();
    world.archives = await ArchiveServer.start();
    try {
      await world.startLauncher();
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  #instances = new Set();
  #log;

  constructor(folder, flags, env, dataDir = join(folder, 'data')) {
    this.folder = folder;
    this.flags = flags;
    this.env = env;
    this.dataDir = dataDir;
    this.temporary = join(folder, 'tmp');
    this.launcher = null;
    this.ddp = null;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/websocket`;
  }

  // — The process —

  /** Starts the launcher on this world's ports and data directory, again if need be. */
  async startLauncher() {
    await this.spawnLauncher();
    await until(
      async () => {
        if (this.exitCode !== null) throw new Error(`the launcher ended (${this.exitCode}): ${this.binary}; its log: ${this.#log.path}`);
        return (await this.health().catch(() => null))?.status === 200;
      },
      async () => `GET /health to answer 200 (log: ${this.#log.path}; answered: ${JSON.stringify(await this.health().catch(String))})`,
    );
    this.launcherId = (await this.health()).json().launcher;
    this.ddp = await this.connect();
    await this.ddp.subscribe('appInstances');
    await this.ddp.subscribe('dockerImages');
  }

  /** Starts the process without waiting for anything. */
  async spawnLauncher() {
    if (!this.#log) {
      await mkdir(logs, { recursive: true });
      const test = process.argv[1]?.split('/').pop() ?? 'world';
      this.#log = createWriteStream(join(logs, `${test}-${this.port}.log`));
      await once(this.#log, 'open');
    }
    this.launcher = spawn(this.binary, this.arguments(), {
      // How full this machine's disk is says nothing about the product: a test that means a full one says so.
      env: { PATH: process.env.PATH, HOME: process.env.HOME, RUST_LOG: 'info', LAUNCHER_DISK_WATERMARK: '100', TMPDIR: this.temporary, ...this.env },
      stdio: ['ignore', this.#log, this.#log],
    });
    this.launcher.once('error', (error) => (this.spawnError = error));
    this.exited = once(this.launcher, 'exit').catch((error) => [error.code]);
  }

  arguments() {
    return [
      'serve', '--port', String(this.port), '--proxy-listen', `127.0.0.1:${this.proxyPort}`, '--data-dir', this.dataDir,
      ...(this.privateSources ? ['--allow-private-sources'] : []), '--insecure-no-auth', ...this.flags,
    ];
  }

  /** What the launcher has said so far is in this file. */
  get logFile() {
    return this.#log.path;
  }

  get exitCode() {
    return this.launcher.exitCode ?? this.launcher.signalCode ?? this.spawnError?.code ?? null;
  }

  /** Ends the launcher; resolves with `[exit code, signal]`. */
  async signal(name) {
    this.#rememberInstances();
    this.launcher.kill(name);
    return within(this.exited, `the launcher ending after ${name}`);
  }

  /** What the machine's owner fears: no warning, no clean-up, the same data directory afterwards. */
  async crash() {
    await this.signal('SIGKILL');
  }

  health() {
    return request(this.port, `127.0.0.1:${this.port}`, '/health');
  }

  /** One more client. */
  connect() {
    return Ddp.connect(this.url);
  }

  // — What the launcher knows —

  get instances() {
    return this.ddp.collection('AppInstances');
  }

  get images() {
    return this.ddp.collection('DockerImages');
  }

  /** Documents of images of this name. */
  imageDocuments(name) {
    return [...this.images.values()].filter((document) => document.name === name || document.name === `${name}:latest`);
  }

  /** Resolves with the instance's document as soon as it has this status. */
  async status(id, status) {
    await until(
      () => this.instances.get(id)?.status === status,
      () => `status ${status} of ${id}; it is ${JSON.stringify(this.instances.get(id))}`,
    );
    return this.instances.get(id);
  }

  // — Apps —

  /** Makes sure that the example app's image is there. */
  async app() {
    if (await image(appImage)) return appImage;
    const url = this.archives.serve('app.tar.gz', await meteorBundle('--with-node-modules'));
    assert.equal(await this.ddp.call('buildImageIfNotExist', appImage, url), true);
    return appImage;
  }

  /** Builds an image from a tar through the launcher and returns its whole name. */
  async build(name, archive) {
    const url = this.archives.serve(`${name}-${this.port}.tar`, archive);
    assert.equal(await this.ddp.call('buildImageIfNotExist', imagePrefix + name, url), true);
    return imagePrefix + name;
  }

  /** Launches the example app, or another image given as `appImage`, and waits until it answers. */
  async launch(name, options = {}) {
    const { answering = true, ...given } = options;
    const id = await this.ddp.call('launchAppInstance', {
      appImage: given.appImage ?? (await this.app()),
      ...required,
      rootUrl: `http://${given.hostname ?? `${name}.test`}`,
      ...given,
    });
    const app = new App(this, name, id, given.hostname);
    await this.status(id, 'running');
    if (answering && given.hostname) await app.answering();
    return app;
  }

  /** A request to this hostname through the proxy. */
  get(hostname, path = '/', options = {}) {
    return request(this.proxyPort, hostname, path, options);
  }

  /** Containers that this world's launcher made, also those that it never told of. */
  async containers() {
    const found = await labelledContainers();
    for (const world of worlds) world.#rememberInstances();
    const others = [...worlds].filter((world) => world !== this);
    return found.filter(({ Config }) => {
      const instance = Config.Labels['launcher.instance'];
      if (this.#instances.has(instance)) return true;
      return Config.Image.startsWith(imagePrefix) && !others.some((world) => world.#instances.has(instance));
    });
  }

  /** Files in the data directory and the launcher's temporary directory, without the database's own. */
  async leftovers() {
    const data = await readdir(this.dataDir, { recursive: true }).catch(() => []);
    const temporary = await readdir(this.temporary, { recursive: true });
    const own = /^(launcher\.db(-wal|-shm|-journal)?|secret\.key|setup-link|uploads|backups|tmp|lock|launcher\.lock)$/;
    return [...data.filter((name) => !own.test(name)), ...temporary];
  }

  /**
   * Waits until records and Docker say the same: every document has its container and every container its document, `status`,
   * `containerId` and `port` are what Docker says, and nothing is on its way.
   */
  async agreement(deadlineMs) {
    let differences = [];
    await until(
      async () => {
        differences = await this.#differences();
        return differences.length === 0;
      },
      () => `agreement with Docker: ${differences.join('; ')}`,
      deadlineMs,
    );
  }

  async #differences() {
    const documents = [...this.instances.values()];
    const containers = await this.containers();
    const found = [];
    for (const { _id, containerId, status, port, containers: lines } of documents) {
      const all = containers.filter(({ Config }) => Config.Labels['launcher.instance'] === _id);
      const isShown = ({ Id }) => lines.some(({ id }) => id === Id);
      const own = all.filter(isShown);
      // The last container that a deployment has ended stays, so that its log can be read.
      const retired = all.filter((container) => !isShown(container));
      if (retired.length > 1 || retired.some(({ State }) => State.Running)) found.push(`${_id} has ${retired.length} containers that are not shown`);
      if (own.length !== 1 || lines.length !== 1) {
        found.push(`${_id} (${status}) has ${own.length} containers and shows ${lines.length}`);
        continue;
      }
      const [{ Id, State }] = own;
      if (containerId !== Id) found.push(`${_id} has container ${Id} and says ${containerId}`);
      if (status !== (State.Running ? 'running' : 'stopped')) found.push(`${_id} says ${status}, Docker ${State.Status}`);
      if (State.Running && port !== hostPort(own[0])) found.push(`${_id} says port ${port}, Docker ${hostPort(own[0])}`);
    }
    for (const { Id, Config } of containers) {
      if (!this.instances.has(Config.Labels['launcher.instance'])) found.push(`container ${Id} has no document`);
    }
    return found;
  }

  #rememberInstances() {
    for (const id of this.ddp?.messages.filter(({ collection }) => collection === 'AppInstances').map(({ id }) => id) ?? []) {
      this.#instances.add(id);
    }
  }

  /** Ends the launcher and removes its containers, its images but the shared one, and its files. */
  async close() {
    if (this.launcher && this.exitCode === null) await this.signal('SIGTERM').catch(() => this.signal('SIGKILL'));
    for (const { Id } of await this.containers()) await docker('rm', '--force', '--volumes', Id).catch(() => {});
    for (const name of await imagesNamed(imagePrefix)) {
      if (name !== `${appImage}:latest`) await docker('rmi', '--force', name).catch(() => {});
    }
    // Images that newer ones of the same name have followed.
    const nameless = ['--filter', 'dangling=true', '--filter', `label=launcher.owner=${this.launcherId}`];
    const followed = this.launcherId ? await docker('images', '--quiet', '--no-trunc', ...nameless) : '';
    for (const id of followed.split('\n').filter(Boolean)) await docker('rmi', '--force', id).catch(() => {});
    worlds.delete(this);
    await this.archives.close();
    this.#log?.end();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** One app instance, as its owner sees it. */
class App {
  constructor(world, name, id, hostname) {
    Object.assign(this, { world, name, id, hostname });
  }

  get document() {
    return this.world.instances.get(this.id);
  }

  /** Docker's inspect document of its container. */
  container() {
    return container(this.document.containerId);
  }

  /** A page of the app, through the proxy. */
  get(path = '/', options = {}) {
    return this.world.get(this.hostname, path, options);
  }

  /** Resolves when the app answers through the proxy; it listens a moment after its container runs. */
  async answering() {
    let last;
    await until(
      async () => {
        last = await this.get('/').answer;
        return last.status === 200;
      },
      () => `${this.hostname} to answer; it says ${last.status} ${last.text.slice(0, 200)}`,
    );
    return this;
  }

  /** A DDP client of the app's, through the proxy. */
  ddp() {
    return Ddp.connect(`ws://127.0.0.1:${this.world.proxyPort}/websocket`, { headers: { Host: this.hostname } });
  }

  /** `app.call('stop')` is `stopAppInstance` of this app. */
  call(verb, ...rest) {
    return this.world.ddp.call(`${verb}AppInstance`, this.id, ...rest);
  }

  status(status) {
    return this.world.status(this.id, status);
  }
}

/** Asserts that a call fails as the contract says, and returns the error. */
export async function refused(call, code, details) {
  const error = await call.then(
    (result) => assert.fail(`answered ${JSON.stringify(result)} instead of an error`),
    (raised) => raised,
  );
  assert.ok(error.wire, `an error of the server's, not ${error.stack}`);
  const reason = { 400: 'Bad request', 500: 'Internal server error' };
  const expected = [code].flat();
  assert.ok(expected.includes(error.error), `error ${JSON.stringify(error.wire)} is one of ${expected}`);
  assert.equal(error.reason, reason[error.error]);
  assert.equal(error.wire.errorType, 'Meteor.Error');
  assert.equal(typeof error.details, 'string', `details in ${JSON.stringify(error.wire)}`);
  assert.notEqual(error.details, '');
  if (details instanceof RegExp) assert.match(error.details, details);
  else if (details !== undefined) assert.equal(error.details, details);
  return error;
}
