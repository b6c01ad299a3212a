// The stand-in app must be good enough for the clients that the other tests point at it through the proxy.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ddp } from './support/ddp.js';
import { Foreign, libraries } from './support/foreign.js';
import { freePort } from './support/ports.js';
import { until } from './support/until.js';

describe('the stand-in app, without a container', () => {
  let folder, app, url;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meteor-app-'));
    await cp(fileURLToPath(new URL('../examples/meteor-app/bundle', import.meta.url)), folder, { recursive: true });
    const modules = join(folder, 'programs/server/node_modules');
    const run = spawn('npm', ['ci', '--no-audit', '--no-fund'], { cwd: join(folder, 'programs/server'), stdio: ['ignore', 'ignore', 'inherit'] });
    assert.equal((await once(run, 'exit'))[0], 0, `npm ci fills ${modules}`);
    const port = await freePort();
    url = `ws://127.0.0.1:${port}/websocket`;
    app = spawn(process.execPath, ['main.js'], {
      cwd: folder,
      env: { PATH: process.env.PATH, PORT: port, BIND_IP: '127.0.0.1', ROOT_URL: 'http://a.test', MONGO_URL: 'mongodb://db.test/a' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(app.stdout, 'data');
  });

  after(async () => {
    app.kill('SIGTERM');
    const [code] = await once(app, 'exit');
    await rm(folder, { recursive: true });
    assert.equal(code, 0, 'SIGTERM ends the app in good order');
  });

  for (const [library, name] of Object.entries(libraries)) {
    it(`${name} connects, calls and subscribes`, async () => {
      const client = await Foreign.connect(library, url, ['tasks']);
      try {
        assert.equal(await client.call('add', 20, 22), 42);
        assert.equal((await client.call('fail').catch((error) => error)).error, 'my-code');
        await client.subscribe('tasks');
        await until(() => client.collection('tasks').size >= 2, 'the first tasks');
        const id = await client.call('insertTask', name);
        await until(() => client.collection('tasks').get(id)?.text === name, 'the new task');
        await client.call('touchTask', id);
        await until(() => client.collection('tasks').get(id).n === 1, 'the change');
        await client.call('removeTask', id);
        await until(() => !client.collection('tasks').has(id), 'the removal');
      } finally {
        await client.close();
      }
    });
  }

  it('the tests\' own client does so too', async () => {
    const ddp = await Ddp.connect(url);
    await ddp.subscribe('clock');
    await until(() => ddp.collection('clock').get('now')?.ticks > 0, 'a tick');
    assert.equal((await ddp.call('nothing').catch((error) => error)).error, 404);
    await assert.rejects(ddp.subscribe('nothing'), { error: 404 });
    await ddp.close();
  });
});
