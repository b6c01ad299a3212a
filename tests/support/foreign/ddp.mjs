// ddp (npm's old node-ddp-client), which negotiates the protocol's version.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const DDPClient = createRequire(import.meta.url)('ddp');

export async function open({ url, follow, options, connected, put, drop }) {
  const client = new DDPClient({
    url,
    autoReconnect: options.reconnect !== false,
    autoReconnectTimer: 100,
    maintainCollections: true,
    ...(options.version ? { ddpVersion: options.version } : {}),
  });
  const subscriptions = new Map();
  const answered = (start) =>
    new Promise((resolve, reject) => start((error, result) => (error ? reject(error) : resolve(result))));
  await new Promise((resolve, reject) => {
    client.connect((error, again) => {
      if (error && !again) return reject(new Error(error));
      if (error) return undefined;
      // The library leaves it to the application to subscribe again.
      if (again) for (const [key, { name, params }] of subscriptions) subscriptions.set(key, { name, params, id: client.subscribe(name, params) });
      connected({ version: client.ddpVersion });
      return resolve();
    });
  });
  for (const collection of follow) {
    const now = (id) => put(collection, client.collections[collection][id]);
    client.observe(collection, now, now, (id) => drop(collection, id));
  }
  const call = (name, ...params) => answered((done) => client.call(name, params, done));
  let keys = 0;
  return {
    call,
    subscribe: async (name, ...params) => {
      let id;
      await answered((done) => (id = client.subscribe(name, params, done)));
      subscriptions.set((keys += 1), { id, name, params });
      return keys;
    },
    unsubscribe: async (key) => {
      client.unsubscribe(subscriptions.get(key).id);
      subscriptions.delete(key);
    },
    login: (username, password) => {
      const digest = createHash('sha256').update(password).digest('hex');
      return call('login', { user: { username }, password: { digest, algorithm: 'sha-256' } });
    },
    resume: (token) => call('login', { resume: token }),
  };
}
