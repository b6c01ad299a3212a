// Other people's DDP clients, and this repository's, behind one small interface.
import { fork, spawn } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { until, within } from './until.js';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Their own names, by the short names that tests use. */
export const libraries = { simpleddp: 'simpleddp', ddp: 'ddp', meteorrn: '@meteorrn/core', rust: 'ddp-client' };

/** More of them, for what speaks all of DDP; the SockJS ones take the address of the SockJS endpoint. */
export const moreLibraries = { ...libraries, asteroid: 'asteroid', python: 'python-meteor' };

export class Foreign {
  /**
   * Connects `library` to `ws://…/websocket` and follows these collections. `options`: `transport`, the one that simpleddp
   * uses on sockjs-client; `version`, the one that ddp begins with; `reconnect: false` for ddp.
   */
  static async connect(library, url, follow, options = {}) {
    const folder = library === 'meteorrn' ? await bundleForNode() : null;
    const settings = { follow, reconnect: false, ...options, ...(folder ? { bundle: join(folder, 'core.cjs') } : {}) };
    const start = { python: startPython, rust: startRust }[library] ?? startNode;
    const client = new Foreign(start(library, url, { ...process.env, FOREIGN_CLIENT: JSON.stringify(settings) }), folder);
    try {
      await within(client.opened, `${library} connecting to ${url}`);
    } catch (error) {
      await client.close();
      throw error;
    }
    return client;
  }

  /** Every change, oldest first: `{collection, document}` or `{collection, removed}`. */
  changes = [];
  /** What the client said of each connection that it made: `{version}` or nothing. */
  connections = [];
  #nextId = 1;
  #waiting = new Map();

  constructor(channel, folder) {
    this.channel = channel;
    this.folder = folder;
    // A program that is not there never exits; it has never started.
    this.ended = new Promise((resolve) => channel.child.once('exit', resolve).once('error', resolve));
    this.opened = new Promise((resolve, reject) => {
      channel.receive((message) => (message.opened ? resolve() : this.#receive(message)));
      channel.child.once('error', reject);
      channel.child.once('exit', (code) => {
        reject(new Error(`the client ended with ${code}`));
        for (const waiting of this.#waiting.values()) waiting.reject(new Error(`the client ended with ${code}`));
      });
    });
    this.opened.catch(() => {});
  }

  call(name, ...params) {
    return this.#ask('call', name, ...params);
  }

  /** Resolves when the subscription is ready, with what `unsubscribe` takes. */
  subscribe(name, ...params) {
    return this.#ask('subscribe', name, ...params);
  }

  unsubscribe(subscription) {
    return this.#ask('unsubscribe', subscription);
  }

  /** Logs in as the library does it: with the password itself or its digest. Resolves with `{id, token}`. */
  login(username, password) {
    return this.#ask('login', username, password);
  }

  /** Logs in with a token. */
  resume(token) {
    return this.#ask('resume', token);
  }

  /** Resolves when the client has connected this often. */
  connected(times) {
    return until(() => this.connections.length >= times, () => `${times} connections, there were ${this.connections.length}`);
  }

  /** A collection as the client has it now: a Map from id to document. */
  collection(name) {
    const documents = new Map();
    for (const change of this.changes) {
      if (change.collection !== name) continue;
      if (change.document) documents.set(change.document._id, change.document);
      else documents.delete(change.removed);
    }
    return documents;
  }

  /** The successive values of one document's field, without repetitions. */
  history(collection, id, field) {
    const values = this.changes.filter((change) => change.collection === collection && change.document?._id === id);
    return values.map(({ document }) => document[field]).filter((value, index, all) => value !== all[index - 1]);
  }

  async close() {
    this.channel.child.kill();
    await this.ended;
    if (this.folder) await rm(this.folder, { recursive: true });
  }

  #ask(op, ...params) {
    const id = this.#nextId++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.channel.send({ id, op, params });
    return within(answer, `${op} ${JSON.stringify(params).slice(0, 100)}`, 300_000);
  }

  #receive(message) {
    if (message.collection) return void this.changes.push(message);
    if (message.connected) return void this.connections.push(message.connected);
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    return message.error ? waiting.reject(message.error) : waiting.resolve(message.result);
  }
}

function startNode(library, url, env) {
  const child = fork(join(here, 'foreign/process.mjs'), [library, url], { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return { child, send: (message) => child.send(message), receive: (listener) => child.on('message', listener) };
}

// TEST_PYTHON names a Python that has what tests/python/requirements.txt lists.
function startPython(_, url, env) {
  const python = process.env.TEST_PYTHON ?? join(here, '../python/venv/bin/python');
  return startLines(python, [join(here, '../python/client.py'), url], env);
}

// ddp-client's example for scripts; CLIENT_BINARY names another one.
function startRust(_, url, env) {
  const binary = process.env.CLIENT_BINARY ?? join(here, '../../target/release/examples/json_lines');
  const { child, send, receive } = startLines(binary, [url, ...JSON.parse(env.FOREIGN_CLIENT).follow], env);
  const translate = (listener) => (message) => {
    if (!message.status) return listener(message);
    if (message.status !== 'connected') return undefined;
    listener({ connected: {} });
    return listener({ opened: true });
  };
  return { child, send, receive: (listener) => receive(translate(listener)) };
}

function startLines(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  return {
    child,
    send: (message) => child.stdin.write(`${JSON.stringify(message)}\n`),
    receive: (listener) => lines.on('line', (line) => listener(JSON.parse(line))),
  };
}

// @meteorrn/core is written for React Native's bundler; esbuild makes a file of it that Node can load.
async function bundleForNode() {
  const folder = await mkdtemp(join(tmpdir(), 'meteorrn-'));
  await symlink(join(here, '../node_modules'), join(folder, 'node_modules'));
  const empty = {
    name: 'without-react-native',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^(react|react-native(\/.*)?|@react-native-.*)$/ }, ({ path }) => ({ path, namespace: 'empty' }));
      onLoad({ filter: /.*/, namespace: 'empty' }, ({ path }) =>
        path === 'react'
          ? { contents: 'module.exports = {forwardRef: (x) => x, memo: (x) => x}' }
          : path === 'react-native'
            ? { contents: 'module.exports = {InteractionManager: {runAfterInteractions: (f) => setTimeout(f, 0)}}' }
            : { contents: 'module.exports = {unstable_batchedUpdates: (f) => f()}' });
    },
  };
  await build({
    stdin: { contents: "export * from '@meteorrn/core'; export { default } from '@meteorrn/core';", resolveDir: join(here, '..') },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile: join(folder, 'core.cjs'),
    plugins: [empty],
    logLevel: 'error',
  });
  return folder;
}
