// DDP clients that others wrote, and ddp-client, against ddp-server's test service: one story, told by each of them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Foreign } from './support/foreign.js';
import { Raw } from './support/raw.js';
import { Service } from './support/service.js';
import { until } from './support/until.js';

const refusal = (promise) => promise.then(() => assert.fail('it was not refused'), (error) => error);

// python-meteor passes on nothing but the reason why a subscription is refused.
const clients = [
  { name: 'simpleddp', library: 'simpleddp' },
  { name: 'ddp', library: 'ddp', options: { reconnect: true } },
  { name: '@meteorrn/core', library: 'meteorrn' },
  { name: 'asteroid', library: 'asteroid' },
  { name: 'ddp-client', library: 'rust' },
  { name: 'python-meteor', library: 'python', refused: { reason: 'Access denied' } },
  ...['websocket', 'xhr-streaming', 'xhr-polling', 'eventsource'].map((transport) => ({
    name: `sockjs-client by ${transport}`,
    library: 'simpleddp',
    options: { transport },
  })),
];

for (const { name, library, options = {}, refused = { error: 403, reason: 'Access denied' } } of clients) {
  describe(name, () => {
    let service, own, client;
    const connect = () => Foreign.connect(library, options.transport ? service.sockjs : service.url, ['tasks', 'things', 'users'], options);

    before(async () => {
      service = await Service.start({ ACCOUNTS: '1' });
      own = await service.connect();
      client = await connect();
    });
    after(async () => {
      await client?.close();
      await service?.close();
    });

    it('calls, and gets what was answered', async () => {
      assert.equal(await client.call('add', 20, 22), 42);
      const odd = ['žluťoučký 🐎 \u2028', 0.1, -1e21, true, null, { $set: { a: [[]] }, '': '' }];
      assert.deepEqual(await client.call('echo', ...odd), odd);
      assert.equal(await client.call('nothing'), null);
    });

    it('gets errors as they were thrown: code, reason and details', async () => {
      assert.deepEqual(await refusal(client.call('throwMeteorError')).then(shown), {
        error: 'my-code',
        reason: 'My reason',
        details: { some: 'details' },
      });
      assert.deepEqual(await refusal(client.call('throwMeteorError404')).then(shown), { error: 404, reason: 'Not here' });
      assert.deepEqual(await refusal(client.call('throwPlain')).then(shown), { error: 500, reason: 'Internal server error' });
      assert.deepEqual(await refusal(client.call('no such method')).then(shown), { error: 404, reason: "Method 'no such method' not found" });
    });

    it('subscribes, sees what is added, changed and removed, and unsubscribes', async () => {
      const subscription = await client.subscribe('tasks');
      const id = await own.call('insertTask', name);
      const task = () => client.collection('tasks').get(id);
      await until(() => task()?.text === name && task().n === 0, 'the new task');
      await own.call('touchTask', id);
      await until(() => task().n === 1, 'the change');
      await own.call('setField', id, 'extra', { deep: ['x'] });
      await until(() => task().extra?.deep?.[0] === 'x', 'the new field');
      await own.call('setField', id, 'extra');
      await until(() => (task().extra ?? null) === null, 'the field to go');
      await own.call('removeTask', id);
      await until(() => !task(), 'the removal');

      const last = await own.call('insertTask', 'last');
      await until(() => client.collection('tasks').has(last), 'the last task');
      await client.unsubscribe(subscription);
      await until(() => client.collection('tasks').size === 0, 'the tasks to go with the subscription');
    });

    it('is told why a subscription is refused', async () => {
      assert.deepEqual(await refusal(client.subscribe('errors')).then(shown), refused);
    });

    it('logs in with a password, and with a token on another connection', async () => {
      // As a username; some libraries take what has an @ for an address.
      await own.call('createUser', { username: library, password: 'p4ss wörd' });
      const [first, second] = [await connect(), await connect()];
      try {
        assert.equal((await refusal(first.login(library, 'wrong'))).error, 403);
        const { id, token } = await first.login(library, 'p4ss wörd');
        assert.equal((await first.call('whoami')).userId, id);
        assert.match(token, /^[\w-]{43}$/);

        assert.equal((await second.call('whoami')).userId, null);
        assert.equal((await second.resume(token)).id, id);
        assert.equal((await second.call('whoami')).userId, id);
        await until(() => second.collection('users').get(id)?.username === library, 'the user\'s own document');
      } finally {
        await first.close();
        await second.close();
      }
    });

    for (const [how, signal] of [['in good order', 'SIGINT'], ['by a crash', 'SIGKILL']]) {
      it(`survives that the server ends ${how} and starts again`, async () => {
        const survivor = await connect();
        try {
          await survivor.subscribe('tasks');
          await service.restart(signal);
          // Some notice only by sending that the connection is lost; what they send then is lost, too.
          survivor.call('nothing').catch(() => {});
          await survivor.connected(2);
          own = await service.connect();
          const id = await own.call('insertTask', 'after');
          await until(() => survivor.collection('tasks').get(id)?.text === 'after', 'the subscription to come back');
          assert.equal(await survivor.call('add', 1, 2), 3);
        } finally {
          await survivor.close();
        }
      });
    }
  });
}

describe('clients that have nothing to say', () => {
  it('answer pings as long as one that is mute is given up', async () => {
    const service = await Service.start({ HB: '200,2000' });
    const open = [];
    try {
      for (const { library, options } of clients) open.push(await Foreign.connect(library, options?.transport ? service.sockjs : service.url, [], options));
      const mute = await Raw.connect(service.url);
      assert.equal((await mute.closed).code, 1000);
      for (const client of open) {
        assert.equal(await client.call('add', 1, 2), 3);
        assert.equal(client.connections.length, 1);
      }
    } finally {
      await Promise.all(open.map((client) => client.close()));
      await service.close();
    }
  });
});

describe('ddp, which negotiates the version', () => {
  let service;
  before(async () => (service = await Service.start()));
  after(() => service?.close());

  it('speaks 1 when it begins with a version that the server would not choose', async () => {
    for (const version of ['pre1', 'pre2', 'pre3']) {
      const client = await Foreign.connect('ddp', service.url, ['things'], { version });
      try {
        assert.deepEqual(client.connections, [{ version: '1' }]);
        await client.subscribe('twoDocs');
        await until(() => client.collection('things').get('b')?.y?.z === 3, 'the documents');
      } finally {
        await client.close();
      }
    }
  });
});

/** What a test compares: members that are not there are left out, however the library shows them. */
function shown({ error, reason, details }) {
  return JSON.parse(JSON.stringify({ error, reason, details: details ?? undefined }));
}
