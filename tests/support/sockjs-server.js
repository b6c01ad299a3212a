// The test server of the crate `sockjs`, as a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './until.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = process.env.SOCKJS_TEST_SERVER ?? join(root, 'target/release/examples/test_server');

export class SockJsServer {
  /** Starts it on a port, or on a free one, and waits until it listens. `sockjsUrl` is what its iframe pages load. */
  static async start({ port = 0, sockjsUrl } = {}) {
    const flags = ['--port', String(port), ...(sockjsUrl ? ['--sockjs-url', sockjsUrl] : [])];
    const child = spawn(binary, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit').then(([code, signal]) => `${binary} ended: ${code ?? signal}`);
    const failed = exited.catch((error) => `${binary} did not start: ${error.message}`).then((why) => Promise.reject(new Error(why)));
    failed.catch(() => {});
    const [line] = await within(Promise.race([once(createInterface(child.stdout), 'line'), failed]), 'the SockJS test server to listen');
    return new SockJsServer(child, line.match(/http:\S+/)[0], exited);
  }

  #child;
  #exited;

  constructor(child, url, exited) {
    this.#child = child;
    this.#exited = exited;
    this.url = url;
    this.port = Number(new URL(url).port);
  }

  /** Kills it. */
  async close() {
    this.#child.kill('SIGKILL');
    await within(this.#exited, 'the SockJS test server to end');
  }
}
