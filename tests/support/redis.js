// A Redis of its own, from Debian's redis-server, that keeps nothing on disk.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { freePort } from './ports.js';
import { until } from './until.js';

const run = promisify(execFile);

export class Redis {
  static async start() {
    const redis = new this();
    redis.port = await freePort();
    await redis.restart();
    return redis;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, empty. */
  async restart() {
    this.process = spawn('redis-server', ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore', cwd: '/tmp' });
    this.exited = once(this.process, 'exit');
    await until(() => this.ask('PING').then((said) => said[0] === 'PONG', () => false), 'redis-server to answer');
  }

  /** The lines of its answer. */
  async ask(...words) {
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...words]);
    return stdout.trimEnd().split('\n');
  }

  /** Hipache's list of a hostname. */
  list(hostname) {
    return this.ask('LRANGE', `frontend:${hostname}`, '0', '-1');
  }

  signal(name) {
    this.process.kill(name);
  }

  async crash() {
    this.process.kill('SIGKILL');
    await this.exited;
  }

  async close() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.crash();
  }
}
