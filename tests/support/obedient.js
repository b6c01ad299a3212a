// An app that is what its variables say, and becomes what it is told, for tests of readiness, replicas and deployments. It is told on a port
// of its own, which neither visitors nor probes see.
import assert from 'node:assert/strict';
import { dockerfile } from './archives.js';
import { docker } from './docker.js';
import { until } from './until.js';

const CONTROL_PORT = 9999;

// KIND: meteor (SockJS's JSON and DDP), http, silent (takes connections and says nothing), talking (says something that is no HTTP).
// STATE, and /turn?to=…: ready; starting (503 everywhere); failing (500 everywhere).
// LINES: how many numbered lines it writes first; EXIT: the code with which it ends then. ON_SIGTERM=ignore: it does.
// It has one script, named by a hash of its RELEASE as Meteor's are, and says as Meteor does that it has no other.
// Visitors: /hold answers after /release on the other port; all else tells who it is. There: /seen tells what it was asked for, /exit?code=… ends it.
const program = `
'use strict';
const { createHash } = require('crypto');
const http = require('http');
const net = require('net');
const { KIND = 'meteor', STATE = 'ready', LINES = '0', EXIT, ON_SIGTERM, RELEASE = '', PORT } = process.env;
for (let n = 1; n <= Number(LINES); n++) console.log('line ' + n);
if (EXIT) process.exit(Number(EXIT));

let state = STATE, holding = [];
const seen = [], sockets = new Set();
const self = () => JSON.stringify({ container: require('os').hostname(), release: RELEASE, rootUrl: process.env.ROOT_URL, grace: process.env.METEOR_SIGTERM_GRACE_PERIOD_SECONDS });

const script = '/' + createHash('sha1').update('release ' + RELEASE).digest('hex') + '.js?meteor_js_resource=true';
function serveScript(request, response) {
  if (request.url !== script) return response.writeHead(404, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-cache' }).end('404 Not Found');
  const headers = { 'Content-Type': 'application/javascript; charset=UTF-8', 'Cache-Control': 'public, max-age=31536000', Vary: 'User-Agent', ETag: '"' + RELEASE + '"' };
  response.writeHead(200, headers).end('// of release ' + RELEASE);
}

function visit(request, response) {
  seen.push({ path: request.url, agent: request.headers['user-agent'] || null });
  const status = { starting: 503, failing: 500 }[state];
  if (status) return response.writeHead(status).end('not now');
  if (request.url === '/hold') return void holding.push(() => response.end('released'));
  if (request.url === '/sockjs/info' && KIND !== 'meteor') return response.writeHead(404).end();
  if (request.url === '/sockjs/info') return response.end(JSON.stringify({ websocket: true, origins: ['*:*'], cookie_needed: false, entropy: 1 }));
  if (request.url.includes('meteor_js_resource')) return serveScript(request, response);
  response.end(self());
}

// Texts of less than 126 bytes, and ends.
const frame = (opcode, text) => Buffer.concat([Buffer.from([0x80 | opcode, Buffer.byteLength(text)]), Buffer.from(text)]);
const ddp = {
  connect: () => ({ msg: 'connected', session: 'session' }),
  ping: ({ id }) => ({ msg: 'pong', id }),
  method: ({ id }) => ({ msg: 'result', id, result: require('os').hostname() }),
};
function upgrade(request, socket) {
  seen.push({ path: request.url, agent: request.headers['user-agent'] || null });
  if (KIND !== 'meteor' || state !== 'ready') return void socket.end('HTTP/1.1 503 Service Unavailable\\r\\nConnection: close\\r\\n\\r\\n');
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
  sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => {}));
  let bytes = Buffer.alloc(0);
  socket.on('data', (more) => {
    for (bytes = Buffer.concat([bytes, more]); bytes.length >= 6 && bytes.length >= 6 + (bytes[1] & 127);) {
      const [opcode, length] = [bytes[0] & 15, bytes[1] & 127];
      const mask = bytes.subarray(2, 6), text = bytes.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]);
      bytes = bytes.subarray(6 + length);
      if (opcode === 8) return socket.end(frame(8, ''));
      const message = opcode === 1 ? JSON.parse(Buffer.from(text)) : {};
      const answer = ddp[message.msg] && ddp[message.msg](message);
      if (answer) socket.write(frame(1, JSON.stringify(answer)));
    }
  });
}

const server = KIND === 'silent' || KIND === 'talking'
  ? net.createServer((socket) => socket.on('error', () => {}).write(KIND === 'talking' ? '220 welcome\\r\\n' : ''))
  : http.createServer(visit).on('upgrade', upgrade);
server.listen(PORT, () => console.log('listening, ' + state));

const orders = {
  turn: (options) => console.log('turned ' + (state = options.get('to'))),
  release: () => holding.splice(0).forEach((release) => release()),
  holding: () => String(holding.length),
  seen: () => JSON.stringify(seen),
  exit: (options) => setTimeout(() => process.exit(Number(options.get('code'))), 50),
};
http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://app.test');
  const answer = orders[pathname.slice(1)](searchParams);
  response.setHeader('Connection', 'close');
  response.end(typeof answer === 'string' ? answer : 'done');
}).listen(${CONTROL_PORT}).unref();

process.on('SIGTERM', () => {
  console.log('SIGTERM');
  if (ON_SIGTERM === 'ignore') return;
  server.close(() => process.exit(0));
  if (server.closeIdleConnections) server.closeIdleConnections();
  for (const socket of sockets) socket.end(frame(8, ''));
});
`;

/** The archive of an image of it. `lines` are added to its Dockerfile. */
export const obedient = (...lines) =>
  dockerfile(['FROM node:22-bookworm-slim', 'COPY obedient.js /', ...lines, 'CMD ["node", "/obedient.js"]', ''].join('\n'), { 'obedient.js': program });

/** Tells the app in a container something; gives what it answers. */
export async function tell(containerId, order) {
  const address = await docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', containerId);
  const refused = (error) => (error.cause?.code === 'ECONNREFUSED' ? null : Promise.reject(error));
  const response = await until(() => fetch(`http://${address}:${CONTROL_PORT}/${order}`).catch(refused), 'the app to listen');
  return response.text();
}

/** What the app in a container was asked for: `[{path, agent}]`. */
export const seen = async (containerId) => JSON.parse(await tell(containerId, 'seen'));

/** How often the launcher has asked the app in a container whether it answers. */
const probes = async (containerId) => (await seen(containerId)).filter(({ agent }) => agent === 'meteor-launcher-probe').length;

/** Resolves when the app in a container has been asked twice more whether it answers. Until then nobody must have asked it to end. */
export async function goesOn(containerId) {
  const before = await probes(containerId);
  await until(async () => (await probes(containerId)) > before + 1, 'more probes');
  assert.doesNotMatch(await docker('logs', containerId), /SIGTERM/);
}
