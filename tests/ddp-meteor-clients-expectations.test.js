// What Meteor's own client tests (packages/ddp-client/test/livedata_tests.js and async_stubs/) expect of the service that they
// run against: its names, its answers, and what their clients conclude from the order of the messages.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Raw } from './support/raw.js';
import { Service } from './support/service.js';

const error = (code, reason) => ({ isClientSafe: true, error: code, reason, message: `${reason} [${code}]`, errorType: 'Meteor.Error' });
const internal = error(500, 'Internal server error');

let tokens = 0;
/** A text that no other test uses, as these tests' random ids. */
const token = () => `token${(tokens += 1)}${process.pid}`;

describe("what Meteor's client tests expect", () => {
  let service, client;

  before(async () => (service = await Service.start()));
  beforeEach(async () => {
    client?.socket.terminate();
    client = await Raw.connect(service.url);
  });
  after(async () => {
    client?.socket.terminate();
    await service?.close();
  });

  let ids = 0;
  /** Calls, and resolves with all that came until result and `updated` were there. */
  async function call(method, ...params) {
    const id = `call ${(ids += 1)}`;
    client.send({ msg: 'method', id, method, params });
    const missing = new Set(['result', 'updated']);
    const messages = await client.upTo((message) => {
      if (message.id === id || message.methods?.includes(id)) missing.delete(message.msg);
      return missing.size === 0;
    });
    return messages.map((message) => (message.id === id ? { ...message, id: 'call' } : message));
  }

  const resultOf = (messages) => messages.find(({ msg, id }) => msg === 'result' && id === 'call');
  const dataOf = (messages, collection) => messages.filter((message) => message.collection === collection);
  /** The data messages that came before `updated`: what a client shows when it gives the result to the application. */
  const beforeUpdated = (messages) => messages.slice(0, messages.findIndex(({ msg }) => msg === 'updated'));

  /** Subscribes, and resolves with all that came until it was ready or refused. */
  async function subscribe(name, ...params) {
    const id = `sub ${(ids += 1)}`;
    client.send({ msg: 'sub', id, name, params });
    return client.upTo((message) => message.subs?.includes(id) || (message.msg === 'nosub' && message.id === id));
  }

  describe('basic method invocation', () => {
    it('an unknown method is not found', async () => {
      assert.deepEqual(resultOf(await call('unknown method')).error, error(404, "Method 'unknown method' not found"));
    });

    it('nothing is told from null', async () => {
      assert.deepEqual(resultOf(await call('nothing')), { msg: 'result', id: 'call' });
      assert.deepEqual(resultOf(await call('returnsNull')), { msg: 'result', id: 'call', result: null });
    });

    const oid = { $type: 'oid', $value: '0123456789abcdef01234567' };
    const values = [{ $date: 1e12 }, { d: { $date: 30 }, s: 'foobarbaz' }, [{ $date: 0 }, 'foobarbaz'], oid, { o: oid },
      { $escape: { $date: 30 } }, { $literal: { $escape: { $date: 30 } } }, 12, { $InfNaN: 1 }, { $InfNaN: -1 }];
    for (const value of values) {
      it(`echoes ${JSON.stringify(value)}`, async () => {
        assert.deepEqual(resultOf(await call('echo', value)).result, [value]);
        assert.deepEqual(resultOf(await call('echoOne', value)).result, value);
      });
    }

    it('echoes nothing, and two arguments', async () => {
      assert.deepEqual(resultOf(await call('echo')).result, []);
      assert.deepEqual(resultOf(await call('echo', 12, { x: 13 })).result, [12, { x: 13 }]);
    });

    it('a method that has unblocked is overtaken by the next one', async () => {
      const one = token();
      client.send({ msg: 'method', id: 'first', method: 'delayedTrue', params: [one] });
      client.send({ msg: 'method', id: 'second', method: 'makeDelayedTrueImmediatelyReturnFalse', params: [one] });
      const isFirst = ({ msg, id }) => msg === 'result' && id === 'first';
      assert.equal((await client.upTo(isFirst)).at(-1).result, false);
      assert.equal(resultOf(await call('delayedTrue', token())).result, true);
    });

    it('throws where it is asked to', async () => {
      for (const where of ['both', 'server']) {
        assert.deepEqual(resultOf(await call('exception', where)).error, internal);
        assert.deepEqual(resultOf(await call('exception', where, {})).error, internal);
        assert.deepEqual(resultOf(await call('exception', where, { intended: true })).error, error(999, 'Client-visible test exception'));
      }
      assert.deepEqual(resultOf(await call('exception', 'client')), { msg: 'result', id: 'call' });
      assert.equal(resultOf(await call('exception', 5)).error.error, 400);
    });

    it('gives results by value', async () => {
      const test = token();
      assert.deepEqual(resultOf(await call('getArray', test)).result, []);
      assert.equal(resultOf(await call('pushToArray', test, 'xxx')).error, undefined);
      assert.deepEqual(resultOf(await call('getArray', test)).result, ['xxx']);
    });

    it('runs unblockedMethod beside what comes behind it, and blockingMethod before it', async () => {
      client.send({ msg: 'method', id: 'unblocked', method: 'unblockedMethod', params: [{ delay: 300 }] });
      client.send({ msg: 'method', id: 'blocking', method: 'blockingMethod', params: [] });
      client.send({ msg: 'sub', id: 'sub', name: 'simple-publication', params: [] });
      const messages = await client.upTo(({ msg, id }) => msg === 'result' && id === 'unblocked');
      const order = messages.filter(({ msg }) => msg === 'result' || msg === 'ready').map(({ id, subs }) => id ?? subs[0]);
      assert.deepEqual(order, ['blocking', 'sub', 'unblocked']);
    });
  });

  describe('compound methods', () => {
    let world, accounts;

    beforeEach(async () => {
      world = token();
      assert.deepEqual((await subscribe('ledger', world)).map(({ msg }) => msg), ['ready']);
      accounts = { alice: token(), bob: token() };
      for (const [name, balance] of [['alice', 100], ['bob', 50]]) {
        const messages = await call('/ledger/insertAsync', { _id: accounts[name], name, balance, world });
        assert.equal(resultOf(messages).result, accounts[name]);
        assert.deepEqual(dataOf(beforeUpdated(messages), 'ledger'), [
          { msg: 'added', collection: 'ledger', id: accounts[name], fields: { name, balance, world } },
        ]);
      }
    });

    const changed = (name, balance) => ({ msg: 'changed', collection: 'ledger', id: accounts[name], fields: { balance } });

    it('ledger/transfer tells of both accounts before it is updated', async () => {
      const messages = await call('ledger/transfer', world, 'alice', 'bob', 10);
      assert.deepEqual(dataOf(beforeUpdated(messages), 'ledger'), [changed('alice', 90), changed('bob', 60)]);
      assert.equal(dataOf(messages, 'ledger').length, 2);
    });

    it('nobody cheats the server', async () => {
      for (const cheat of [[], [true], [false]]) {
        const messages = await call('ledger/transfer', world, 'alice', 'bob', 101, ...cheat);
        assert.deepEqual(resultOf(messages).error, error(409, 'Insufficient funds'));
        assert.deepEqual(dataOf(messages, 'ledger'), []);
      }
    });

    it('says which account there is not', async () => {
      assert.deepEqual(resultOf(await call('ledger/transfer', world, 'carol', 'bob', 1)).error, error(404, `No such account carol in ${world}`));
      assert.deepEqual(resultOf(await call('ledger/transfer', world, 'bob', 'carol', 1)).error, error(404, `No such account carol in ${world}`));
      assert.equal(resultOf(await call('ledger/transfer', world, 'alice', 'bob', '1')).error.error, 400);
    });

    it('another world hears nothing of it', async () => {
      const other = await Raw.connect(service.url);
      other.send({ msg: 'sub', id: 's', name: 'ledger', params: [token()] });
      await other.upTo(({ msg }) => msg === 'ready');
      await call('ledger/transfer', world, 'alice', 'bob', 10);
      assert.deepEqual(await other.answers(), []);
      other.socket.terminate();
    });

    it('a client that subscribes later gets the balances as they are', async () => {
      await call('ledger/transfer', world, 'alice', 'bob', 10);
      const other = await Raw.connect(service.url);
      other.send({ msg: 'sub', id: 's', name: 'ledger', params: [world] });
      const seen = await other.upTo(({ msg }) => msg === 'ready');
      assert.deepEqual(seen.map(({ fields }) => fields && [fields.name, fields.balance]), [['alice', 90], ['bob', 60], undefined]);
      other.socket.terminate();
    });
  });

  describe('changing the user id', () => {
    it('runs subscriptions again without flapping data on the wire', async () => {
      const shown = new Map();
      const follow = (messages) => {
        const data = dataOf(messages, 'objectsWithUsers');
        for (const { msg, id, fields } of data) {
          if (msg === 'added') shown.set(id, fields);
          else shown.delete(id);
        }
        const names = [...shown.values()].map(({ name }) => name).sort();
        return { names, counts: ['added', 'removed', 'changed'].map((kind) => data.filter(({ msg }) => msg === kind).length) };
      };
      const as = async (user) => follow(beforeUpdated(await call('setUserId', user)));
      const both = ['owned by one/two - a', 'owned by one/two - b'];

      assert.deepEqual(follow(await subscribe('objectsWithUsers')), { names: ['owned by none'], counts: [1, 0, 0] });
      assert.deepEqual(await as('1'), { names: ['owned by one - a', ...both], counts: [3, 1, 0] });
      assert.deepEqual(await as('2'), { names: [...both, 'owned by two - a', 'owned by two - b'], counts: [2, 1, 0] });
      assert.deepEqual(await as('2'), { names: [...both, 'owned by two - a', 'owned by two - b'], counts: [0, 0, 0] });
      assert.deepEqual(await as(null), { names: ['owned by none'], counts: [1, 4, 0] });
      assert.deepEqual([...shown.values()], [{ name: 'owned by none' }], 'a projection leaves the owners out');
    });

    it('tells what is stopped who the user was', async () => {
      const key = token();
      client.send({ msg: 'sub', id: 'recorder', name: 'recordUserIdOnStop', params: [key] });
      await call('setUserId', '100');
      await call('setUserId', '101');
      assert.equal(resultOf(await call('userIdWhenStopped', key)).result, '100');
      assert.deepEqual(resultOf(await call('userIdWhenStopped', token())), { msg: 'result', id: 'call' });
    });

    it('is not for a method that has unblocked', async () => {
      await call('setUserId', 'steady');
      // Meteor's test service catches this error and returns true; the one of the recordings lets it through.
      assert.deepEqual(resultOf(await call('setUserIdAfterUnblock')).error, internal);
      assert.equal(resultOf(await call('whoami')).result.userId, 'steady');
    });
  });

  it('shows a document that two subscriptions have as one', async () => {
    const id = token();
    const collection = `MultiPubCollection${id}`;
    await call('livedata/setup', id);
    assert.deepEqual((await subscribe(`pub1${id}`)).at(-1).msg, 'ready');
    assert.deepEqual((await subscribe(`pub2${id}`)).at(-1).msg, 'ready');
    const first = await call('livedata/pub1go', id);
    assert.equal(resultOf(first).result, 1);
    assert.deepEqual(beforeUpdated(first), [{ msg: 'added', collection, id: 'foo', fields: { a: 'aa' } }]);
    const second = await call('livedata/pub2go', id);
    assert.equal(resultOf(second).result, 2);
    assert.deepEqual(beforeUpdated(second), [{ msg: 'changed', collection, id: 'foo', fields: { b: 'bb' } }]);
  });

  describe('universal publications', () => {
    it('that overlap keep a document until the last of them has let it go', async () => {
      const id = token();
      const messages = await call('testOverlappingSubs', id);
      assert.equal(resultOf(messages).error, undefined);
      assert.deepEqual(beforeUpdated(messages), [{ msg: 'added', collection: 'overlappingUniversalSubs', id }]);
    });

    it('begin in sessions that are open, and in new ones', async () => {
      // A service of its own: what is published stays published.
      const own = await Service.start();
      try {
        const [caller, other] = [await Raw.connect(own.url), await Raw.connect(own.url)];
        const added = { msg: 'added', collection: 'runtimeSubCreation', id: 'token' };
        caller.send({ msg: 'method', id: 'm', method: 'runtimeUniversalSubCreation', params: ['token'] });
        assert.deepEqual(await caller.next(), added);
        assert.deepEqual(await other.next(), added);
        assert.deepEqual(await (await Raw.connect(own.url)).next(), added);
      } finally {
        await own.close();
      }
    });
  });

  describe('publisher errors', () => {
    const cases = [{ throwInHandler: true }, { errorInHandler: true }, { errorLater: true }];
    for (const options of cases.flatMap((kind) => [kind, { ...kind, internalError: true }])) {
      it(`with ${JSON.stringify(options)}: ready, then an error, and the document is gone`, async () => {
        const collection = token();
        client.send({ msg: 'sub', id: 's', name: 'publisherErrors', params: [collection, options] });
        const messages = await client.upTo(({ msg }) => msg === 'nosub');
        const [added] = messages;
        assert.deepEqual(messages, [
          { msg: 'added', collection, id: added.id, fields: { foo: 42 } },
          { msg: 'ready', subs: ['s'] },
          { msg: 'removed', collection, id: added.id },
          { msg: 'nosub', id: 's', error: options.internalError ? internal : error(412, 'Explicit error') },
        ]);
      });
    }

    it('that come when it is run again for another user take the document along', async () => {
      const collection = token();
      client.send({ msg: 'sub', id: 's', name: 'publisherErrors', params: [collection, { throwWhenUserIdSet: true }] });
      const [{ id }] = await client.upTo(({ msg }) => msg === 'ready');
      const messages = beforeUpdated(await call('setUserId', 'bla'));
      assert.deepEqual(messages.filter(({ msg }) => msg === 'nosub'), [{ msg: 'nosub', id: 's', error: error(412, 'Explicit error') }]);
      assert.deepEqual(dataOf(messages, collection), [{ msg: 'removed', collection, id }]);
    });

    it('are none where it stops itself', async () => {
      const collection = token();
      client.send({ msg: 'sub', id: 's', name: 'publisherErrors', params: [collection, { stopInHandler: true }] });
      const messages = beforeUpdated(await call('nothing'));
      assert.deepEqual(messages.map(({ msg }) => msg), ['added', 'ready', 'removed', 'nosub']);
      assert.deepEqual(messages.at(-1), { msg: 'nosub', id: 's' });
    });
  });

  it('publishes several queries at once, but not two of one collection, and nothing else', async () => {
    const messages = await subscribe('multiPublish', { normal: 1 });
    assert.equal(messages.at(-1).msg, 'ready');
    const names = (collection) => dataOf(messages, collection).map(({ fields }) => fields.name).sort();
    assert.deepEqual(names('collectionOne'), ['value1', 'value2']);
    assert.deepEqual(names('collectionTwo'), ['value3', 'value4', 'value5']);
    for (const wrong of [{ dup: 1 }, { notCursor: 1 }]) {
      const refused = await subscribe('multiPublish', wrong);
      assert.deepEqual(refused.at(-1).error, internal);
      assert.ok(!refused.some(({ msg }) => msg === 'ready'));
    }
  });

  it('answers what a server asks another one', async () => {
    assert.equal(resultOf(await call('s2s', 'foo')).result, 's2s foo');
  });

  it('clones what a publication says', async () => {
    const added = { msg: 'added', collection: 'publisherCloning', id: 'a', fields: { x: { y: 42 } } };
    const changed = { msg: 'changed', collection: 'publisherCloning', id: 'a', fields: { x: { y: 43 } } };
    assert.deepEqual((await subscribe('publisherCloning', { normal: 1 })).slice(0, -1), [added, changed]);
  });
});
