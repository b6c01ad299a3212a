// Every method with each argument missing, of the wrong type, empty, over-long or hostile.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { containerIds } from './support/docker.js';
import { World, appImage, imagePrefix, refused, required } from './support/world.js';

const long = 'x'.repeat(100_000);
const notText = { null: null, 'a number': 5, 'a boolean': true, 'an object': { $ne: null }, 'an array': ['x'] };

describe('bad input', () => {
  let world, app;

  before(async () => {
    world = await World.start();
    app = await world.launch('good', { hostname: 'good.test' });
  });
  after(() => world?.close());

  // Whatever was refused: the one good instance runs on, and nothing else came to be.
  afterEach(async () => {
    assert.equal(world.exitCode, null, 'the server goes on');
    assert.deepEqual([...world.instances.keys()], [app.id]);
    assert.deepEqual(app.document.hostnames, ['good.test']);
    assert.equal(app.document.status, 'running');
    assert.deepEqual((await world.containers()).map(({ Id }) => Id), [app.document.containerId]);
    assert.deepEqual(await world.leftovers(), []);
  });

  const verbs = ['startAppInstance', 'restartAppInstance', 'stopAppInstance', 'killAppInstance', 'removeAppInstance', 'getContainerInfo', 'getEnvironmentVariables'];
  const hostnameVerbs = ['addHostname', 'removeHostname', 'setHostnameOptions'];

  describe('the id of an instance', () => {
    for (const method of [...verbs, ...hostnameVerbs]) {
      const rest = hostnameVerbs.includes(method) ? ['other.test'] : [];
      it(`${method}: missing`, () => refused(world.ddp.call(method), 400));
      for (const [what, value] of Object.entries(notText)) {
        it(`${method}: ${what}`, () => refused(world.ddp.call(method, value, ...rest), 400));
      }
      it(`${method}: empty`, () => refused(world.ddp.call(method, '', ...rest), 400));
      it(`${method}: unknown`, () =>
        refused(world.ddp.call(method, 'nobodyHasThisId23', ...rest), 400, 'No app instance has ID nobodyHasThisId23'));
      it(`${method}: over-long`, async () => {
        const { wire } = await refused(world.ddp.call(method, long, ...rest), 400);
        assert.ok(JSON.stringify(wire).length < 2000, 'the error does not repeat it all');
      });
      it(`${method}: hostile`, async () => {
        for (const id of ["' OR 1=1 --", '../../etc/passwd', 'a\nb', 'a\u0000b', '__proto__', app.document.containerId]) {
          await refused(world.ddp.call(method, id, ...rest), 400);
        }
      });
    }
  });

  describe('a hostname', () => {
    const hostile = {
      empty: '',
      'a space': ' ',
      'with a path that can be written in several ways': 'a.test/%62',
      'with a query': 'a.test/b?c',
      'with a port': 'a.test:80',
      'with a scheme': 'http://a.test',
      'with a newline': 'a.test\nb.test',
      'with a NUL': 'a.test\u0000',
      'that is an asterisk': '*',
      'with an empty label': 'a..test',
      'that begins with a dot': '.test',
      'with a label that begins with a hyphen': '-a.test',
      'with a label of 64 characters': `${'a'.repeat(64)}.test`,
      'of 300 characters': `${'a.'.repeat(148)}test`,
      'over-long': long,
      '__proto__': '__proto__ ',
    };
    for (const method of hostnameVerbs) {
      it(`${method}: missing`, () => refused(world.ddp.call(method, app.id), 400));
      for (const [what, value] of Object.entries(notText)) it(`${method}: ${what}`, () => refused(world.ddp.call(method, app.id, value), 400));
    }
    for (const [what, value] of Object.entries(hostile)) it(`addHostname: ${what}`, () => refused(world.ddp.call('addHostname', app.id, value), 400));
    for (const [what, value] of Object.entries({ ...hostile, ...notText })) {
      if (value === null) continue; // absent
      it(`launchAppInstance: ${what}`, () => refused(launch({ hostname: value }), 400));
    }
  });

  const launch = (options) => world.ddp.call('launchAppInstance', { appImage, ...required, ...options });

  describe('launchAppInstance', () => {
    it('without options', () => refused(world.ddp.call('launchAppInstance'), 400));
    for (const [what, value] of Object.entries({ ...notText, text: 'options' })) {
      it(`options: ${what}`, () => refused(world.ddp.call('launchAppInstance', value), 400));
    }
    it('appImage: missing, in the words of old', () =>
      refused(launch({ appImage: undefined }), 400, 'You must pass the appImage option set to the string name of the docker image to use.'));
    for (const option of ['mongoUrl', 'rootUrl']) {
      it(`${option}: missing`, () => refused(launch({ [option]: undefined }), 400, new RegExp(option)));
    }
    for (const option of ['appImage', 'mongoUrl', 'rootUrl']) {
      for (const [what, value] of Object.entries(notText)) it(`${option}: ${what}`, () => refused(launch({ [option]: value }), 400, new RegExp(option)));
      it(`${option}: empty`, () => refused(launch({ [option]: '' }), 400, new RegExp(option)));
    }
    for (const option of ['host', 'email']) {
      for (const what of ['a number', 'an object', 'an array']) it(`${option}: ${what}`, () => refused(launch({ [option]: notText[what] }), 400, new RegExp(option)));
    }
    const environments = {
      text: 'A=b',
      'a number': 5,
      'an array': ['A=b'],
      'a name with =': { 'A=B': 'c' },
      'an empty name': { '': 'c' },
      'a name with a NUL': { 'A\u0000': 'c' },
      'a value with a NUL': { A: 'c\u0000' },
      'a value that is an array': { A: ['c'] },
      'a PORT that is none': { PORT: 'eighty' },
      'a PORT beyond all ports': { PORT: '65536' },
      'METEOR_SETTINGS that are not JSON': { METEOR_SETTINGS: '{' },
    };
    for (const [what, env] of Object.entries(environments)) it(`env: ${what}`, () => refused(launch({ env }), 400));
    it('an image that is nowhere', () => refused(launch({ appImage: `${imagePrefix}not-there` }), 500));
  });

  describe('an object with options', () => {
    // null is as if it were left out.
    const { null: _, 'an object': __, ...others } = { text: 'options', ...notText };
    const methods = { awaitReady: 'timeout', getContainerInfo: 'replica', execOpen: 'replica', deploy: 'image' };
    for (const [what, value] of Object.entries(others)) {
      for (const [method, option] of Object.entries(methods)) {
        it(`${method}: ${what}`, () => refused(world.ddp.call(method, app.id, value), 400, new RegExp(`${option}.*second argument`)));
      }
      // What was meant for a dry run would have been none.
      it(`image/collectGarbage: ${what}`, () => refused(world.ddp.call('image/collectGarbage', value), 400, /dryRun/));
      it(`hook/create: ${what}`, () => refused(world.ddp.call('hook/create', value), 400, /name/));
      it(`appLogs: ${what}`, () => refused(world.ddp.subscribe('appLogs', app.id, value), 400, /tail/));
      it(`imageBuilds: ${what}`, () => refused(world.ddp.subscribe('imageBuilds', value), 400, /limit/));
    }
    it('deploy: an option of launchAppInstance', () => refused(world.ddp.call('deploy', app.id, { appImage }), 400, /image, env, limits, config, health.*appImage/));
  });

  describe('the second argument', () => {
    for (const method of ['setEnvironment', 'setRootUrl', 'scale', 'rollback']) {
      it(`${method}: is not asked for before the first`, () => refused(world.ddp.call(method, 5), 400, /instanceId/));
    }
  });

  describe('the name of an image', () => {
    const hostile = {
      empty: '',
      'with ;': 'a;touch /tmp/x',
      'with ..': '../a',
      'with a space': 'a b',
      'with a newline': 'a\nb',
      'with a NUL': 'a\u0000b',
      'in capitals': 'UPPER',
      'an option': '--privileged',
      'a URL': 'http://127.0.0.1/a',
      'a query': 'a?fromSrc=http://127.0.0.1/',
      'with an empty tag': 'a:',
      'of 300 characters': 'a'.repeat(300),
      'over-long': long,
    };
    let url;
    before(() => (url = world.archives.serve('never.tar', Buffer.alloc(0))));

    it('buildImageIfNotExist: missing', () => refused(world.ddp.call('buildImageIfNotExist'), 400));
    for (const [what, value] of Object.entries({ ...hostile, ...notText })) {
      it(`buildImageIfNotExist: ${what}`, async () => {
        await refused(world.ddp.call('buildImageIfNotExist', value, url), 400);
        assert.equal(world.archives.requests.get('/never.tar'), undefined, 'nothing is fetched for it');
      });
    }
    for (const [what, value] of Object.entries(hostile)) it(`launchAppInstance: ${what}`, () => refused(launch({ appImage: value }), 400));
  });

  describe('the address of an archive', () => {
    const build = (...url) => world.ddp.call('buildImageIfNotExist', `${imagePrefix}never`, ...url);
    it('missing', () => refused(build(), 400));
    for (const [what, value] of Object.entries(notText)) it(what, () => refused(build(value), 400));
    for (const [what, value] of Object.entries({ empty: '', 'no URL': 'app.tar.gz', 'with a newline': 'http://127.0.0.1/a\r\nX: y', 'over-long': `http://127.0.0.1/${long}` })) {
      it(what, () => refused(build(value), [400, 500]));
    }
  });

  describe('messages', () => {
    it('that are no DDP get an error message, and the connection goes on', async () => {
      const ddp = await world.connect();
      const before = ddp.messages.length;
      const malformed = ['', '{', '5', 'null', '[]', '{"msg":"nonsense"}', '{"msg":"method","id":5,"method":"x"}', '{"msg":"sub"}'];
      for (const text of malformed) ddp.send(text);
      assert.equal((await refused(ddp.call('startAppInstance'), 400)).error, 400);
      assert.equal(ddp.messages.slice(before).filter(({ msg }) => msg === 'error').length, malformed.length);
      await ddp.close();
    });

    it('that name what JavaScript objects have anyway are of no method and no publication', async () => {
      const ddp = await world.connect();
      for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty', '']) {
        assert.equal((await ddp.call(name).catch((error) => error)).error, 404, `method ${name}`);
        await assert.rejects(ddp.subscribe(name), { error: 404 }, `publication ${name}`);
      }
      await ddp.close();
    });

    it('that come by the hundred are all answered', async () => {
      const before = await containerIds();
      const calls = Array.from({ length: 300 }, (_, i) => refused(world.ddp.call('startAppInstance', `none-${i}`), 400));
      await Promise.all(calls);
      assert.deepEqual(await containerIds(), before);
    });
  });
});
