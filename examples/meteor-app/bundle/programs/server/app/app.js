'use strict';
// The app itself: a page, a live collection, a few methods, and what tests want to see of the inside.
const fs = require('fs');
const os = require('os');
const meteor = require('../packages/meteor');
const ddp = require('../packages/ddp-server');
const web = require('../packages/webapp');

const container = os.hostname();
const json = (response, value) => web.answer(response, 200, 'application/json', JSON.stringify(value));

// — Live data —

const tasks = new ddp.Collection('tasks');
tasks.set('first', { text: 'Launch an app', n: 0 });
tasks.set('second', { text: 'Watch it run', n: 0 });
ddp.publish('tasks', tasks);

// One document that changes every second, for whoever wants to see that a connection lives.
const clock = new ddp.Collection('clock');
clock.set('now', { container, ticks: 0 });
setInterval(() => clock.set('now', { ticks: clock.documents.get('now').ticks + 1 }), 1000);
ddp.publish('clock', clock);

function number(value) {
  if (typeof value !== 'number') throw new ddp.DdpError(400, 'Match failed');
  return value;
}

ddp.methods({
  whoami() { return { container, connectionId: this.id, headers: this.request.headers }; },
  echo(...values) { return values; },
  add(a, b) { return number(a) + number(b); },
  fail() { throw new ddp.DdpError('my-code', 'My reason', { some: 'details' }); },
  wait(ms) { return new Promise((resolve) => setTimeout(() => resolve(ms), number(ms))); },
  insertTask(text) { return tasks.insert({ text: String(text), n: 0 }); },
  touchTask(id) {
    const task = tasks.documents.get(id);
    if (!task) throw new ddp.DdpError(404, 'No such task');
    tasks.set(id, { n: task.n + 1 });
    return task.n + 1;
  },
  removeTask(id) { return tasks.remove(id); },
});

// — Pages —

web.route('/', (request, response) => web.answer(response, 200, 'text/html; charset=utf-8', `<!DOCTYPE html>
<html lang="en">
<title>meteor-app in ${container}</title>
<h1>Hello from container ${container}</h1>
<p>Node ${process.version}, ROOT_URL ${escape(process.env.ROOT_URL)}.
<p>DDP is at <code>/websocket</code>; subscribe to <code>tasks</code> or <code>clock</code>.
</html>
`));

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

// The names of the environment variables; their values are nobody's business.
web.route('/env', (request, response) => json(response, Object.keys(process.env).sort()));
web.route('/headers', (request, response) => json(response, request.headers));
web.route('/settings', (request, response) => json(response, meteor.settings.public || {}));

// What the image is like: which Node, whether the install script ran, who runs it, and what process 1 is.
web.route('/inside', (request, response) => json(response, {
  container,
  node: process.version,
  rebuilt: fs.existsSync('npm-rebuild.done'),
  carried: meteor.carried,
  sourceMapSupport: require('source-map-support/package.json').version,
  uid: process.getuid(),
  processOne: fs.readFileSync('/proc/1/comm', 'utf8').trim(),
  noNewPrivileges: /^NoNewPrivs:\s*1$/m.test(fs.readFileSync('/proc/self/status', 'utf8')),
  port: process.env.PORT,
}));

// Answers after ?ms=… (a second when not said), so that a request can be in flight when something else happens.
web.route('/slow', (request, response) => {
  const ms = Number(new URL(request.url, 'http://app').searchParams.get('ms') || 1000);
  setTimeout(() => web.answer(response, 200, 'text/plain', `after ${ms} ms\n`), ms);
});

// Gives back what is sent, chunk by chunk as it arrives.
web.route('/upload', (request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
  request.pipe(response);
});

web.route('/crash', (request, response) => {
  web.answer(response, 200, 'text/plain', 'crashing\n');
  response.on('finish', () => {
    console.error('crashing, as /crash asks');
    process.exit(1);
  });
});

web.listen();
