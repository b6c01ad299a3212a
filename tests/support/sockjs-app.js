// An app with SockJS as others wrote it (npm `sockjs`). Each session is told by which container it was opened; GET /opened on a port of its own,
// which visitors do not see, tells all sessions that it has opened.
import { build } from 'esbuild';
import { dockerfile } from './archives.js';

const program = `
const http = require('http');
const container = require('os').hostname();
const opened = [];
const sockets = require('sockjs').createServer({ prefix: '/sockjs', log: () => {} });
sockets.on('connection', (connection) => {
  const session = connection.pathname.split('/').slice(2, 4).join('/');
  opened.push(session);
  connection.write(JSON.stringify({ container, session }));
  connection.on('data', (text) => connection.write(text));
});
const server = http.createServer((request, response) => response.end(container));
sockets.installHandlers(server);
server.listen(process.env.PORT);
http.createServer((request, response) => response.setHeader('Connection', 'close').end(JSON.stringify(opened))).listen(9999).unref();
process.on('SIGTERM', () => process.exit(0));
`;

/** The archive of an image of it. */
export async function sockjsApp() {
  const stdin = { contents: program, resolveDir: import.meta.dirname ?? new URL('.', import.meta.url).pathname };
  const { outputFiles } = await build({ stdin, bundle: true, platform: 'node', write: false, logLevel: 'error' });
  const lines = ['FROM node:22-bookworm-slim', 'COPY app.js /', 'CMD ["node", "/app.js"]', ''];
  return dockerfile(lines.join('\n'), { 'app.js': outputFiles[0].text });
}
