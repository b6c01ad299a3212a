// A Docker engine of a test's own beside the machine's: it can be stopped, killed and started again, and its disk can be small.
// Everything of it lies in one folder, and it touches no rules of the machine's firewall.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tar } from './archives.js';
import { docker } from './docker.js';
import { until } from './until.js';

const run = promisify(execFile);

export class SecondEngine {
  /**
   * Starts one without any image, whose containers can be reached by the ports that they publish, and reach nothing but this machine.
   * `disk` is the size of a disk in memory for its images, such as `64m`.
   */
  static async start({ disk } = {}) {
    const engine = new SecondEngine(await mkdtemp(join(tmpdir(), 'meteor-launcher-engine-')));
    try {
      await mkdir(engine.root);
      if (disk) await run('mount', ['-t', 'tmpfs', '-o', `size=${disk}`, 'tmpfs', engine.root]);
      await engine.#addBridge();
      await engine.#startContainerd();
      await engine.#startDaemon();
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  #containerd = null;
  #daemon = null;
  #bridge = null;

  constructor(folder) {
    this.folder = folder;
    this.root = join(folder, 'root');
    this.host = `unix://${join(folder, 'docker.sock')}`;
  }

  /** Runs `docker …` on it and gives its standard output. */
  docker(...args) {
    return docker('--host', this.host, ...args);
  }

  /** Copies images of the machine's engine. */
  async load(...names) {
    const file = join(this.folder, 'images.tar');
    await docker('save', '--output', file, ...names);
    await this.docker('load', '--quiet', '--input', file);
    await rm(file);
  }

  /** Makes an image with a shell and the usual programs, of 2 MB. */
  async importBusybox(name) {
    const file = join(this.folder, 'busybox.tar');
    const body = await readFile('/usr/bin/busybox');
    const { stdout } = await run('/usr/bin/busybox', ['--list']);
    const links = stdout.split('\n').filter((program) => program && program !== 'busybox');
    const programs = links.map((program) => ({ name: `bin/${program}`, type: '2', link: 'busybox', mode: 0o777 }));
    await writeFile(file, tar([{ name: 'bin/busybox', body, mode: 0o755 }, ...programs]));
    await this.docker('import', '--change', 'CMD ["sleep", "1000000"]', file, name);
    await rm(file);
  }

  get isRunning() {
    return this.#daemon !== null;
  }

  /** Ends it as an administrator does, containers included. */
  async stop() {
    await this.#end('SIGTERM');
  }

  /** Ends it without any warning; its containers go on. */
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Starts it again after `stop()` or `kill()`; stops it before if it runs. */
  async restart() {
    await this.stop();
    await this.#startDaemon();
  }

  /** Ends it and removes everything of it. */
  async close() {
    // One that was killed left its containers, which only another can end.
    if (!this.#daemon && this.#containerd) await this.#startDaemon();
    const containers = await this.docker('ps', '--quiet').catch(() => '');
    if (containers) await this.docker('kill', ...containers.split('\n')).catch(() => {});
    await this.stop();
    await ended(this.#containerd, 'SIGTERM');
    for (const mounted of (await this.#mounts()).reverse()) await run('umount', ['--lazy', mounted]);
    if (this.#bridge) await run('ip', ['link', 'delete', this.#bridge]).catch(() => {});
    await rm(this.folder, { recursive: true, force: true });
  }

  // As on most machines, a service of its own, which outlives Docker.
  async #startContainerd() {
    const config = join(this.folder, 'containerd.toml');
    await writeFile(config, `version = 2
root = '${join(this.folder, 'containerd')}'
state = '${join(this.folder, 'state')}'
disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt']
[grpc]
address = '${join(this.folder, 'containerd.sock')}'
`);
    this.#containerd = await this.#spawn('containerd', ['--config', config]);
  }

  async #startDaemon() {
    this.#daemon = await this.#spawn('dockerd', [
      '--host', this.host, '--data-root', this.root, '--exec-root', join(this.folder, 'exec'), '--pidfile', join(this.folder, 'pid'),
      '--containerd', join(this.folder, 'containerd.sock'), '--storage-driver', 'overlay2', '--shutdown-timeout', '1',
      '--bridge', this.#bridge, '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false',
    ]);
    const daemon = this.#daemon;
    const log = () => readFile(join(this.folder, 'log'), 'utf8');
    await until(
      async () => {
        if (daemon.over) throw new Error(`the second engine ended: ${daemon.over}\n${(await log()).slice(-2000)}`);
        return this.docker('info', '--format', '{{.ID}}').catch(() => '');
      },
      async () => `the second engine to answer\n${(await log()).slice(-2000)}`,
    );
  }

  async #spawn(program, flags) {
    const log = await open(join(this.folder, 'log'), 'a');
    const child = spawn(program, flags, { stdio: ['ignore', log.fd, log.fd] });
    child.whenOver = once(child, 'exit').then(
      ([code, signal]) => (child.over = String(code ?? signal)),
      (error) => (child.over = error.message),
    );
    await log.close();
    return child;
  }

  async #end(signal) {
    const daemon = this.#daemon;
    this.#daemon = null;
    await ended(daemon, signal);
  }

  // A daemon that shall have no bridge would remove the one of the machine's engine. The range of addresses is kept for tests of
  // network devices, which none of the machine's uses.
  async #addBridge() {
    const octets = [Math.floor(Math.random() * 256), Math.floor(Math.random() * 16) * 16];
    this.#bridge = `mltest${octets.map((octet) => octet.toString(16)).join('x')}`;
    await run('ip', ['link', 'add', this.#bridge, 'type', 'bridge']);
    await run('ip', ['address', 'add', `198.18.${octets[0]}.${octets[1] + 1}/28`, 'dev', this.#bridge]);
    await run('ip', ['link', 'set', this.#bridge, 'up']);
  }

  async #mounts() {
    const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
    return mounts.filter((path) => path.startsWith(`${this.folder}/`));
  }
}

async function ended(child, signal) {
  if (!child) return;
  child.kill(signal);
  await child.whenOver;
}
