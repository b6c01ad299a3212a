// simpleddp with simpleddp-plugin-login, on a WebSocket or on sockjs-client with one of its transports.
import { createRequire } from 'node:module';
import WebSocket from 'ws';

const require = createRequire(import.meta.url);
const SimpleDDP = require('simpleddp');
const SockJS = require('sockjs-client');
const { simpleDDPLogin } = require('simpleddp-plugin-login');

// The library throws a refused subscription's error a second time, where nobody can catch it.
process.on('unhandledRejection', (error) => {
  if (error instanceof Error) throw error;
});

export async function open({ url, follow, options, connected, put, drop }) {
  const socket = options.transport ? overSockJs(options.transport) : WebSocket;
  const server = new SimpleDDP({ endpoint: url, SocketConstructor: socket, reconnectInterval: 100 }, [simpleDDPLogin]);
  const normal = ({ id, ...fields }) => ({ _id: id, ...fields });
  for (const collection of follow) {
    server.collection(collection).onChange(({ added, changed, removed }) =>
      removed ? drop(collection, removed.id) : put(collection, normal(added || changed.next)));
  }
  // Told when the library has sent its subscriptions again, too.
  server.on('connected', () => connected());
  await server.connect();
  return {
    call: (name, ...params) => server.call(name, ...params),
    subscribe: async (name, ...params) => {
      await server.subscribe(name, ...params).ready();
      return [name, params];
    },
    unsubscribe: async ([name, params]) => {
      await server.subs.find((sub) => sub.pubname === name && `${sub.args}` === `${params}`).stop();
    },
    login: (username, password) => server.login({ user: { username }, password }),
    resume: (token) => server.login({ resume: token }),
  };
}

/** A class that looks like a WebSocket: SockJS with one transport only. */
function overSockJs(transport) {
  return class {
    constructor(endpoint) {
      const socket = new SockJS(endpoint, null, { transports: [transport] });
      socket.addEventListener('open', () => {
        if (socket.transport !== transport) throw new Error(`${socket.transport} instead of ${transport}`);
      });
      return socket;
    }
  };
}
