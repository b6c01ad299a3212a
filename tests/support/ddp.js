// A plain DDP client that hides nothing: every message is kept as it came, in order.
import WebSocket from 'ws';
import { until, within } from './until.js';

/** What a method answered or a subscription was refused with; `wire` is the error object as it was sent. */
export class DdpError extends Error {
  constructor(wire) {
    super(`${wire.error}: ${wire.reason ?? ''} ${wire.details ?? ''}`.trim());
    this.wire = wire;
    this.error = wire.error;
    this.reason = wire.reason;
    this.details = wire.details;
  }
}

const dates = (key, value) =>
  value !== null && typeof value === 'object' && Object.keys(value).join() === '$date' ? new Date(value.$date) : value;

export class Ddp {
  static async connect(url, options = {}) {
    const socket = new WebSocket(url, options);
    const ddp = new Ddp(socket);
    await within(ddp.opened, `DDP connection to ${url}`);
    return ddp;
  }

  /** Every message received, oldest first. */
  messages = [];
  closed = false;
  #nextId = 1;
  #waiting = new Map();
  #collections = new Map();

  constructor(socket) {
    this.socket = socket;
    this.opened = new Promise((resolve, reject) => {
      this.#waiting.set('connected', { resolve, reject });
      socket.on('error', reject);
    });
    this.whenClosed = new Promise((resolve) => {
      socket.on('close', (code) => {
        this.closed = true;
        for (const { reject } of this.#waiting.values()) reject(new Error(`the connection closed (${code})`));
        this.#waiting.clear();
        resolve(code);
      });
    });
    socket.on('open', () => this.send({ msg: 'connect', version: '1', support: ['1', 'pre2', 'pre1'] }));
    socket.on('message', (data) => this.#receive(JSON.parse(data.toString())));
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** Calls a method; resolves with its result, rejects with a DdpError. */
  call(method, ...params) {
    return this.callRaw({ method, params });
  }

  /** Calls with whatever members the message is given, also malformed ones. */
  callRaw(members) {
    const id = String(this.#nextId++);
    const answer = this.#wait(id);
    this.send({ msg: 'method', id, ...members });
    const said = JSON.stringify(members);
    return within(answer, `the result of ${said.length > 200 ? `${said.slice(0, 200)}…` : said}`, 300_000);
  }

  /** Resolves with the subscription's id when it is ready, rejects with a DdpError when it is refused. */
  async subscribe(name, ...params) {
    const id = String(this.#nextId++);
    const ready = this.#wait(id);
    this.send({ msg: 'sub', id, name, params });
    await within(ready, `the subscription ${name}`);
    return id;
  }

  /** The documents of a collection as they are now: a Map from id to document. */
  collection(name) {
    let documents = this.#collections.get(name);
    if (!documents) this.#collections.set(name, (documents = new Map()));
    return documents;
  }

  /** Resolves when the condition holds for this client's collections. */
  until(condition, what, deadlineMs) {
    return until(condition, what, deadlineMs);
  }

  /** The data messages about one document, oldest first. */
  history(collection, id) {
    return this.messages.filter((message) => message.collection === collection && message.id === id);
  }

  async close() {
    this.socket.close();
    await this.whenClosed;
  }

  #wait(key) {
    return new Promise((resolve, reject) => this.#waiting.set(key, { resolve, reject }));
  }

  #settle(key, outcome, value) {
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (waiting) waiting[outcome](value);
  }

  #receive(message) {
    this.messages.push(message);
    const fields = () => JSON.parse(JSON.stringify(message.fields ?? {}), dates);
    switch (message.msg) {
      case 'connected': return this.#settle('connected', 'resolve', this);
      case 'failed': return this.#settle('connected', 'reject', new Error(`version ${message.version} is wanted`));
      case 'ping': return this.send({ msg: 'pong', id: message.id });
      case 'result':
        if (message.error) return this.#settle(message.id, 'reject', new DdpError(message.error));
        return this.#settle(message.id, 'resolve', JSON.parse(JSON.stringify(message.result ?? null), dates));
      case 'ready': return message.subs.forEach((id) => this.#settle(id, 'resolve', id));
      case 'nosub':
        return message.error
          ? this.#settle(message.id, 'reject', new DdpError(message.error))
          : this.#settle(message.id, 'resolve', message.id);
      case 'added': return void this.collection(message.collection).set(message.id, { _id: message.id, ...fields() });
      case 'removed': return void this.collection(message.collection).delete(message.id);
      case 'changed': {
        const changed = { ...this.collection(message.collection).get(message.id), ...fields() };
        for (const name of message.cleared ?? []) delete changed[name];
        return void this.collection(message.collection).set(message.id, changed);
      }
      default: return undefined;
    }
  }
}
