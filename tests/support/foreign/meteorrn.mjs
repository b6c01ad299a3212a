// @meteorrn/core, as foreign.js has bundled it.
import { createRequire } from 'node:module';
import WebSocket from 'ws';

export async function open({ url, follow, options, connected, put, drop }) {
  globalThis.WebSocket = WebSocket;
  const { default: Meteor, Accounts, Mongo } = createRequire(import.meta.url)(options.bundle);
  const kept = new Map();
  const AsyncStorage = {
    getItem: async (key) => kept.get(key) ?? null,
    setItem: async (key, value) => void kept.set(key, value),
    removeItem: async (key) => void kept.delete(key),
  };
  Meteor.connect(url, { AsyncStorage, NetInfo: null, SocketConstructor: WebSocket, reconnectInterval: 100 });
  Meteor.ddp.on('error', () => {});
  Meteor.ddp.on('connected', () => connected());
  await new Promise((resolve) => Meteor.ddp.once('connected', resolve));
  for (const name of follow) {
    const collection = new Mongo.Collection(name);
    const now = ({ _id }) => put(name, collection.findOne({ _id }));
    collection.find({}).observe({ added: now, changed: now, removed: (_, { _id }) => drop(name, _id) });
  }
  const answered = (start) =>
    new Promise((resolve, reject) => start((error, result) => (error ? reject(error) : resolve(result))));
  // The library keeps to itself who has logged in.
  let identity;
  Meteor.ddp.on('result', ({ result }) => (identity = result?.token ? { id: result.id, token: result.token } : identity));
  const handles = new Map();
  return {
    call: (name, ...params) => answered((done) => Meteor.call(name, ...params, done)),
    subscribe: async (name, ...params) => {
      const handle = await new Promise((resolve, reject) => {
        const subscribed = Meteor.subscribe(name, ...params, () => resolve(subscribed));
        // The library only logs what the server refuses.
        Meteor.ddp.on('nosub', ({ id, error }) => {
          if (error && Meteor.getData().subscriptions[subscribed.subscriptionId]?.subIdRemember === id) reject(error);
        });
      });
      handles.set(handle.subscriptionId, handle);
      return handle.subscriptionId;
    },
    unsubscribe: async (id) => handles.get(id).stop(),
    login: async (username, password) => {
      await answered((done) => Meteor.loginWithPassword(username, password, done));
      return identity;
    },
    resume: async (token) => {
      const loggedIn = new Promise((resolve, reject) => {
        Accounts.onLogin(resolve);
        Accounts.onLoginFailure(() => reject(new Error('the token is refused')));
      });
      Meteor._loginWithToken(token);
      await loggedIn;
      return identity;
    },
  };
}
