// Archives that callers upload: tus-js-client and curl, cut connections, kill -9, and what is refused.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import * as tus from 'tus-js-client';
import { dockerfile } from './support/archives.js';
import { image } from './support/docker.js';
import { request } from './support/http.js';
import { until } from './support/until.js';
import { World, imagePrefix, refused } from './support/world.js';

const run = promisify(execFile);
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const tusHeaders = { 'Tus-Resumable': '1.0.0' };
const bytesHeaders = { ...tusHeaders, 'Content-Type': 'application/offset+octet-stream' };

describe('uploading an archive', () => {
  let world;

  before(async () => {
    world = await World.start();
    await world.ddp.subscribe('imageBuilds');
  });
  after(() => world?.close());

  // An archive that is different each time, larger than any buffer on its way.
  const archive = (size = 3 << 20) => dockerfile('FROM scratch\nCOPY Dockerfile /\n', { padding: randomBytes(size) });
  const announce = (bytes) => world.ddp.call('image/createUpload', { size: bytes.length, sha256: sha256(bytes) });
  const files = () => readdir(join(world.dataDir, 'uploads'));
  const isGone = async ({ uploadId }) => assert.ok(!(await files()).includes(uploadId), 'its file is gone');

  // A request to an upload, by its URL.
  const ask = (method, { url }, headers = {}, body = undefined) => {
    const { host, pathname, search } = new URL(url);
    return request(world.port, host, pathname + search, { method, headers, body });
  };
  const head = async (upload) => Number((await ask('HEAD', upload, tusHeaders).expect(200)).headers['upload-offset']);
  const patch = (upload, offset, bytes) => ask('PATCH', upload, { ...bytesHeaders, 'Upload-Offset': offset, 'Content-Length': bytes.length }, bytes);

  // Builds from an upload, to its end.
  async function build(name, upload) {
    const id = await world.ddp.call('image/build', { name: imagePrefix + name, upload: upload.uploadId });
    const builds = world.ddp.collection('Builds');
    await until(() => ['succeeded', 'failed'].includes(builds.get(id)?.status), () => `the end of ${JSON.stringify(builds.get(id))}`);
    return builds.get(id);
  }

  // Sends the first bytes of a request, and cuts the connection when they are on disk.
  async function cutOff(upload, offset, bytes, announced) {
    const { host, pathname } = new URL(upload.url);
    const headers = { ...bytesHeaders, Host: host, 'Upload-Offset': offset, 'Content-Length': announced };
    const outgoing = http.request({ host: '127.0.0.1', port: world.port, path: pathname, method: 'PATCH', headers });
    outgoing.on('error', () => {});
    outgoing.write(bytes);
    const file = join(world.dataDir, 'uploads', upload.uploadId);
    await until(async () => (await stat(file)).size === offset + bytes.length, 'the bytes to be on disk');
    return outgoing;
  }

  const withTus = (bytes, options) =>
    new Promise((resolve, reject) => {
      const upload = new tus.Upload(bytes, { retryDelays: [0, 100, 1000, 3000], onError: reject, onSuccess: () => resolve(upload), ...options });
      upload.start();
    });

  describe('with tus-js-client', () => {
    it('by the URL, in pieces, and builds from it', async () => {
      const bytes = archive();
      const upload = await announce(bytes);
      assert.match(upload.url, new RegExp(`^http://127\\.0\\.0\\.1:${world.port}/uploads/[A-Za-z0-9]{32}$`));
      assert.ok(upload.expiresAt - Date.now() > 23 * 3600_000);
      await withTus(bytes, { uploadUrl: upload.url, chunkSize: 1 << 20 });
      assert.equal(await head(upload), bytes.length);

      const built = await build('by-url', upload);
      assert.equal(built.status, 'succeeded', built.error);
      assert.equal(built.source, `upload:${upload.uploadId}`);
      assert.equal(built.receivedBytes, bytes.length);
      assert.ok(await image(`${imagePrefix}by-url`));
      await isGone(upload);
      await refused(world.ddp.call('image/build', { name: `${imagePrefix}again`, upload: upload.uploadId }), 400, /has been used/);
      await ask('HEAD', upload, tusHeaders).expect(410);
    });

    it('by POST with the token, once', async () => {
      const bytes = archive();
      const { token, uploadId, url } = await announce(bytes);
      const endpoint = `http://127.0.0.1:${world.port}/uploads`;
      const sent = await withTus(bytes, { endpoint, headers: { Authorization: `Bearer ${token}` } });
      assert.equal(sent.url, url);
      const again = withTus(bytes, { endpoint, headers: { Authorization: `Bearer ${token}` }, retryDelays: null });
      await assert.rejects(again, /response code: 409/);
      assert.equal((await build('by-token', { uploadId })).status, 'succeeded');
    });

    it('goes on after a cut connection, with the first bytes in the POST', async () => {
      const bytes = archive();
      const upload = await announce(bytes);
      const outgoing = await cutOff(upload, 0, bytes.subarray(0, 1 << 20), bytes.length);
      outgoing.destroy();
      const offsets = [];
      await withTus(bytes, { uploadUrl: upload.url, onProgress: (sent) => offsets.push(sent) });
      assert.ok(offsets[0] >= 1 << 20, `it began at ${offsets[0]}`);
      const small = Buffer.from(archive(100));
      const { token, uploadId } = await announce(small);
      await withTus(small, { endpoint: `http://127.0.0.1:${world.port}/uploads/`, uploadDataDuringCreation: true, metadata: { token } });
      assert.equal((await build('in-post', { uploadId })).status, 'succeeded');
    });
  });

  describe('with curl', () => {
    it('as a whole', async () => {
      const [bytes, file] = [archive(), join(world.folder, 'whole.tar')];
      await writeFile(file, bytes);
      const upload = await announce(bytes);
      const { stdout } = await run('curl', ['--silent', '--show-error', '--fail', '--upload-file', file, upload.url]);
      assert.equal(stdout, `The upload ${upload.uploadId} is complete.\n`);
      assert.equal((await build('by-curl', upload)).status, 'succeeded');
    });

    it('that sends something else is told so', async () => {
      const [bytes, file] = [archive(), join(world.folder, 'other.tar')];
      await writeFile(file, archive());
      const upload = await announce(bytes);
      const { stdout } = await run('curl', ['--silent', '--write-out', '%{http_code}', '--upload-file', file, upload.url]);
      assert.match(stdout, /not the announced one; the upload was removed\n460$/);
      await ask('HEAD', upload, tusHeaders).expect(410);
      assert.match((await patch(upload, 0, bytes)).text, /did not have the announced SHA-256/);
      await refused(world.ddp.call('image/build', { name: `${imagePrefix}x`, upload: upload.uploadId }), 400, /did not have the announced SHA-256/);
    });
  });

  it('goes on where it was after kill -9, and builds then', async () => {
    const bytes = archive();
    const [upload, whole] = [await announce(bytes), await announce(bytes)];
    await patch(whole, 0, bytes).expect(204);
    const outgoing = await cutOff(upload, 0, bytes.subarray(0, 1 << 20), bytes.length);
    await writeFile(join(world.dataDir, 'uploads', 'stranger'), 'left over');
    await world.crash();
    outgoing.destroy();
    await world.startLauncher();
    await world.ddp.subscribe('imageBuilds');
    assert.equal(await head(upload), 1 << 20);
    await isGone({ uploadId: 'stranger' });
    await patch(upload, 1 << 20, bytes.subarray(1 << 20)).expect(204);
    assert.equal((await build('after-crash', upload)).status, 'succeeded');
    assert.equal((await build('after-crash', whole)).status, 'succeeded');
  });

  it('is kept when its build fails, and not when it succeeds', async () => {
    const bytes = dockerfile('FRUM scratch\n');
    const upload = await announce(bytes);
    await refused(world.ddp.call('image/build', { name: `${imagePrefix}early`, upload: upload.uploadId }), 400, `this upload is not complete: 0 of ${bytes.length} bytes came`);
    await patch(upload, 0, bytes).expect(204);
    for (const _ of [1, 2]) assert.equal((await build('failing', upload)).status, 'failed');
    assert.equal(await head(upload), bytes.length);
    await ask('DELETE', upload, tusHeaders).expect(204);
    await ask('HEAD', upload, tusHeaders).expect(404);
    await isGone(upload);
  });

  describe('answers as tus says:', () => {
    it('what it can', async () => {
      const answer = await ask('OPTIONS', { url: 'http://127.0.0.1/uploads' }).expect(204);
      assert.equal(answer.headers['tus-version'], '1.0.0');
      assert.equal(answer.headers['tus-max-size'], String(2 << 30 >>> 0));
      assert.match(answer.headers['tus-extension'], /creation,creation-with-upload/);
    });

    it('to each mistake its own', async () => {
      const bytes = archive(10_000);
      const upload = await announce(bytes);
      const offset = { 'Upload-Offset': '0' };
      await patch(upload, 0, bytes.subarray(0, 100)).expect(204);
      await patch(upload, 0, bytes.subarray(0, 100)).expect(409);
      await patch(upload, 100, bytes).expect(413);
      await ask('PATCH', upload, { ...bytesHeaders, 'Tus-Resumable': '0.2.2', ...offset }, 'x').expect(412);
      await ask('PATCH', upload, { ...bytesHeaders, 'Content-Type': 'text/plain', ...offset }, 'x').expect(415);
      await ask('PATCH', upload, bytesHeaders, 'x').expect(400);
      await ask('PATCH', upload, { ...bytesHeaders, 'Upload-Offset': '-1' }, 'x').expect(400);
      await ask('GET', upload).expect(405);
      await ask('PUT', upload, {}, 'short').expect(400);
      await ask('HEAD', { url: `${upload.url}x` }, tusHeaders).expect(404);
      assert.equal(await head(upload), 100);
      const overridden = await ask('POST', upload, { ...bytesHeaders, 'X-HTTP-Method-Override': 'PATCH', 'Upload-Offset': 100 }, bytes.subarray(100));
      assert.equal(overridden.status, 204);
    });

    it('423 to a second request while one is under way', async () => {
      const bytes = archive(10_000);
      const upload = await announce(bytes);
      const outgoing = await cutOff(upload, 0, bytes.subarray(0, 100), bytes.length);
      await patch(upload, 100, bytes.subarray(100)).expect(423);
      await ask('DELETE', upload, tusHeaders).expect(423);
      outgoing.destroy();
      // The launcher hears of the end of the connection in its own time.
      await until(async () => (await patch(upload, 100, bytes.subarray(100))).status === 204, 'the upload to be free');
    });

    it('401 to a POST without a token that is good', async () => {
      const { token } = await announce(Buffer.from('hello'));
      const post = (path, headers) => ask('POST', { url: `http://127.0.0.1${path}` }, { ...tusHeaders, 'Upload-Length': 5, ...headers });
      for (const authorization of ['', 'Bearer guess', `Basic ${token}`]) await post('/uploads', { Authorization: authorization }).expect(401);
      await post(`/uploads?token=${token}`, { 'Upload-Length': 6 }).expect(400);
      const created = await post(`/uploads?token=${token}`).expect(201);
      assert.equal(created.headers.location, `/uploads/${token}`);
    });

    it('403 to pages of other sites, and to other names', async () => {
      const upload = await announce(Buffer.from('hello'));
      for (const method of ['OPTIONS', 'HEAD', 'PATCH', 'PUT', 'DELETE', 'POST']) {
        const answer = await ask(method, upload, { ...bytesHeaders, Origin: 'https://evil.test' }).expect(403);
        assert.equal(answer.headers['access-control-allow-origin'], undefined);
      }
      await request(world.port, 'evil.test', new URL(upload.url).pathname, { headers: tusHeaders }).expect(403);
    });
  });

  describe('is refused by the method', () => {
    const wrong = {
      'without anything': [undefined, 400],
      'without a size': [{ sha256: sha256('') }, 400],
      'with a size of nothing': [{ size: 0, sha256: sha256('') }, 400],
      'with half a byte': [{ size: 1.5, sha256: sha256('') }, 400],
      'without a SHA-256': [{ size: 1 }, 400],
      'with another hash': [{ size: 1, sha256: 'd41d8cd98f00b204e9800998ecf8427e' }, 400],
      'with more than an archive may have': [{ size: (2 << 30 >>> 0) + 1, sha256: sha256('') }, 413],
    };
    for (const [what, [options, code]] of Object.entries(wrong)) {
      it(what, async () => {
        const error = await world.ddp.call('image/createUpload', options).catch((raised) => raised);
        assert.equal(error.error, code, String(error));
        assert.equal(typeof error.details, 'string');
      });
    }

    it('when it is to be built with a URL as well, or does not exist', async () => {
      const name = `${imagePrefix}x`;
      await refused(world.ddp.call('image/build', { name, upload: 'nothing' }), 400, /No upload has ID nothing/);
      await refused(world.ddp.call('image/build', { name, upload: 'a', url: 'http://a.test/' }), 400, /either the url option/);
      await refused(world.ddp.call('image/build', { name, upload: 7 }), 400, /upload option/);
    });
  });
});
