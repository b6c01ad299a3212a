// asteroid, which has no collections: the documents are put together here from its ddp events.
import { createRequire } from 'node:module';
import WebSocket from 'ws';

const { createClass } = createRequire(import.meta.url)('asteroid');

export async function open({ url, follow, connected, put, drop }) {
  const Asteroid = createClass();
  const asteroid = new Asteroid({ endpoint: url, SocketConstructor: WebSocket, reconnectInterval: 100 });
  const documents = new Map();
  const show = ({ collection, id }, document) => {
    documents.set(`${collection} ${id}`, document);
    if (follow.includes(collection)) put(collection, document);
  };
  asteroid.ddp.on('added', (message) => show(message, { _id: message.id, ...message.fields }));
  asteroid.ddp.on('changed', (message) => {
    const document = { ...documents.get(`${message.collection} ${message.id}`), ...message.fields };
    for (const name of message.cleared ?? []) delete document[name];
    show(message, document);
  });
  asteroid.ddp.on('removed', ({ collection, id }) => {
    documents.delete(`${collection} ${id}`);
    if (follow.includes(collection)) drop(collection, id);
  });
  asteroid.on('connected', () => connected());
  await new Promise((resolve) => asteroid.once('connected', resolve));

  let token;
  asteroid.ddp.on('result', ({ result }) => (token = result?.token ?? token));
  const identity = () => ({ id: asteroid.userId, token });
  return {
    call: (name, ...params) => asteroid.call(name, ...params),
    subscribe: (name, ...params) =>
      new Promise((resolve, reject) => {
        const subscription = asteroid.subscribe(name, ...params);
        subscription.once('ready', () => resolve(subscription.id));
        subscription.once('error', reject);
      }),
    unsubscribe: async (id) => asteroid.unsubscribe(id),
    login: (username, password) => asteroid.loginWithPassword({ username, password }).then(identity),
    resume: (resume) => asteroid.login({ resume }).then(identity),
  };
}
