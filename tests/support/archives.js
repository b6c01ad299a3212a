// Archives to build from, good and bad ones, and the loopback server that serves them.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';

const run = promisify(execFile);
const pack = fileURLToPath(new URL('../../examples/meteor-app/pack', import.meta.url));
const packed = new Map();

/** The example bundle, gzipped; options are those of `examples/meteor-app/pack`. */
export async function meteorBundle(...options) {
  const key = options.join(' ');
  if (!packed.has(key)) {
    const folder = await mkdtemp(join(tmpdir(), 'meteor-app-'));
    try {
      await run(pack, [...options, join(folder, 'app.tar.gz')], { timeout: 300_000 });
      packed.set(key, await readFile(join(folder, 'app.tar.gz')));
    } finally {
      await rm(folder, { recursive: true });
    }
  }
  return packed.get(key);
}

/** The bundle with some of its files replaced or added: `{path: text}`. */
export async function meteorBundleWith(files, ...options) {
  const whole = gunzipSync(await meteorBundle(...options));
  // A tar ends with two empty blocks; an entry that comes later wins.
  let end = whole.length;
  while (whole.subarray(end - 512, end).every((byte) => byte === 0)) end -= 512;
  return gzipSync(Buffer.concat([whole.subarray(0, end), tar(entriesOf(files))]));
}

const entriesOf = (files) => Object.entries(files).map(([name, body]) => ({ name, body }));

/** A tar of `[{name, body?, type?, link?, mode?}]`, byte by byte, so that it can also be one that no honest program writes. */
export function tar(entries) {
  const blocks = entries.flatMap(({ name, body = '', type = '0', link = '', mode = 0o644 }) => {
    const content = Buffer.from(body);
    const head = Buffer.alloc(512);
    Buffer.from(name).copy(head, 0, 0, 100);
    head.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
    head.write('0000000\0', 108);
    head.write('0000000\0', 116);
    head.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    head.write('00000000000\0', 136);
    head.write('        ', 148);
    head.write(type, 156);
    head.write(link, 157, 100);
    head.write('ustar\x0000', 257);
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [head, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** A tar with this Dockerfile and these other files. */
export const dockerfile = (text, files = {}) => tar(entriesOf({ Dockerfile: text, ...files }));

/**
 * A tar with a Dockerfile whose image is small and has a shell: busybox on nothing. `lines` come after it, and what is left of it
 * can be told from others' by the label `label`.
 */
export async function busybox({ label, lines = [], files = {} }) {
  const steps = ['FROM scratch', `LABEL ${label}`, 'COPY busybox /bin/sh', 'COPY busybox /bin/busybox', 'RUN ["/bin/busybox", "--install", "/bin"]'];
  return tar([{ name: 'busybox', body: await readFile('/usr/bin/busybox'), mode: 0o755 }, ...entriesOf({ Dockerfile: [...steps, ...lines, ''].join('\n'), ...files })]);
}

/** Serves what it is given on a loopback port, and counts. */
export class ArchiveServer {
  static async start() {
    const server = new ArchiveServer();
    await new Promise((resolve) => server.http.listen(0, '127.0.0.1', resolve));
    return server;
  }

  requests = new Map();
  #answers = new Map();

  http = http.createServer((request, response) => {
    this.requests.set(request.url, (this.requests.get(request.url) ?? 0) + 1);
    const answer = this.#answers.get(request.url);
    if (!answer) return response.writeHead(404, { 'Content-Type': 'text/plain' }).end('nothing of that name\n');
    if (typeof answer === 'function') return answer(request, response);
    return response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': answer.length }).end(answer);
  });

  get origin() {
    return `http://127.0.0.1:${this.http.address().port}`;
  }

  /** Serves bytes, or what a handler does with `(request, response)`; returns the URL. */
  serve(name, answer) {
    this.#answers.set(`/${name}`, answer);
    return `${this.origin}/${name}`;
  }

  async close() {
    this.http.closeAllConnections?.();
    await new Promise((resolve) => this.http.close(resolve));
  }
}
