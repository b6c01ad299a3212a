// The access log: a line for each request, in both formats, without queries, also when its file is moved away.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { request } from './support/http.js';
import { freePort } from './support/ports.js';
import { StandaloneProxy } from './support/standalone-proxy.js';
import { until } from './support/until.js';
import { World } from './support/world.js';

const run = promisify(execFile);
const secret = 'hunter2-in-a-query';
// As programs that others wrote read Apache's combined format.
const combined = /^(?<client>\S+) \S+ \S+ \[(?<time>\d\d\/\w{3}\/\d{4}(?::\d\d){3} [+-]\d{4})\] "(?<request>[^"]*)" (?<status>\d{3}) (?<bytes>\d+|-) "(?<referrer>[^"]*)" "(?<userAgent>[^"]*)"$/;

describe('access log', () => {
  let folder, file, world, todos, proxy, figuresPort;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-access-'));
    file = join(folder, 'access.log');
    world = await World.start({ flags: ['--access-log', file], env: { LAUNCHER_ACCESS_LOG_FORMAT: 'json' } });
    todos = await world.launch('todos', { hostname: 'todos.test' });
    proxy = await StandaloneProxy.start(`ddp://127.0.0.1:${world.port}`, ['--access-log', join(folder, 'combined.log'), '--metrics', `127.0.0.1:${(figuresPort = await freePort())}`]);
    await proxy.becomes('todos.test', 200);
  });
  after(async () => {
    await proxy?.close();
    await world?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const lines = async (path) => (await readFile(path, 'utf8')).split('\n').filter(Boolean);
  const documents = async (path = file) => (await lines(path)).map((line) => JSON.parse(line));
  const at = async (path, log = file) => (await documents(log)).filter((document) => document.path === path);
  const told = (path, number = 1) => until(async () => (await at(path)).length === number, async () => `${number} of ${path}: ${JSON.stringify(await at(path))}`);

  it('tells of requests and refusals without their queries', async () => {
    const answer = await todos.get(`/inside?token=${secret}`, { headers: { Referer: `http://a.test/x?token=${secret}`, 'User-Agent': 'a "test"\\' } });
    await world.get('nobody.test', `/nothing?token=${secret}`).expect(404);
    await told('/inside');
    await told('/nothing');
    const [{ time, durationMs, ...document }] = await at('/inside');
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 3_600_000 && time.endsWith('Z'), time);
    assert.equal(typeof durationMs, 'number');
    assert.deepEqual(document, {
      client: '127.0.0.1', method: 'GET', host: 'todos.test', path: '/inside', protocol: 'HTTP/1.1', status: 200, bytesIn: 0, bytesOut: answer.text.length,
      upstream: `127.0.0.1:${todos.document.port}`, site: 'todos.test', referrer: 'http://a.test/x', userAgent: 'a "test"\\', refusal: null,
    });
    const [refused] = await at('/nothing');
    assert.deepEqual([refused.status, refused.refusal, refused.upstream, refused.site], [404, 'unknown-hostname', null, null]);
    assert.ok(!(await readFile(file, 'utf8')).includes(secret));
  });

  it('tells of a WebSocket when it is over', async () => {
    const client = await todos.ddp();
    await todos.get('/while-it-is-open');
    await told('/while-it-is-open');
    assert.deepEqual(await at('/websocket'), []);
    await client.close();
    await told('/websocket');
    const [{ status, bytesIn, bytesOut }] = await at('/websocket');
    assert.ok(status === 101 && bytesIn > 0 && bytesOut > 0, JSON.stringify([status, bytesIn, bytesOut]));
  });

  it('goes on in a new file when the old one was moved away, and loses nothing', async () => {
    const moved = `${file}.1`;
    for (let number = 0; number < 20; number += 1) await todos.get('/rotated');
    await rename(file, moved);
    await todos.get('/rotated');
    world.launcher.kill('SIGHUP');
    await until(() => readFile(file).then(() => true, () => false), 'a new file');
    await todos.get('/rotated');
    const both = async () => (await Promise.all([moved, file].map((path) => at('/rotated', path)))).map((found) => found.length);
    await until(async () => (await both()).reduce((sum, number) => sum + number) === 22, async () => `22 lines in ${await both()}`);
    assert.ok((await both())[1] >= 1, 'what came last is in the new file');
    const { text } = await request(world.port, `127.0.0.1:${world.port}`, '/metrics');
    assert.match(text, /^launcher_router_access_log_dropped_total 0$/m);
  });

  it('has everything when the launcher has ended', async () => {
    await Promise.all(Array.from({ length: 50 }, () => todos.get('/at-last')));
    await world.signal('SIGTERM');
    assert.equal((await at('/at-last')).length, 50);
    await world.startLauncher();
    await todos.answering();
  });

  it("is written in Apache's combined format by a proxy that runs by itself", async () => {
    await proxy.reaches();
    await proxy.get('todos.test', `/page?token=${secret}`, { headers: { 'User-Agent': 'x" 200 \\' } });
    const path = join(folder, 'combined.log');
    const read = async () => (await lines(path)).map((line) => combined.exec(line)?.groups ?? assert.fail(line));
    await until(async () => (await read()).some(({ request }) => request === 'GET /page HTTP/1.1'), async () => JSON.stringify(await read()));
    const line = (await read()).find(({ request }) => request === 'GET /page HTTP/1.1');
    assert.deepEqual([line.client, line.referrer, line.userAgent], ['127.0.0.1', '-', 'x\\x22 200 \\x5C']);
    assert.ok(!(await readFile(path, 'utf8')).includes(secret));
  });

  it('is counted at /metrics of such a proxy, on loopback only', async () => {
    const { text } = await request(figuresPort, `127.0.0.1:${figuresPort}`, '/metrics').expect(200);
    assert.match(text, /^launcher_router_access_log_dropped_total 0$/m);
    assert.match(text, /^launcher_router_requests_total\{host="todos.test",class="2xx"\} [1-9]/m);
    assert.ok(text.endsWith('# EOF\n'));
    const refused = await run(world.binary, ['proxy', '--routes', 'ddp://127.0.0.1:1', '--metrics', '0.0.0.0:0']).catch((error) => error);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /--metrics .*loopback/);
  });

  it('keeps a launcher from starting that cannot open it', async () => {
    const flags = ['--access-log', folder, '--port', '0', '--proxy-listen', '127.0.0.1:0', '--data-dir', join(folder, 'data')];
    const { code, stderr } = await run(world.binary, ['serve', ...flags]).catch((error) => error);
    assert.equal(code, 1);
    assert.match(stderr, /--access-log .*cannot be opened: /);
  });
});
