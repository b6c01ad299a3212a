// buildImageIfNotExist: both forms of archive, and everything that is not one.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { dockerfile, meteorBundle, meteorBundleWith, tar } from './support/archives.js';
import { added, buildLabel, buildRemains, docker, image } from './support/docker.js';
import { freePort } from './support/ports.js';
import { until } from './support/until.js';
import { World, appImage, imagePrefix, refused } from './support/world.js';

// npm gives up at once here, whatever it wants.
const npmWithoutNetwork = 'registry=http://127.0.0.1:9/\nfetch-retries=0\nfetch-timeout=1000\n';

describe('building images', () => {
  let world, server;
  const build = (name, url) => world.ddp.call('buildImageIfNotExist', imagePrefix + name, url);

  before(async () => {
    world = await World.start();
    server = world.archives;
    await world.app();
  });
  after(() => world?.close());

  describe('from a tar with a Dockerfile', () => {
    const sources = { plain: (bytes) => bytes, gzipped: gzipSync };
    for (const [form, packed] of Object.entries(sources)) {
      it(`${form}`, async () => {
        const url = server.serve(`${form}.tar`, packed(dockerfile('FROM scratch\nCOPY hello /hello\nLABEL form=tar\n', { hello: 'hello\n' })));
        assert.equal(await build(form, url), true);

        const made = await image(imagePrefix + form);
        assert.equal(made.Config.Labels.form, 'tar');
        const [document, ...others] = await until(() => world.imageDocuments(imagePrefix + form).length > 0 && world.imageDocuments(imagePrefix + form), 'the document');
        assert.deepEqual(others, []);
        assert.equal(document.imageId, made.Id);
        assert.equal(document.sourceUrl, url);
        assert.equal(document.size, made.Size);
        assert.ok(document.createdAt instanceof Date);
      });
    }

    it('with files as deep as the Dockerfile wants them', async () => {
      const url = server.serve('deep.tar', dockerfile(`FROM ${appImage}\nCOPY a /a\nRUN test "$(cat /a/b/c.txt)" = deep\n`, { 'a/b/c.txt': 'deep' }));
      assert.equal(await build('deep', url), true);
    });

    it('whose setuid bits it does not keep', async () => {
      const archive = tar([
        { name: 'Dockerfile', body: `FROM ${appImage}\nCOPY program /\nRUN test -x /program && test ! -u /program && test ! -g /program\n` },
        { name: 'program', body: '#!/bin/sh\n', mode: 0o6755 },
      ]);
      assert.equal(await build('setuid', server.serve('setuid.tar', archive)), true);
    });

    it('from a server that answers late, and slowly', async () => {
      const archive = dockerfile('FROM scratch\nCOPY Dockerfile /\n');
      const url = server.serve('slow.tar', async (_, response) => {
        await delay(500);
        for (let at = 0; at < archive.length; at += 500) {
          response.write(archive.subarray(at, at + 500));
          await delay(100);
        }
        response.end();
      });
      assert.equal(await build('slow', url), true);
    });

    it('behind a redirect', async () => {
      const url = server.serve('target.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n'));
      const from = server.serve('from.tar', (_, response) => response.writeHead(307, { Location: url }).end());
      assert.equal(await build('redirected', from), true);
    });

    it('with links that stay inside', async () => {
      const archive = tar([
        { name: 'Dockerfile', body: `FROM ${appImage}\nCOPY . /x\nRUN test "$(cat /x/link)" = hello\n` },
        { name: 'hello', body: 'hello' },
        { name: 'link', type: '2', link: 'hello' },
      ]);
      assert.equal(await build('links', server.serve('links.tar', archive)), true);
    });
  });

  describe('from a Meteor bundle', () => {
    // Launches what was built and asks the app about its inside.
    async function inside(name) {
      const app = await world.launch(name, { appImage: imagePrefix + name, hostname: `${name}.test` });
      const facts = (await app.get('/inside').expect(200)).json();
      await app.call('remove');
      return facts;
    }

    it('whose dependencies come from npm', async () => {
      assert.equal(await build('from-npm', server.serve('from-npm.tar.gz', await meteorBundle())), true);
      const facts = await inside('from-npm');
      assert.match(facts.node, /^v22\./);
      assert.equal(facts.rebuilt, true, "the bundle's install script ran");
      assert.equal(facts.sourceMapSupport, '0.4.18');
    });

    it('that carries its node_modules, without any network', async () => {
      const bundle = await meteorBundleWith({ 'bundle/programs/server/.npmrc': npmWithoutNetwork, 'bundle/.npmrc': npmWithoutNetwork }, '--with-node-modules');
      assert.equal(await build('carried', server.serve('carried.tar.gz', bundle)), true);
      assert.match((await inside('carried')).node, /^v22\./);
    });

    it('that names source-map-support by the URL of a tarball', async () => {
      assert.equal(await build('by-url', server.serve('by-url.tar.gz', await meteorBundle('--dependency-by-url'))), true);
      assert.equal((await inside('by-url')).sourceMapSupport, '0.4.18', "the registry's version takes its place");
    });

    it('made for another Node', async () => {
      assert.equal(await build('node-20', server.serve('node-20.tar.gz', await meteorBundle('--node', '20.11.1'))), true);
      assert.match((await inside('node-20')).node, /^v20\./);
    });

    it('whose binary modules cannot be built anew, with those that it brought along', async () => {
      const broken = `if (process.env.METEOR_SKIP_NPM_REBUILD) process.exit(0);
        require('fs').rmSync(__dirname + '/npm/node_modules/meteor/stand-in', { recursive: true });
        process.exit(1);`;
      const bundle = await meteorBundleWith({ 'bundle/programs/server/npm-rebuild.js': broken });
      assert.equal(await build('as-packed', server.serve('as-packed.tar.gz', bundle)), true);
      await inside('as-packed');
    });

    it('as an ordinary user, under an init', async () => {
      const facts = await inside('from-npm');
      assert.notEqual(facts.uid, 0);
      assert.notEqual(facts.processOne, 'node');
      assert.equal(facts.noNewPrivileges, true);
    });
  });

  it('does nothing when an image of that name exists, not even a download', async () => {
    const url = server.serve('never.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n'));
    const before = await image(appImage);
    assert.equal(await world.ddp.call('buildImageIfNotExist', appImage, url), true);
    assert.equal((await image(appImage)).Id, before.Id);
    assert.equal(server.requests.get('/never.tar'), undefined);
  });

  describe('refuses, and leaves nothing behind:', () => {
    let before, name;
    let count = 0;

    const state = async () => ({
      builds: await buildRemains(),
      containers: new Set((await world.containers()).map(({ Id }) => Id)),
      files: new Set(await world.leftovers()),
      documents: new Set(world.images.keys()),
    });

    beforeEach(async () => {
      before = await state();
      name = `wrong-${++count}`;
    });

    // An image that somebody else made before, with nothing but an id.
    async function unnamedImage(label) {
      const container = await docker('create', appImage);
      const id = await docker('commit', '--change', `LABEL other=${label}`, container);
      await docker('rm', container);
      return id;
    }

    async function leavesNothing() {
      const nothing = { builds: [], containers: [], files: [], documents: [] };
      let left;
      await until(
        async () => {
          const after = await state();
          left = Object.fromEntries(Object.keys(after).map((kind) => [kind, added(before[kind], after[kind])]));
          return JSON.stringify(left) === JSON.stringify(nothing);
        },
        () => `nothing left behind; there is ${JSON.stringify(left)}`,
        20_000,
      );
      assert.equal(await image(imagePrefix + name), null);
      assert.equal(world.exitCode, null, 'the server goes on');
    }

    const bytes = (make) => async () => server.serve(`${name}.tar`, await make());
    const wrong = {
      'a file: URL': [() => 'file:///etc/passwd', [400, 500]],
      'an ftp: URL': [() => 'ftp://127.0.0.1/a.tar', [400, 500]],
      'a URL where nothing listens': [async () => `http://127.0.0.1:${await freePort()}/a.tar`, 500, /could not be fetched: .*refused/i],
      'a host that does not exist': [() => 'http://nowhere.invalid/a.tar', 500, /nowhere\.invalid\/a\.tar could not be fetched/],
      'a URL that answers 404': [() => `${server.origin}/missing.tar`, 500, /missing\.tar answered 404 Not Found/],
      'a URL that answers 500': [() => server.serve('ill.tar', (_, response) => response.writeHead(500).end('ill')), 500, /ill\.tar answered 500/],
      'a redirect to a file: URL': [() => server.serve('away.tar', (_, response) => response.writeHead(302, { Location: 'file:///etc/passwd' }).end()), [400, 500], /redirects to something that is not a usable URL/],
      'a redirect to itself': [() => server.serve('round.tar', (_, response) => response.writeHead(302, { Location: '/round.tar' }).end()), 500, /round\.tar redirects more than 5 times/],
      'HTML': [bytes(() => Buffer.from('<!DOCTYPE html><title>Log in</title>'.padEnd(2000, ' '))), 500, /not a tar archive \(plain or gzip\) but an HTML page/],
      'nothing at all': [bytes(() => Buffer.alloc(0)), 500, /the archive is empty/],
      'a tar without entries': [bytes(() => tar([])), 500, /the archive is empty/],
      'a tar with neither Dockerfile nor bundle': [bytes(() => tar([{ name: 'readme', body: 'hello' }])), 500, /no Dockerfile at its root and is not a Meteor bundle/],
      'a tar that is cut off': [bytes(() => dockerfile('FROM scratch\nCOPY x /\n', { x: 'x'.repeat(5000) }).subarray(0, 3000)), 500, /the archive is cut off/],
      'a gzip that is cut off': [bytes(async () => (await meteorBundle('--with-node-modules')).subarray(0, 100_000)), 500, /the archive is cut off/],
      'a gzip of noise': [bytes(() => gzipSync(Buffer.alloc(4096, 'noise'))), 500],
      'a download that breaks off': [
        () => server.serve('broken.tar', (_, response) => {
          response.writeHead(200, { 'Content-Length': 100_000 });
          response.write(Buffer.alloc(1000), () => response.destroy());
        }),
        500,
        /the download was cut off after 1000 bytes of 100000/,
      ],
      'a download of fewer bytes than announced': [
        () => server.serve('short.tar', (_, response) => {
          response.writeHead(200, { 'Content-Length': 5000 });
          const { socket } = response;
          response.end('short', () => socket.end());
        }),
        500,
        /the download was cut off after 5 bytes of 5000/,
      ],
      'a download of more bytes than announced': [
        () => server.serve('long.tar', (_, response) => {
          const archive = dockerfile('FROM scratch\nCOPY Dockerfile /\n');
          response.socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'), archive]));
        }),
        500,
        /the archive is cut off/,
      ],
      'a download in chunks that breaks off': [
        () => server.serve('chunks.tar', (_, response) => response.write('some', () => response.destroy())),
        500,
        /the download was cut off after 4 bytes/,
      ],
      'a zip': [bytes(() => Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(1000)])), 500, /but a zip file/],
      'an xz archive': [bytes(() => Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), Buffer.alloc(1000)])), 500, /but an xz file/],
      'a zstd archive': [bytes(() => Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(1000)])), 500, /but a zstd file/],
      'a bzip2 archive': [bytes(() => Buffer.concat([Buffer.from('BZh9'), Buffer.alloc(1000)])), 500, /but a bzip2 file/],
      "a Meteor app's source tree": [
        bytes(() => tar([{ name: 'app/.meteor/release', body: 'METEOR@3.3\n' }, { name: 'app/package.json', body: '{}' }])),
        500,
        /source tree of a Meteor app .* "meteor build <directory> --architecture os\.linux\.x86_64"/,
      ],
      'an npm project': [bytes(() => tar([{ name: 'package/package.json', body: '{}' }, { name: 'package/index.js' }])), 500, /this is an npm project/],
      'a bundle in another folder': [
        bytes(() => tar([{ name: 'out/bundle/main.js' }, { name: 'out/bundle/programs/server/boot.js' }])),
        500,
        /a Meteor bundle lies in "out\/bundle"/,
      ],
      'a bundle for another architecture': [
        bytes(() => meteorBundleWith({ 'bundle/star.json': '{"nodeVersion":"22.18.0","programs":[{"name":"server","arch":"os.osx.arm64"}]}' })),
        500,
        /was made for os\.osx\.arm64, but images are built for os\.linux\.x86_64 here; make it with "meteor build <directory> --architecture os\.linux\.x86_64"/,
      ],
      'a bomb': [bytes(() => gzipSync(dockerfile('FROM scratch\n', { zeros: Buffer.alloc(200 << 20) }))), 500, /like an archive bomb/],
      'a crowd of entries': [
        () => server.serve('crowd.tar', (_, response) => {
          const entry = tar([{ name: 'f' }]).subarray(0, 512);
          const thousand = Buffer.concat(Array.from({ length: 1000 }, () => entry));
          Readable.from(Array.from({ length: 501 }, () => thousand)).pipe(response);
        }),
        500,
        /more than 500000 entries/,
      ],
      'a name that is not UTF-8': [bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\n' }, { name: Buffer.from('caf\xe9', 'latin1') }])), 500, /not UTF-8/],
      'a file below a link out of the tree': [
        bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\n' }, { name: 'out', type: '2', link: '/etc' }, { name: 'out/passwd' }])),
        500,
        /lies behind a symbolic link/,
      ],
      'a Dockerfile that is a link out of the tree': [bytes(() => tar([{ name: 'Dockerfile', type: '2', link: '/etc/passwd' }, { name: 'x' }])), 500, /leads out of the archive/],
      'a file and a folder of one name': [
        bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\n' }, { name: 'x' }, { name: 'x/y' }])),
        500,
        /its entry "x\/y" lies below a file/,
      ],
      'an entry that climbs out with ../': [bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\nCOPY Dockerfile /\n' }, { name: '../../escaped', body: 'x' }])), 500, /its entry "\.\.\/\.\.\/escaped" has "\.\." in its path/],
      'an entry with an absolute name': [bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\nCOPY Dockerfile /\n' }, { name: '/tmp/meteor-launcher-escaped', body: 'x' }])), 500, /has an absolute path/],
      'a symbolic link out of the tree': [bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\nCOPY out /\n' }, { name: 'out', type: '2', link: '../../../etc/passwd' }])), 500, /is a link that leads out of the archive/],
      'a hard link out of the tree': [bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\nCOPY out /\n' }, { name: 'out', type: '1', link: '/etc/passwd' }])), 500, /is a hard link that leads out of the archive/],
      'a device': [bytes(() => tar([{ name: 'Dockerfile', body: 'FROM scratch\nCOPY Dockerfile /\n' }, { name: 'null', type: '3' }])), 500, /is a device/],
      'a Dockerfile that Docker cannot read': [bytes(() => dockerfile('FRUM scratch\n')), 500],
      'a Dockerfile whose step fails': [bytes(() => dockerfile(`FROM ${appImage}\nLABEL ${buildLabel}\nRUN echo before\nRUN exit 7\n`)), 500],
      'a Dockerfile whose second stage fails': [
        bytes(() => dockerfile(`FROM ${appImage} AS one\nLABEL ${buildLabel}\nRUN echo one > /tmp/one\nFROM ${appImage}\nLABEL ${buildLabel}\nRUN exit 7\n`)),
        500,
      ],
      'a base image that does not exist': [bytes(() => dockerfile(`FROM ${imagePrefix}not-there:at-all\n`)), 500],
      'a bundle whose star.json is not JSON': [bytes(() => meteorBundleWith({ 'bundle/star.json': '{' })), 500, /star\.json is not valid JSON/],
      'a bundle without its main.js': [
        bytes(() => tar([{ name: 'bundle/star.json', body: '{"nodeVersion":"22.18.0"}' }, { name: 'bundle/programs/server/package.json', body: '{}' }])),
        500,
        /main\.js is missing/,
      ],
      'a bundle whose Node version is a command': [
        bytes(() => meteorBundleWith({ 'bundle/star.json': '{"format":"site-archive-pre1","nodeVersion":"22\\nRUN touch /x"}', 'bundle/.node_version.txt': 'v22\nRUN touch /x\n' })),
        500,
      ],
    };

    for (const [what, [url, code, words]] of Object.entries(wrong)) {
      it(what, async () => {
        await refused(build(name, await url()), code, words);
        await leavesNothing();
      });
    }

    it("but not the base of a failed build, though it has no name and a program prints others' ids", async () => {
      const base = await unnamedImage(`base-${name}`);
      const other = await unnamedImage(`other-${name}`);
      try {
        const printed = `RUN echo ' ---> ${other.slice(7, 19)}'`;
        const url = server.serve('by-id.tar', dockerfile(`FROM ${base.slice(7)}\nLABEL ${buildLabel}\n${printed}\nRUN exit 7\n`));
        await refused(build(name, url), 500);
        assert.ok((await image(base)) && (await image(other)));
      } finally {
        await docker('rmi', '--force', base, other);
      }
      await leavesNothing();
    });

    it('says what failed in a build, and which build', async () => {
      const url = server.serve('seven.tar', dockerfile(`FROM ${appImage}\nLABEL ${buildLabel}\nRUN exit 7\n`));
      const { details } = await refused(build(name, url), 500, /7/);
      assert.match(details, /build \S*[2-9A-HJ-NP-TW-Za-km-z]{17}/i);
      await leavesNothing();
    });

    it('keeps the password of a URL to itself', async () => {
      const url = `${server.origin.replace('http://', 'http://user:hunter2@')}/secret.tar?token=hunter3`;
      const { wire } = await refused(build(name, url), [400, 500]);
      assert.doesNotMatch(JSON.stringify(wire), /hunter[23]/);
      await leavesNothing();
    });

    it('and builds the same name when the archive is right', async () => {
      await refused(build(name, server.serve('later.tar', tar([]))), 500);
      const url = server.serve('later.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n'));
      assert.equal(await build(name, url), true);
      assert.ok(await image(imagePrefix + name));
    });
  });

  it('fetches nothing from private addresses unless it is told to', async () => {
    const guarded = await World.start({ privateSources: false });
    try {
      const port = guarded.archives.http.address().port;
      guarded.archives.serve('x.tar', dockerfile('FROM scratch\nCOPY Dockerfile /\n'));
      for (const host of ['127.0.0.1', 'localhost', '[::1]', '2130706433', '0x7f.1', '0', '[::ffff:127.0.0.1]', '169.254.169.254', '10.0.0.1']) {
        const call = guarded.ddp.call('buildImageIfNotExist', `${imagePrefix}private`, `http://${host}:${port}/x.tar`);
        await refused(call, 500, /is in a private or otherwise reserved address range/);
      }
      assert.equal(guarded.archives.requests.size, 0);
    } finally {
      await guarded.close();
    }
  });
});
