// A terminal's WebSocket as a client has it.
import WebSocket from 'ws';
import { until, within } from './until.js';

export class Terminal {
  /** Opens what `execOpen` offers. */
  static async open(ddp, id, options) {
    const { url } = await ddp.call('execOpen', id, options);
    return Terminal.connect(url);
  }

  static async connect(url, options = {}) {
    const terminal = new Terminal(new WebSocket(url, options));
    await within(terminal.opened, `a terminal at ${url}`);
    return terminal;
  }

  /** What was shown, and the JSON of the texts. */
  shown = [];
  shownBytes = 0;
  texts = [];

  constructor(socket) {
    this.socket = socket;
    this.opened = new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })));
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => {
      if (!isBinary) return this.texts.push(JSON.parse(data.toString()));
      this.shownBytes += data.length;
      if (this.shownBytes < 1 << 20) this.shown.push(data);
    });
  }

  get text() {
    return Buffer.concat(this.shown).toString();
  }

  type(bytes) {
    this.socket.send(Buffer.from(bytes));
  }

  tell(json) {
    this.socket.send(typeof json === 'string' ? json : JSON.stringify(json));
  }

  /** Resolves when this was shown. */
  async sees(pattern) {
    await until(() => pattern.test(this.text), () => `${pattern} in ${JSON.stringify(this.text)}; closed: ${this.socket.readyState > 1}`);
  }

  /** Resolves with the last text and how the socket was closed. */
  async end() {
    const closed = await within(this.closed, 'the end of a terminal');
    return { ...closed, last: this.texts.at(-1) };
  }
}
