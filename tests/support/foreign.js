// Other people's DDP clients behind one small interface.
import { fork } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { within } from './until.js';

const here = fileURLToPath(new URL('.', import.meta.url));

/** npm's names, by the short names that tests use. */
export const libraries = { simpleddp: 'simpleddp', ddp: 'ddp', meteorrn: '@meteorrn/core' };

export class Foreign {
  /** Connects `library` to `ws://…/websocket` and follows these collections. */
  static async connect(library, url, follow) {
    const folder = library === 'meteorrn' ? await bundleForNode() : null;
    const child = fork(join(here, 'foreign/process.mjs'), [library, url, ...(folder ? [join(folder, 'core.cjs')] : [])], {
      env: { ...process.env, FOLLOW: JSON.stringify(follow) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const client = new Foreign(child, folder);
    await within(client.connected, `${library} connecting to ${url}`);
    return client;
  }

  /** Every change, oldest first: `{collection, document}` or `{collection, removed}`. */
  changes = [];
  #nextId = 1;
  #waiting = new Map();

  constructor(child, folder) {
    this.child = child;
    this.folder = folder;
    this.ended = new Promise((resolve) => child.once('exit', resolve));
    this.connected = new Promise((resolve, reject) => {
      child.on('message', (message) => (message.connected ? resolve() : this.#receive(message)));
      child.once('exit', (code) => {
        reject(new Error(`the client ended with ${code}`));
        for (const waiting of this.#waiting.values()) waiting.reject(new Error(`the client ended with ${code}`));
      });
    });
    this.connected.catch(() => {});
  }

  call(name, ...params) {
    return this.#ask('call', name, params);
  }

  subscribe(name, ...params) {
    return this.#ask('subscribe', name, params);
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
    this.child.kill();
    await this.ended;
    if (this.folder) await rm(this.folder, { recursive: true });
  }

  #ask(op, name, params) {
    const id = this.#nextId++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.child.send({ id, op, name, params });
    return within(answer, `${op} ${name}`, 300_000);
  }

  #receive(message) {
    if (message.collection) return void this.changes.push(message);
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    return message.error ? waiting.reject(message.error) : waiting.resolve(message.result);
  }
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
