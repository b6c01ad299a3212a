// An app that writes what it is told to, and uses what it is told to use, for tests of logs and figures.
import { dockerfile } from './archives.js';

// Routes: /say?stream=stdout&base64=… writes these bytes, /long?bytes=n a line of so many; /flood?lines=n&wait=ms writes n short numbered lines every so often;
// /quiet ends that; /use?cpu=ms&bytes=n works for so long and keeps so much memory; /exit?code=n ends it; /hold
// answers when /release is asked for.
const program = `
'use strict';
const fs = require('fs');
let flood, number = 0;
const kept = [], held = [];
const write = (fd, bytes) => {
  for (let done = 0; done < bytes.length;) {
    try { done += fs.writeSync(fd, bytes, done); } catch (error) { if (error.code !== 'EAGAIN') throw error; }
  }
};
const routes = {
  say: (options) => write(options.get('stream') === 'stderr' ? 2 : 1, Buffer.from(options.get('base64'), 'base64')),
  long: (options) => write(1, Buffer.from('x'.repeat(Number(options.get('bytes'))) + '\\n')),
  flood: (options) => {
    const burst = () => {
      const lines = [];
      for (let n = Number(options.get('lines')); n > 0; n--) lines.push('flood ' + number++ + ' of many lines, as long as lines are in general');
      write(1, Buffer.from(lines.join('\\n') + '\\n'));
      if (options.get('wait')) flood = setTimeout(burst, Number(options.get('wait')));
    };
    burst();
  },
  quiet: () => { clearTimeout(flood); return String(number); },
  use: (options) => {
    const end = Date.now() + Number(options.get('cpu') || 0);
    while (Date.now() < end);
    kept.push(Buffer.alloc(Number(options.get('bytes') || 0), 1));
  },
  hold: () => new Promise((resolve) => held.push(resolve)),
  release: () => held.splice(0).forEach((release) => release('released')),
  exit: (options) => setImmediate(() => process.exit(Number(options.get('code')))),
};
require('http').createServer(async (request, response) => {
  const url = new URL(request.url, 'http://app.test');
  const route = routes[url.pathname.slice(1)];
  const answer = route ? await route(url.searchParams) : '';
  response.end(typeof answer === 'string' ? answer : 'done');
}).listen(process.env.PORT, () => console.log('listening'));
`;

/** The archive of an image of it. */
export const talker = () => dockerfile('FROM node:22-bookworm-slim\nCOPY talker.js /\nCMD ["node", "/talker.js"]\n', { 'talker.js': program });

/** Lets the talker write bytes or a text. */
export async function say(app, text, stream = 'stdout') {
  const base64 = encodeURIComponent(Buffer.from(text).toString('base64'));
  await app.get(`/say?stream=${stream}&base64=${base64}`).expect(200);
}
