// One foreign DDP client in a process of its own (some of them change globals), driven by messages from foreign.js:
// {id, op: 'call' | 'subscribe', name, params} is answered by {id, result} or {id, error}; every change of a document is told
// as {collection, document} or {collection, removed}.
import { createRequire } from 'node:module';
import WebSocket from 'ws';

const require = createRequire(import.meta.url);
const [, , library, url, bundle] = process.argv;
const tell = (message) => process.send(JSON.parse(JSON.stringify(message)));
const told = (collection) => (document) => tell({ collection, document });

const plain = (error) =>
  error instanceof Error ? { error: 'client', reason: error.message } : { error: error.error, reason: error.reason, details: error.details };

const clients = {
  async simpleddp(follow) {
    const SimpleDDP = require('simpleddp');
    const server = new SimpleDDP({ endpoint: url, SocketConstructor: WebSocket, reconnectInterval: 1000 });
    const normal = ({ id, ...fields }) => ({ _id: id, ...fields });
    for (const collection of follow) {
      server.collection(collection).onChange(({ added, changed, removed }) => {
        if (removed) return tell({ collection, removed: removed.id });
        return told(collection)(normal(added || changed.next));
      });
    }
    await server.connect();
    return {
      call: (name, params) => server.call(name, ...params),
      subscribe: (name, params) => server.subscribe(name, ...params).ready(),
    };
  },

  async ddp(follow) {
    const DDPClient = require('ddp');
    const client = new DDPClient({ url, autoReconnect: false, maintainCollections: true });
    await new Promise((resolve, reject) => client.connect((error) => (error ? reject(error) : resolve())));
    for (const collection of follow) {
      const now = (id) => told(collection)(client.collections[collection][id]);
      client.observe(collection, now, now, (id) => tell({ collection, removed: id }));
    }
    const answered = (start) =>
      new Promise((resolve, reject) => start((error, result) => (error ? reject(error) : resolve(result))));
    return {
      call: (name, params) => answered((done) => client.call(name, params, done)),
      subscribe: (name, params) => answered((done) => client.subscribe(name, params, done)),
    };
  },

  async meteorrn(follow) {
    globalThis.WebSocket = WebSocket;
    const { default: Meteor, Mongo } = require(bundle);
    const AsyncStorage = { getItem: async () => null, setItem: async () => {}, removeItem: async () => {} };
    Meteor.connect(url, { AsyncStorage, NetInfo: null, SocketConstructor: WebSocket });
    await new Promise((resolve) => Meteor.ddp.once('connected', resolve));
    for (const name of follow) {
      const collection = new Mongo.Collection(name);
      const now = ({ _id }) => told(name)(collection.findOne({ _id }));
      collection.find({}).observe({ added: now, changed: now, removed: (_, { _id }) => tell({ collection: name, removed: _id }) });
    }
    return {
      call: (name, params) =>
        new Promise((resolve, reject) => Meteor.call(name, ...params, (error, result) => (error ? reject(error) : resolve(result)))),
      subscribe: (name, params) => new Promise((resolve) => Meteor.subscribe(name, ...params, resolve)),
    };
  },
};

const client = await clients[library](JSON.parse(process.env.FOLLOW));
process.on('message', async ({ id, op, name, params }) => {
  try {
    tell({ id, result: (await client[op](name, params)) ?? null });
  } catch (error) {
    tell({ id, error: plain(error) });
  }
});
tell({ connected: true });
