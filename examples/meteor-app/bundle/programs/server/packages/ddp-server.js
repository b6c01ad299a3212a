'use strict';
// A DDP server, small enough to read: enough of the protocol for real clients to connect, call and subscribe.
// It has no accounts, no EJSON types, no merge box beyond counting, and no heartbeat of its own: it answers pings.
const crypto = require('crypto');

const versions = ['1', 'pre2', 'pre1'];
const methods = new Map();
const publications = new Map();

// A document set that open subscriptions follow.
class Collection {
  constructor(name) {
    this.name = name;
    this.documents = new Map();
    this.sessions = new Map(); // session → how many of its subscriptions show this collection
  }
  insert(fields) {
    const id = crypto.randomBytes(8).toString('hex');
    this.set(id, fields);
    return id;
  }
  set(id, fields) {
    const known = this.documents.get(id);
    this.documents.set(id, Object.assign({}, known, fields));
    this.tell({ msg: known ? 'changed' : 'added', collection: this.name, id, fields });
  }
  remove(id) {
    if (!this.documents.delete(id)) return 0;
    this.tell({ msg: 'removed', collection: this.name, id });
    return 1;
  }
  tell(message) {
    for (const session of this.sessions.keys()) session.send(message);
  }
  show(session) {
    const count = this.sessions.get(session) || 0;
    this.sessions.set(session, count + 1);
    if (count > 0) return;
    for (const [id, fields] of this.documents) session.send({ msg: 'added', collection: this.name, id, fields });
  }
  hide(session) {
    const count = this.sessions.get(session) || 0;
    if (count > 1) return void this.sessions.set(session, count - 1);
    this.sessions.delete(session);
    for (const id of this.documents.keys()) session.send({ msg: 'removed', collection: this.name, id });
  }
}

class DdpError extends Error {
  constructor(error, reason, details) {
    super(`${reason} [${error}]`);
    this.wire = { isClientSafe: true, error, reason, details, message: this.message, errorType: 'Meteor.Error' };
  }
}

class Session {
  constructor(socket, request) {
    this.socket = socket;
    this.request = request;
    this.id = null;
    this.subscriptions = new Map();
    socket.on('message', (data) => this.receive(data.toString()));
    socket.on('close', () => this.end());
    socket.on('error', () => socket.terminate());
  }

  send(message) {
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(JSON.stringify(message));
  }

  receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch (error) {
      return this.send({ msg: 'error', reason: 'Bad request' });
    }
    if (message === null || typeof message !== 'object') return this.send({ msg: 'error', reason: 'Bad request' });
    if (message.msg === 'connect') return this.connect(message);
    if (!this.id) return this.send({ msg: 'error', reason: 'Must connect first', offendingMessage: message });
    switch (message.msg) {
      case 'ping': return this.send(message.id === undefined ? { msg: 'pong' } : { msg: 'pong', id: message.id });
      case 'pong': return undefined;
      case 'method': return this.call(message);
      case 'sub': return this.subscribe(message);
      case 'unsub': return this.unsubscribe(message.id);
      default: return this.send({ msg: 'error', reason: 'Bad request', offendingMessage: message });
    }
  }

  connect(message) {
    if (this.id) return this.send({ msg: 'error', reason: 'Already connected', offendingMessage: message });
    const support = Array.isArray(message.support) ? message.support : [];
    const best = support.find((version) => versions.includes(version)) || versions[0];
    if (best !== message.version) {
      this.send({ msg: 'failed', version: best });
      return this.socket.close(1000);
    }
    this.id = crypto.randomBytes(9).toString('hex').slice(0, 17);
    return this.send({ msg: 'connected', session: this.id });
  }

  async call({ id, method, params = [] }) {
    const reply = { msg: 'result', id };
    try {
      const run = methods.get(method);
      if (!run) throw new DdpError(404, `Method '${method}' not found`);
      reply.result = await run.apply(this, params);
    } catch (error) {
      reply.error = (error instanceof DdpError ? error : new DdpError(500, 'Internal server error')).wire;
    }
    this.send({ msg: 'updated', methods: [id] });
    this.send(reply);
  }

  subscribe({ id, name, params = [] }) {
    const collection = publications.get(name);
    if (!collection) {
      return this.send({ msg: 'nosub', id, error: new DdpError(404, `Subscription '${name}' not found`).wire });
    }
    if (this.subscriptions.has(id)) return undefined;
    this.subscriptions.set(id, collection);
    collection.show(this);
    return this.send({ msg: 'ready', subs: [id] });
  }

  unsubscribe(id) {
    const collection = this.subscriptions.get(id);
    if (collection) {
      this.subscriptions.delete(id);
      collection.hide(this);
    }
    this.send({ msg: 'nosub', id });
  }

  end() {
    for (const collection of this.subscriptions.values()) collection.sessions.delete(this);
    this.subscriptions.clear();
  }
}

module.exports = {
  Collection,
  DdpError,
  accept: (socket, request) => new Session(socket, request),
  methods: (named) => Object.keys(named).forEach((name) => methods.set(name, named[name])),
  publish: (name, collection) => publications.set(name, collection),
};
