// The service that Meteor's conversations were recorded against: crates/ddp-server/examples/test_service.rs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { Ddp } from './ddp.js';
import { freePort } from './ports.js';
import { until } from './until.js';

const binary =
  process.env.TEST_SERVICE_BINARY ?? fileURLToPath(new URL('../../target/release/examples/test_service', import.meta.url));

export class Service {
  /** Starts it on a free port, with these environment variables (`ACCOUNTS`, `UNIVERSAL`, `HB` …). */
  static async start(env = {}) {
    const service = new Service(await freePort(), env);
    await service.start();
    return service;
  }

  #clients = [];

  constructor(port, env) {
    this.port = port;
    this.env = env;
    /** The DDP endpoint. */
    this.url = `ws://127.0.0.1:${port}/websocket`;
    /** The SockJS endpoint. */
    this.sockjs = `http://127.0.0.1:${port}/sockjs`;
  }

  /** Starts the process, and waits until it takes connections. */
  async start() {
    this.child = spawn(binary, ['--port', this.port], {
      env: { PATH: process.env.PATH, RUST_LOG: process.env.RUST_LOG ?? 'error', ...this.env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const failed = once(this.child, 'error').then(([error]) => Promise.reject(error));
    const ended = new Promise((_, reject) => {
      this.child.once('exit', (code, signal) => reject(new Error(`${binary} ended with ${code ?? signal}`)));
    });
    ended.catch(() => {});
    failed.catch(() => {});
    await Promise.race([until(() => reachable(this.port), `${binary} on port ${this.port}`), failed, ended]);
  }

  /** Ends the process: in good order with SIGINT, as a crash with SIGKILL. */
  async stop(signal = 'SIGINT') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    await exit;
  }

  /** Ends it and starts it again on the same port. */
  async restart(signal) {
    await this.stop(signal);
    await this.start();
  }

  /** A client that `close` closes. */
  async connect(options) {
    const ddp = await Ddp.connect(this.url, options);
    this.#clients.push(ddp);
    return ddp;
  }

  async close() {
    for (const client of this.#clients) client.socket.terminate();
    await this.stop();
  }
}

function reachable(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true));
    socket.once('connect', () => socket.destroy());
    socket.once('error', () => resolve(false));
  });
}
