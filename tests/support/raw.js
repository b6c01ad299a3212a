// A WebSocket to a DDP server that sends whatever it is told to, and keeps what comes back.
import WebSocket from 'ws';
import { within } from './until.js';

export class Raw {
  /** Opens the socket, and says nothing. */
  static async open(url, options = {}) {
    const raw = new Raw(new WebSocket(url, options));
    await within(raw.opened, `a WebSocket to ${url}`);
    return raw;
  }

  /** Opens the socket and says `connect`. */
  static async connect(url, options) {
    const raw = await Raw.open(url, options);
    raw.send({ msg: 'connect', version: '1', support: ['1', 'pre2', 'pre1'] });
    raw.session = (await raw.next()).session;
    return raw;
  }

  #received = [];
  #waiting = [];
  #markers = 0;
  #closed = null;

  constructor(socket) {
    this.socket = socket;
    this.opened = new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    /** The code and the reason that the connection was closed with. */
    this.closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })));
    socket.on('error', () => {});
    socket.on('message', (data) => this.#receive(JSON.parse(data.toString())));
    this.closed.then(({ code }) => {
      this.#closed = new Error(`closed with ${code}`);
      for (const { reject } of this.#waiting) reject(this.#closed);
    });
  }

  /** Sends text and buffers as they are, everything else as JSON. */
  send(...messages) {
    for (const message of messages) {
      this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
    }
  }

  /** The next message that was not looked at yet. */
  next() {
    if (this.#received.length > 0) return Promise.resolve(this.#received.shift());
    if (this.#closed) return Promise.reject(this.#closed);
    return within(new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })), 'a message');
  }

  /** Everything up to the first message that the condition holds for, with that. */
  async upTo(condition) {
    const messages = [];
    do messages.push(await this.next());
    while (!condition(messages.at(-1)));
    return messages;
  }

  /** Everything that comes in answer to these messages: up to the answer of a call that is sent behind them. */
  async answers(...messages) {
    const id = `marker ${(this.#markers += 1)}`;
    this.send(...messages, { msg: 'method', id, method: 'echoOne', params: [id] });
    const answers = await this.upTo(({ msg, id: answered }) => msg === 'result' && answered === id);
    return answers.filter((message) => message.id !== id && message.methods?.[0] !== id);
  }

  #receive(message) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(message);
    else this.#received.push(message);
  }
}
