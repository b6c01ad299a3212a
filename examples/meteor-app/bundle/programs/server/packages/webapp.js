'use strict';
// The HTTP side: routes that the app adds, /sockjs/info, WebSocket upgrades for DDP, and an orderly end.
const crypto = require('crypto');
const http = require('http');
const { WebSocketServer } = require('ws');
const ddp = require('./ddp-server');

const routes = new Map();
const sockets = new WebSocketServer({ noServer: true });
const rawDdp = new Set(['/websocket', '/websocket/', '/sockjs/websocket']);

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://app');
  const route = routes.get(pathname);
  if (route) return route(request, response);
  if (rawDdp.has(pathname)) return answer(response, 400, 'text/plain', 'Not a valid websocket request');
  return answer(response, 404, 'text/plain', 'Not found\n');
});

server.on('upgrade', (request, socket, head) => {
  const { pathname } = new URL(request.url, 'http://app');
  if (!rawDdp.has(pathname)) return void socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
  return sockets.handleUpgrade(request, socket, head, (webSocket) => ddp.accept(webSocket, request));
});

routes.set('/sockjs/info', (request, response) => {
  const { origin } = request.headers;
  response.setHeader('Access-Control-Allow-Origin', origin || '*');
  if (origin) response.setHeader('Access-Control-Allow-Credentials', 'true');
  response.setHeader('Vary', 'Origin');
  response.setHeader('Cache-Control', 'no-store, no-cache, no-transform, must-revalidate, max-age=0');
  const entropy = crypto.randomBytes(4).readUInt32BE(0);
  answer(response, 200, 'application/json; charset=UTF-8',
    JSON.stringify({ websocket: true, origins: ['*:*'], cookie_needed: false, entropy }));
});

function answer(response, status, type, body) {
  response.writeHead(status, { 'Content-Type': type });
  response.end(body);
}

// SIGTERM: no new connections, the open WebSockets get their close frame, what is being answered is finished.
function end() {
  console.log('SIGTERM: ending');
  server.close(() => process.exit(0));
  for (const webSocket of sockets.clients) webSocket.close(1001);
  if (server.closeIdleConnections) server.closeIdleConnections();
}
process.on('SIGTERM', process.env.STAND_IN_IGNORES_SIGTERM ? () => console.log('SIGTERM: ignored') : end);

// Called when everything is loaded.
function listen() {
  const port = Number(process.env.PORT || 3000);
  if (process.env.STAND_IN_NEVER_LISTENS) return void setInterval(() => {}, 60000);
  return server.listen(port, process.env.BIND_IP || '0.0.0.0', () => console.log(`LISTENING on ${port}`));
}

module.exports = { answer, listen, route: (path, handler) => routes.set(path, handler) };
