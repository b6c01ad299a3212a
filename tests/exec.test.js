// Terminals in an instance's container: what is typed, shown and written down, and that nothing goes on when one is closed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { busybox } from './support/archives.js';
import { buildLabel, docker } from './support/docker.js';
import { request } from './support/http.js';
import { Terminal } from './support/terminal.js';
import { until } from './support/until.js';
import { World, refused } from './support/world.js';

const ended = { code: 1000, reason: 'the program ended' };

describe('a terminal', () => {
  let world;
  let app;

  before(async () => {
    world = await World.start();
    const image = await world.build('shell', await busybox({ label: buildLabel, lines: ['CMD ["sleep", "86400"]'] }));
    app = await world.launch('shell', { appImage: image });
    await world.ddp.subscribe('auditLog');
  });
  after(() => world?.close());

  const open = (options) => Terminal.open(world.ddp, app.id, options);
  const entries = () => [...world.ddp.collection('AuditLog').values()].sort((a, b) => a.at - b.at);
  const processes = async () => (await docker('top', app.document.containerId, '-eo', 'pid,args')).split('\n').slice(1).map((line) => line.trim().replace(/^\d+ +/, ''));
  const runs = async (command) => (await processes()).includes(command);
  const isOver = (command) => until(async () => !(await runs(command)), async () => `the end of ${command}: ${await processes()}`);

  it('shows what a program says, and its exit code', async () => {
    const echo = await open({ command: ['echo', 'hello', '$HOME; exit 1'] });
    assert.deepEqual(await echo.end(), { ...ended, last: { exit: 0 } });
    assert.equal(echo.text, 'hello $HOME; exit 1\n');
    const failing = await open({ command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] });
    assert.deepEqual(await failing.end(), { ...ended, last: { exit: 3 } });
    assert.deepEqual(failing.text.split('\n').sort(), ['', 'err', 'out']);
    const missing = await open({ command: ['no-such-program'] });
    assert.ok([126, 127].includes((await missing.end()).last.exit));
    assert.match(missing.text, /no-such-program/);
  });

  it('is a shell without a command', async () => {
    const shell = await open();
    shell.type('echo $((6 * 7))\nexit 5\n');
    assert.deepEqual(await shell.end(), { ...ended, last: { exit: 5 } });
    assert.equal(shell.text, '42\n');
  });

  it('carries bytes as they are, until their end', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
    const cat = await open({ command: ['cat'] });
    for (let at = 0; at < bytes.length; at += 60_000) cat.type(bytes.subarray(at, at + 60_000));
    cat.tell({ eof: true });
    assert.deepEqual(await cat.end(), { ...ended, last: { exit: 0 } });
    assert.ok(Buffer.concat(cat.shown).equals(bytes));
  });

  it('has the size that it is given, and another later', async () => {
    const shell = await open({ command: ['/bin/sh'], tty: true, cols: 132, rows: 43 });
    await shell.sees(/[#$] /);
    shell.type('stty size; echo size-1\n');
    await shell.sees(/43 132\r\nsize-1/);
    shell.tell({ resize: [100, 30] });
    await until(async () => {
      shell.type('stty size\n');
      return /30 100\r\n/.test(shell.text);
    }, 'the other size');
    shell.type('\x04');
    assert.equal((await shell.end()).last.exit, 0);
  });

  it('shows bytes of a terminal that look like a frame of Docker’s', async () => {
    const shell = await open({ command: ['sh', '-c', "printf '\\001\\000\\000\\000\\377\\377\\377\\377end'"], tty: true });
    assert.equal((await shell.end()).last.exit, 0);
    assert.equal(Buffer.concat(shell.shown).toString('latin1'), '\x01\0\0\0\xff\xff\xff\xffend');
  });

  it('passes on ^C', async () => {
    const shell = await open({ command: ['sleep', '601'], tty: true });
    await until(() => runs('sleep 601'), 'the program');
    shell.type('\x03');
    assert.equal((await shell.end()).last.exit, 130);
  });

  it('waits for a slow reader, and keeps little for him', async () => {
    const rss = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${world.launcher.pid}/status`, 'utf8'))[1]);
    const script = 'i=0; while [ $i -lt 100 ]; do i=$((i+1)); dd if=/dev/zero bs=1000000 count=1 2> /dev/null; echo $i > /progress; done';
    const progress = async () => Number(await docker('exec', app.document.containerId, 'cat', '/progress').catch(() => 0));
    const before = await rss();
    const reader = await open({ command: ['sh', '-c', script] });
    reader.socket.pause();
    let [last, times] = [-1, 0];
    await until(async () => {
      const now = await progress();
      times = now === last ? times + 1 : 0;
      last = now;
      return times === 10;
    }, 'the program to wait');
    assert.ok(last < 50, `${last} MB were said to nobody`);
    assert.ok((await rss()) - before < 20_000, `${before} KB became ${await rss()}`);
    reader.socket.resume();
    assert.deepEqual(await reader.end(), { ...ended, last: { exit: 0 } });
    assert.equal(reader.shownBytes, 100_000_000);
  });

  for (const [how, leave] of [['closes it', (socket) => socket.close()], ['is gone', (socket) => socket.terminate()]]) {
    it(`ends its program, and what that has started, when the client ${how}`, async () => {
      for (const tty of [true, false]) {
        const shell = await open({ command: ['sh', '-c', "trap '' HUP TERM INT; sleep 602 & (setsid sleep 603 &); echo on; sleep 604; sleep 605"], tty });
        await shell.sees(/on/);
        assert.equal(entries().at(-1).endedAt, null);
        leave(shell.socket);
        for (const command of ['sleep 602', 'sleep 603', 'sleep 604', 'sleep 605']) await isOver(command);
        await until(() => entries().at(-1).endedAt, 'the entry in the audit log');
        assert.equal(entries().at(-1).reason, 'the caller left');
        assert.ok(await runs('sleep 86400'), 'the app goes on');
      }
    });
  }

  it('is in the audit log, without what was typed and shown', async () => {
    const shell = await open({ command: ['sh', '-s', 'mongodb://u:hunter2@db/app'], tty: true });
    shell.type('echo pass-$((1 + 1))word; exit 7\n');
    assert.equal((await shell.end()).last.exit, 7);
    await until(() => entries().at(-1).endedAt, 'the entry in the audit log');
    const { _id, at, startedAt, endedAt, ...entry } = entries().at(-1);
    assert.ok(at instanceof Date && +at === +startedAt && endedAt >= startedAt && /^\w{17}$/.test(_id));
    assert.deepEqual(entry, {
      action: 'exec', instanceId: app.id, peer: '127.0.0.1', command: ['sh', '-s', 'mongodb://u:********@db/app'], exitCode: 7, reason: 'the program ended',
    });
    const other = await world.connect();
    await other.subscribe('auditLog', { limit: 2 });
    assert.deepEqual([...other.collection('AuditLog').keys()].sort(), entries().slice(-2).map((newest) => newest._id).sort());
    await other.close();
    const log = await readFile(world.logFile, 'utf8');
    assert.doesNotMatch(log, /hunter2|pass-/);
  });

  it('is refused when its client breaks the rules', async () => {
    const long = await open({ command: ['cat'] });
    long.type(Buffer.alloc((64 << 10) + 1));
    assert.equal((await long.end()).code, 1009);
    const odd = await open({ command: ['cat'] });
    odd.tell('ls\n');
    assert.deepEqual(await odd.end(), { code: 1003, reason: 'a text is {"resize": [cols, rows]} or {"eof": true}', last: undefined });
    await isOver('cat');
  });

  it('needs a ticket that nobody has used, from a page that may', async () => {
    const { url, ticket, expiresAt } = await world.ddp.call('execOpen', app.id, { command: ['cat'] });
    assert.equal(url, `ws://127.0.0.1:${world.port}/exec/${ticket}`);
    assert.ok(expiresAt instanceof Date);
    const status = (path, headers = {}) => request(world.port, `127.0.0.1:${world.port}`, path, { headers }).answer.then((answer) => answer.status);
    assert.equal(await status(`/exec/${ticket}x`), 404);
    assert.equal(await status(`/exec/${ticket}`, { Origin: 'https://evil.test' }), 403);
    assert.equal(await status(`/exec/${ticket}`), 400);
    const cat = await Terminal.connect(url);
    await assert.rejects(Terminal.connect(url), /404/);
    await assert.rejects(Terminal.connect(url, { headers: { Origin: 'https://evil.test' } }), /403/);
    cat.tell({ eof: true });
    await cat.end();
    await assert.rejects(Terminal.connect(url), /404/);
  });

  it('is not opened with wrong arguments', async () => {
    const wrong = [{ command: 'ls' }, { command: [] }, { command: [''] }, { command: [1] }, { command: ['a\0'] }, { command: ['x'.repeat(20_000)] },
      { command: Array(101).fill('x') }, { tty: 1 }, { cols: 0 }, { rows: 1001 }, { cols: '80' }, { rows: 1.5 }, { replica: 'a' }];
    for (const options of wrong) await refused(world.ddp.call('execOpen', app.id, options), 400, /option/);
    await refused(world.ddp.call('execOpen'), 400, /instanceId/);
    await refused(world.ddp.call('execOpen', 'nobody'), 400, 'No app instance has ID nobody');
  });

  it('ends with its container, and is not opened in one that does not run', async () => {
    const shell = await open({ command: ['/bin/sh'], tty: true });
    await shell.sees(/[#$] /);
    await app.call('kill');
    const end = await shell.end();
    assert.equal(end.reason, 'the container ended');
    assert.equal(end.last.reason, 'the container ended');
    await refused(world.ddp.call('execOpen', app.id), 400, `The app instance with ID ${app.id} does not run`);
    await app.call('start');
  });

  it('ends with the launcher, also when that is killed', async () => {
    const shell = await open({ command: ['sleep', '606'], tty: true });
    await until(() => runs('sleep 606'), 'the program');
    const { containerId } = app.document;
    assert.deepEqual(await world.signal('SIGTERM'), [0, null]);
    const reason = 'the launcher is shutting down';
    assert.deepEqual(await shell.end(), { code: 1001, reason, last: { exit: 137, reason } });
    assert.ok(!(await runs('sleep 606')), 'it was ended before the launcher did');

    await world.startLauncher();
    assert.equal(app.document.containerId, containerId);
    await world.ddp.subscribe('auditLog');
    assert.equal(entries().at(-1).reason, reason);
    const killed = await open({ command: ['sleep', '607'], tty: true });
    await until(() => runs('sleep 607'), 'the program');
    await world.crash();
    assert.equal((await killed.end()).code, 1006);
    await world.startLauncher();
    await world.ddp.subscribe('auditLog');
    await isOver('sleep 607');
    await until(() => entries().at(-1).endedAt, 'the entry in the audit log');
    assert.equal(entries().at(-1).reason, 'the launcher ended');
  });
});

describe('a terminal in which nothing is said', () => {
  let world;

  before(async () => {
    world = await World.start({ flags: ['--terminal-idle', '1'] });
  });
  after(() => world?.close());

  it('is closed', async () => {
    const image = await world.build('idle', await busybox({ label: buildLabel, lines: ['CMD ["sleep", "86400"]'] }));
    const app = await world.launch('idle', { appImage: image });
    const shell = await Terminal.open(world.ddp, app.id, { command: ['sleep', '608'] });
    const reason = 'nothing was typed and nothing shown for 1 second';
    assert.deepEqual(await shell.end(), { code: 1008, reason, last: { exit: 137, reason } });
    assert.doesNotMatch(await docker('top', app.document.containerId, '-eo', 'pid,args'), /sleep 608/);
  });
});
