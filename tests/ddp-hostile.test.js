// What no client should say, and much of what it may: every connection has the fate that it should have, and the others live.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Raw } from './support/raw.js';
import { Service } from './support/service.js';
import { until } from './support/until.js';

const badRequest = (offendingMessage) => ({ msg: 'error', reason: 'Bad request', ...(offendingMessage === undefined ? {} : { offendingMessage }) });
const notFound = (what, name) => {
  const reason = `${what} '${name}' not found`;
  return { isClientSafe: true, error: 404, reason, message: `${reason} [404]`, errorType: 'Meteor.Error' };
};
const prototypeNames = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];
/** JSON.parse as it is, but for `__proto__`, which an object written as a literal cannot have. */
const parsed = (text) => JSON.parse(text);

describe('hostile clients', () => {
  let service, bystander, raw;

  before(async () => {
    service = await Service.start();
    bystander = await Raw.connect(service.url);
    bystander.send({ msg: 'sub', id: 's', name: 'twoDocs' });
    await bystander.upTo(({ msg }) => msg === 'ready');
  });
  beforeEach(async () => {
    raw?.socket.terminate();
    raw = await Raw.connect(service.url);
  });
  after(async () => {
    raw?.socket.terminate();
    // Whatever the others did, this one was not touched, and heard nothing of it.
    assert.deepEqual(await bystander?.answers(), []);
    bystander?.socket.terminate();
    await service?.close();
  });

  describe('frames that are no message', () => {
    const nothing = ['', ' ', 'not json', '5', '"text"', 'null', 'true', '{"msg":"ping",}', '{msg:"ping"}', '{"msg":"ping"}{"msg":"ping"}',
      '{"msg":"ping"}\0', '\ufeff{"msg":"ping"}', '{"msg":"ping"', '[', '{"msg":"\\ud8"}', "{'msg':'ping'}", '{"msg":"\n"}', '{"a":01}', '{"a":NaN}'];
    for (const text of nothing) {
      it(`answers ${JSON.stringify(text)} with an error without the message`, async () => {
        assert.deepEqual(await raw.answers(text), [badRequest()]);
      });
    }

    const noMessages = ['[]', '[{"msg":"ping"}]', '{}', '{"foo":1}', '{"msg":null}', '{"msg":""}', '{"msg":0}', '{"msg":false}', '{"msg":5}',
      '{"msg":true}', '{"msg":["ping"]}', '{"msg":{"msg":"ping"}}', '{"msg":"nope","x":1}', '{"msg":"PING"}', '{"msg":"ping "}',
      '{"__proto__":1,"msg":"nope"}', ...['connected', 'result', 'updated', 'ready', 'nosub', 'added', 'server_id', 'error'].map((msg) => `{"msg":"${msg}"}`)];
    for (const text of noMessages) {
      it(`answers ${text} with an error that has the message`, async () => {
        assert.deepEqual(await raw.answers(text), [badRequest(parsed(text))]);
      });
    }

    it('takes bytes that are no text for no message', async () => {
      assert.deepEqual(await raw.answers(Buffer.from([0xff, 0xfe, 0x00]), Buffer.alloc(0)), [badRequest(), badRequest()]);
    });

    it('reads bytes that are text', async () => {
      assert.deepEqual(await raw.answers(Buffer.from('{"msg":"ping","id":"ж"}')), [{ msg: 'pong', id: 'ж' }]);
    });

    it('closes with 1007 where a text frame is no UTF-8', async () => {
      raw.socket.send(Buffer.from([0x7b, 0xff, 0x7d]), { binary: false });
      assert.equal((await raw.closed).code, 1007);
    });

    it('survives nesting as deep as a message is long', async () => {
      for (const [open, close] of [['[', ']'], ['{"a":', '}']]) {
        const deep = open.repeat(1_000_000) + (close === '}' ? '1' : '') + close.repeat(1_000_000);
        const answers = await raw.answers(deep, `{"msg":"method","id":"x","method":"echoOne","params":[${deep}]}`);
        assert.deepEqual(answers, [{ msg: 'error', reason: 'Parse error' }, { msg: 'error', reason: 'Parse error' }]);
      }
    });
  });

  describe('names and ids', () => {
    it('takes the names of what every JavaScript object has for no messages, methods and publications', async () => {
      for (const name of prototypeNames) {
        assert.deepEqual(await raw.answers({ msg: name }), [badRequest({ msg: name })]);
        assert.deepEqual(await raw.answers({ msg: 'method', id: 'm', method: name, params: [] }), [
          { msg: 'result', id: 'm', error: notFound('Method', name) },
          { msg: 'updated', methods: ['m'] },
        ]);
        assert.deepEqual(await raw.answers({ msg: 'sub', id: 's', name }), [{ msg: 'nosub', id: 's', error: notFound('Subscription', name) }]);
      }
    });

    it('goes on after an unsub whose id is no string', async () => {
      for (const id of [5, null, true, [], { a: 1 }]) {
        const answers = await raw.answers({ msg: 'unsub', id });
        assert.equal(answers.length, 1);
        assert.ok(['nosub', 'error'].includes(answers[0].msg));
      }
      assert.deepEqual(await raw.answers({ msg: 'unsub' }), [{ msg: 'nosub' }]);
      assert.deepEqual(await raw.answers({ msg: 'unsub', id: 'none' }), [{ msg: 'nosub', id: 'none' }]);
    });

    it('answers a ping with whatever id it has', async () => {
      for (const id of ['a', '', 5, null, [1], { a: 1 }]) assert.deepEqual(await raw.answers({ msg: 'ping', id }), [{ msg: 'pong', id }]);
      assert.deepEqual(await raw.answers({ msg: 'ping' }), [{ msg: 'pong' }]);
    });

    it('runs a method twice when it is called twice with one id, and a subscription once', async () => {
      const call = { msg: 'method', id: 'same', method: 'echoOne', params: [1] };
      assert.equal((await raw.answers(call, call)).filter(({ msg }) => msg === 'result').length, 2);
      const sub = { msg: 'sub', id: 'same', name: 'twoDocs' };
      assert.deepEqual((await raw.answers(sub, sub, { ...sub, name: 'empty' })).map(({ msg }) => msg), ['added', 'added', 'ready']);
    });

    it('takes documents, fields and parameters named like prototypes as what they are', async () => {
      const params = parsed('[{"__proto__":{"polluted":true},"constructor":1,"toString":null}]');
      const [, { result }] = await raw.answers({ msg: 'method', id: 'p', method: 'echo', params });
      assert.deepEqual(Object.keys(result[0]), Object.keys(params[0]));
      const document = parsed('{"c":"__proto__","id":"constructor","f":{"hasOwnProperty":1,"__proto__":2}}');
      const [added] = await raw.answers({ msg: 'sub', id: 'live', name: 'live', params: ['tag', [document]] });
      assert.deepEqual([added.collection, added.id, Object.keys(added.fields)], ['__proto__', 'constructor', Object.keys(document.f)]);
    });
  });

  describe('malformed calls and subscriptions', () => {
    const call = { msg: 'method', id: 'x', method: 'echo' };
    const calls = [{ id: 1 }, { id: null }, { method: 5 }, { method: null }, { params: {} }, { params: null }, { params: 'x' }, { randomSeed: 5 }, { randomSeed: null }]
      .map((wrong) => ({ ...call, ...wrong }));
    for (const message of [{ msg: 'method' }, { msg: 'method', id: 'x' }, { msg: 'method', method: 'echo' }, ...calls]) {
      it(`refuses ${JSON.stringify(message)}`, async () => {
        const refused = { msg: 'error', reason: 'Malformed method invocation', offendingMessage: message };
        assert.deepEqual(await raw.answers(message), [refused]);
      });
    }

    const subscriptions = [{ id: 5 }, { id: null }, { name: 5 }, { params: {} }, { params: null }].map((wrong) => ({ msg: 'sub', id: 'x', name: 'empty', ...wrong }));
    for (const message of [{ msg: 'sub' }, { msg: 'sub', id: 'x' }, { msg: 'sub', name: 'empty' }, ...subscriptions]) {
      it(`refuses ${JSON.stringify(message)}`, async () => {
        assert.deepEqual(await raw.answers(message), [{ msg: 'error', reason: 'Malformed subscription', offendingMessage: message }]);
      });
    }

    const wrongArguments = [['add', 1], ['add', '1', 2], ['add'], ['exception'], ['exception', 'server', { intended: 'yes' }], ['ledger/transfer', 'w'],
      ['unblockedMethod'], ['livedata/setup', 5], ['randomIds', -1], ['randomIds', 1e9], ['touchTask'], ['/ledger/insertAsync']];
    for (const [method, ...params] of wrongArguments) {
      it(`takes ${JSON.stringify(params)} for no arguments of ${method}`, async () => {
        const [updated, { error }] = await raw.answers({ msg: 'method', id: 'x', method, params });
        assert.deepEqual(updated, { msg: 'updated', methods: ['x'] });
        assert.deepEqual(error, { isClientSafe: true, error: 400, reason: 'Match failed', message: 'Match failed [400]', errorType: 'Meteor.Error' });
      });
    }

    it('refuses EJSON that is none', async () => {
      const wrong = [{ $type: 'nosuch', $value: 1 }, { $binary: 5 }, { $binary: '===' }, { $regexp: '(', $flags: '' }, { $regexp: 'a', $flags: 5 }, { $type: 'oid', $value: 'zz' }];
      for (const value of wrong) {
        assert.deepEqual(await raw.answers({ ...call, params: [value] }), [{ msg: 'error', reason: 'Parse error' }], JSON.stringify(value));
        assert.deepEqual(await raw.answers({ msg: 'sub', id: 'x', name: 'empty', params: [{ deep: [value] }] }), [{ msg: 'error', reason: 'Parse error' }]);
      }
      assert.deepEqual(await raw.answers({ ...call, cleared: 5 }), [{ msg: 'error', reason: 'Parse error' }]);
    });

    it('gives lone surrogates back as they came, wherever they stand', async () => {
      const lone = '\ud800 \udc00 \udfff\ud83d';
      const [, { result }] = await raw.answers({ msg: 'method', id: 'l', method: 'echoOne', params: [{ [lone]: [lone] }] });
      assert.deepEqual(result, { [lone]: [lone] });
      assert.deepEqual(await raw.answers({ msg: 'method', id: lone, method: 'echoOne', params: [1] }), [
        { msg: 'updated', methods: [lone] },
        { msg: 'result', id: lone, result: 1 },
      ]);
      assert.deepEqual(await raw.answers({ msg: 'method', id: 'l', method: lone }), [
        { msg: 'result', id: 'l', error: notFound('Method', lone) },
        { msg: 'updated', methods: ['l'] },
      ]);
      assert.deepEqual(await raw.answers({ msg: 'sub', id: lone, name: 'empty' }), [{ msg: 'ready', subs: [lone] }]);
      assert.deepEqual(await raw.answers({ msg: 'ping', id: lone }), [{ msg: 'pong', id: lone }]);
      assert.deepEqual(await raw.answers({ msg: lone }), [badRequest({ msg: lone })]);
    });
  });

  describe('the beginning', () => {
    let silent;
    beforeEach(async () => (silent = await Raw.open(service.url)));

    it('answers what comes before connect with an error, and connects then', async () => {
      const early = [{ msg: 'ping', id: 'a' }, { msg: 'method', id: '1', method: 'echo' }, { msg: 'sub', id: '1', name: 'empty' }, { msg: 'nope' }];
      for (const message of early) {
        silent.send(message);
        assert.deepEqual(await silent.next(), { msg: 'error', reason: 'Must connect first', offendingMessage: message });
      }
      silent.send({ msg: 'connect', version: '1', support: ['1'] });
      assert.equal((await silent.next()).msg, 'connected');
    });

    it('answers what is sent in one go with connect, in order', async () => {
      silent.send({ msg: 'connect', version: '1', support: ['1'] }, { msg: 'sub', id: 's', name: 'twoDocs' }, { msg: 'method', id: 'm', method: 'echoOne', params: [1] });
      const kinds = (await silent.upTo(({ msg }) => msg === 'result')).map(({ msg }) => msg);
      assert.deepEqual(kinds, ['connected', 'added', 'added', 'ready', 'updated', 'result']);
    });

    it('says nothing any more once a version is refused', async () => {
      silent.send({ msg: 'connect', version: '2', support: ['2'] }, { msg: 'ping' }, { msg: 'connect', version: '1', support: ['1'] });
      assert.deepEqual(await silent.next(), { msg: 'failed', version: '1' });
      assert.equal((await silent.closed).code, 1000);
      await assert.rejects(silent.next(), /closed with 1000/);
    });

    for (const members of [{}, { version: 1, support: ['1'] }, { version: '1' }, { version: '1', support: [] }, { version: '1', support: '1' },
      { version: '1', support: [1] }, { version: '1', support: ['pre1'] }, { version: '1', support: ['1', null] }]) {
      it(`refuses connect with ${JSON.stringify(members)}`, async () => {
        silent.send({ msg: 'connect', ...members });
        assert.equal((await silent.next()).msg, 'failed');
        assert.equal((await silent.closed).code, 1000);
      });
    }

    it('refuses a second connect, and lives on', async () => {
      const connect = { msg: 'connect', version: '1', support: ['1'] };
      assert.deepEqual(await raw.answers(connect), [{ msg: 'error', reason: 'Already connected', offendingMessage: connect }]);
    });
  });

  describe('much of everything', () => {
    const echo = (id) => ({ msg: 'method', id: String(id), method: 'echoOne', params: [id] });
    const ids = (count) => Array.from({ length: count }, (_, id) => id);

    it('runs thousands of methods that were sent in one go, in order', async () => {
      const answers = await raw.answers({ msg: 'method', id: 'first', method: 'slow', params: [50, ''] }, ...ids(5_000).map(echo));
      const results = answers.filter(({ msg, id }) => msg === 'result' && id !== 'first').map(({ result }) => result);
      assert.deepEqual(results, ids(5_000));
    });

    it('refuses what comes while ten thousand messages wait, and nothing else', async () => {
      raw.send({ msg: 'method', id: 'hold', method: 'slow', params: [3_600_000, ''] }, ...ids(10_000).map(echo));
      raw.send(echo('over'), { msg: 'sub', id: 'over', name: 'empty' }, { msg: 'unsub', id: 'over' }, { msg: 'ping' });
      const answers = await raw.upTo(({ msg }) => msg === 'pong');
      assert.deepEqual(answers.map(({ msg, id, error }) => [msg, id, error?.error]), [
        ['result', 'over', 'too-many-requests'],
        ['updated', undefined, undefined],
        ['nosub', 'over', 'too-many-requests'],
        ['nosub', 'over', undefined],
        ['pong', undefined, undefined],
      ]);
    });

    it('refuses a subscription more than a connection may have', async () => {
      const answers = await raw.answers(...ids(1_000).map((id) => ({ msg: 'sub', id: String(id), name: 'never' })), { msg: 'sub', id: 'last', name: 'empty' });
      assert.equal(answers.length, 1);
      assert.equal(answers[0].msg, 'nosub');
      assert.equal(answers[0].id, 'last');
      assert.equal(typeof answers[0].error.error, 'string');
      assert.deepEqual(await raw.answers({ msg: 'unsub', id: '7' }, { msg: 'sub', id: 'last', name: 'empty' }), [
        { msg: 'nosub', id: '7' },
        { msg: 'ready', subs: ['last'] },
      ]);
    });

    it('takes a message of several megabytes, and closes with 1009 for one that is too long', async () => {
      const long = 'x'.repeat(4 << 20);
      const [, { result }] = await raw.answers({ msg: 'method', id: 'l', method: 'echoOne', params: [long] });
      assert.ok(result === long);
      raw.socket.send(Buffer.alloc(0x4000000, ' '), { binary: false });
      assert.equal((await raw.closed).code, 1009);
    });

    it('gives up a client that reads nothing of what it asks for, and says why', async () => {
      raw.send({ msg: 'method', id: 'user', method: 'setUserId', params: ['deaf'] }, { msg: 'sub', id: 's', name: 'recordUserIdOnStop', params: ['deaf'] });
      await raw.answers();
      raw.socket.pause();
      const text = 'x'.repeat(100_000);
      raw.send(...ids(400).map((id) => ({ msg: 'method', id: String(id), method: 'echoOne', params: [text] })));
      const stopped = { msg: 'method', id: 'stopped', method: 'userIdWhenStopped', params: ['deaf'] };
      await until(async () => (await bystander.answers(stopped)).some(({ result }) => result === 'deaf'), 'the end of its subscription');
      raw.socket.resume();
      assert.deepEqual(await raw.closed, { code: 1013, reason: 'Too much waits to be read' });
    });

    it('opens and loses many connections in all states, and forgets them', async () => {
      const many = await Promise.all(ids(100).map(() => Raw.connect(service.url)));
      for (const [index, one] of many.entries()) {
        one.send({ msg: 'sub', id: 's', name: 'tenDocs' }, { msg: 'method', id: 'm', method: 'slow', params: [20, ''] });
        if (index % 2 === 0) one.socket.terminate();
        else one.socket.close();
      }
      await Promise.all(many.map(({ closed }) => closed));
      assert.deepEqual(await raw.answers(), []);
    });
  });
});
