// What runs in the browser: sockjs-client and a few lines of DDP. A lost connection is made again, with the same subscriptions.
import SockJS from 'sockjs-client';

class Page {
  transport = null;
  connections = 0;
  documents = {};
  #calls = new Map();
  #subscriptions = new Map();
  #nextId = 1;

  open(url, transports) {
    this.socket = new SockJS(url, null, transports ? { transports } : {});
    this.socket.onopen = () => this.#send({ msg: 'connect', version: '1', support: ['1'] });
    this.socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.socket.onclose = () => setTimeout(() => this.open(url, transports), 100);
  }

  call(method, ...params) {
    const id = String(this.#nextId++);
    this.#send({ msg: 'method', id, method, params });
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
  }

  subscribe(name, ...params) {
    const id = String(this.#nextId++);
    this.#send({ msg: 'sub', id, name, params });
    return new Promise((ready) => this.#subscriptions.set(id, { name, params, ready }));
  }

  #send(message) {
    this.socket.send(JSON.stringify(message));
  }

  #receive(message) {
    const { msg, id, collection } = message;
    if (msg === 'connected') this.#connected();
    if (msg === 'ping') this.#send({ msg: 'pong', id });
    if (msg === 'ready') message.subs.forEach((sub) => this.#subscriptions.get(sub).ready());
    if (msg === 'result') this.#calls.get(id)[message.error ? 'reject' : 'resolve'](message.error ?? message.result);
    if (!collection) return;
    const documents = (this.documents[collection] ??= {});
    if (msg === 'removed') delete documents[id];
    else documents[id] = { ...documents[id], ...message.fields };
  }

  #connected() {
    this.documents = {};
    this.transport = this.socket.transport;
    for (const [id, { name, params }] of this.#subscriptions) this.#send({ msg: 'sub', id, name, params });
    this.connections += 1;
  }
}

window.ddp = new Page();
