// Clients that others wrote speak HTTP with an app through the proxy: curl, python-h11 and python-h2.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { World } from './support/world.js';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('python/', import.meta.url));
const python = process.env.TEST_PYTHON || `${folder}venv/bin/python`;

describe('HTTP clients that others wrote', () => {
  let world;

  before(async () => {
    world = await World.start();
    await world.launch('todos', { hostname: 'todos.test' });
  });
  after(() => world?.close());

  const curl = async (...options) => {
    const shared = ['--silent', '--show-error', '--max-time', '60', '--header', 'Host: todos.test'];
    return (await run('curl', [...shared, ...options.slice(0, -1), `http://127.0.0.1:${world.proxyPort}${options.at(-1)}`])).stdout;
  };

  it('python-h11 and python-h2 get the same answers', async () => {
    const { stdout } = await run(python, [`${folder}http_client.py`, String(world.proxyPort), 'todos.test'], { timeout: 120_000 });
    for (const [client, [headers, upload]] of Object.entries(JSON.parse(stdout))) {
      assert.equal(headers.status, 200, client);
      const seen = JSON.parse(headers.text);
      assert.equal(seen.host, 'todos.test', client);
      assert.equal(seen.via, client === 'h2' ? '2.0 meteor-launcher' : '1.1 meteor-launcher');
      assert.deepEqual(upload, { text: 'first second', status: 200 }, client);
    }
  });

  it('curl speaks HTTP/1.0, 1.1 and 2, each as it was told to', async () => {
    for (const [option, version] of [['--http1.0', '1'], ['--http1.1', '1.1'], ['--http2-prior-knowledge', '2']]) {
      const text = await curl(option, '--write-out', '\n%{http_version} %{http_code}', '/inside');
      const [spoken, status] = text.slice(text.lastIndexOf('\n') + 1).split(' ');
      assert.ok(spoken.startsWith(version), `${option}: ${spoken}`);
      assert.equal(status, '200', option);
    }
  });

  it('curl sends a body by HTTP/2 and gets it back', async () => {
    const body = 'x'.repeat(100_000);
    assert.equal(await curl('--http2-prior-knowledge', '--request', 'POST', '--data-binary', body, '/upload'), body);
  });
});
