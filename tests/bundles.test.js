// Meteor bundles of several releases, with and without their packages: built as `meteor build` leaves them, and started.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleFiles, packed, packedWithModules, releases, tarball } from './support/bundles.js';
import { docker, image } from './support/docker.js';
import { World, imagePrefix, refused } from './support/world.js';

const contextScript = fileURLToPath(new URL('../docker/meteor-app/context', import.meta.url));
// npm gives up at once here, whatever it wants.
const npmWithoutNetwork = 'registry=http://127.0.0.1:9/\nfetch-retries=0\nfetch-timeout=1000\n';
const server = 'programs/server';

describe('Meteor bundles', () => {
  let world;
  const build = (name, archive) => world.ddp.call('buildImageIfNotExist', imagePrefix + name, world.archives.serve(`${name}.tar.gz`, archive));
  const layers = async (name) => (await image(imagePrefix + name)).RootFS.Layers;

  async function facts(name) {
    const app = await world.launch(name, { appImage: imagePrefix + name, hostname: `${name}.test` });
    const told = (await app.get('/').expect(200)).json();
    await app.call('remove');
    return told;
  }

  before(async () => {
    world = await World.start();
  });
  after(() => world?.close());

  for (const [release, { node, packages }] of Object.entries(releases)) {
    const major = node.split('.')[0];
    const expected = { uid: 1000, cwd: '/bundle/programs/server', fiber: packages.fibers ? true : null, sourceMapSupport: '0.4.18' };

    it(`of ${release}, whose packages come from npm`, async () => {
      const name = `meteor-${release}-npm`;
      assert.equal(await build(name, packed(bundleFiles(release))), true);
      const told = await facts(name);
      assert.equal(told.node.split('.')[0], `v${major}`);
      assert.equal(told.compiled, told.node, 'the binary packages that the app brought along were built anew');
      for (const [fact, value] of Object.entries(expected)) assert.equal(told[fact], value, fact);
    });

    it(`of ${release}, with node_modules, without any network`, async () => {
      const name = `meteor-${release}-carried`;
      const files = { ...bundleFiles(release), [`${server}/.npmrc`]: npmWithoutNetwork };
      assert.equal(await build(name, await packedWithModules(release, files)), true);
      const told = await facts(name);
      assert.equal(told.node.split('.')[0], `v${major}`);
      assert.equal(told.compiled, 'as packed', 'nothing was run');
      for (const [fact, value] of Object.entries(expected)) assert.equal(told[fact], value, fact);
    });
  }

  describe('built again', () => {
    const files = bundleFiles('3.3');

    before(() => build('first', packed(files)));

    it('under another name and unchanged are the same image', async () => {
      await build('same', packed(files));
      assert.deepEqual(await layers('same'), await layers('first'));
    });

    it('with another app install and rebuild nothing', async () => {
      await build('other-app', packed({ ...files, [`${server}/assets/app/greeting`]: 'good morning\n' }));
      const [before, now] = [await layers('first'), await layers('other-app')];
      assert.deepEqual(now.slice(0, -1), before.slice(0, -1));
      assert.notEqual(now.at(-1), before.at(-1));
      assert.equal((await facts('other-app')).greeting, 'good morning');
    });

    it('with another list of binary packages rebuild those, and install nothing', async () => {
      await build('other-list', packed({ ...files, [`${server}/npm-rebuilds.json`]: '["npm", "npm"]' }));
      const [before, now] = [await layers('first'), await layers('other-list')];
      assert.deepEqual(now.slice(0, -3), before.slice(0, -3));
      assert.notEqual(now.at(-2), before.at(-2), "npm-rebuild.js's layer");
    });

    it('with other packages install those', async () => {
      const text = files[`${server}/package.json`].replace('"1.13.7"', '"1.13.6"');
      await build('other-packages', packed({ ...files, [`${server}/package.json`]: text }));
      assert.notEqual((await layers('other-packages')).at(-4), (await layers('first')).at(-4));
    });
  });

  describe('with scripts of their own', () => {
    const script = (file) => `set -e\n[ -d /bundle/programs/server/node_modules/semver ]\necho "$(id -u) $PWD $BASH" > ${file}\n`;
    const both = { [`${server}/setup.sh`]: script('/tmp/setup-server'), 'setup.sh': script('/tmp/setup-bundle') };
    const expected = ['0 /bundle/programs/server', '0 /bundle'];

    it('run them as root when the packages are installed, and the app as an ordinary user', async () => {
      await build('setup', packed({ ...bundleFiles('3.3'), ...both }));
      const told = await facts('setup');
      assert.deepEqual(told.setup.map((line) => line.replace(/ \S*bash$/, '')), expected);
      assert.equal(told.uid, 1000);
    });

    it('do so with node_modules, too', async () => {
      await build('setup-carried', await packedWithModules('1.8', { ...bundleFiles('1.8'), ...both }));
      const told = await facts('setup-carried');
      assert.deepEqual(told.setup.map((line) => line.replace(/ \S*bash$/, '')), expected);
      assert.equal(told.uid, 1000);
    });

    it('fail when these fail, and say what was printed, also about another npm', async () => {
      const star = bundleFiles('3.3')['star.json'].replace('"10.9.2"', '"1.2.3"');
      const files = { ...bundleFiles('3.3'), 'star.json': star, 'setup.sh': 'echo no such font\nexit 3\n' };
      const { details } = await refused(build('setup-fails', packed(files)), 500, /no such font/);
      const [, id] = details.match(/\(build (\w+)\)$/);
      await world.ddp.subscribe('buildLog', id);
      const log = [...world.ddp.collection('BuildLog').values()].map(({ text }) => text).join('\n');
      assert.match(log, /npm 10\.\d+\.\d+ of the base image installs the packages; the bundle was made with npm 1\.2\.3/);
      assert.equal(await image(`${imagePrefix}setup-fails`), null);
    });
  });

  it('can be made images by hand, which are the same', async () => {
    const archive = await packedWithModules('3.0', bundleFiles('3.0'));
    const [path, context] = [join(world.temporary, 'by-hand.tar.gz'), join(world.folder, 'by-hand')];
    await writeFile(path, archive);
    await promisify(execFile)(contextScript, [path, context]);
    await docker('build', '--tag', `${imagePrefix}by-hand`, context);
    await build('launched', archive);
    assert.deepEqual(await layers('launched'), await layers('by-hand'));
  });

  it('whose tarball is to be taken from the bundle keep its URL', async () => {
    const strict = await World.start({ flags: ['--source-map-support', 'bundle'] });
    try {
      // A port where nothing listens in any container, so that npm fails at once.
      const text = bundleFiles('3.3')[`${server}/package.json`].replace(tarball, 'http://127.0.0.1:9/source-map-support.tgz');
      const files = { ...bundleFiles('3.3'), [`${server}/package.json`]: text, [`${server}/.npmrc`]: 'fetch-retries=0\n' };
      delete files[`${server}/npm-shrinkwrap.json`];
      const url = strict.archives.serve('kept.tar.gz', packed(files));
      await refused(strict.ddp.call('buildImageIfNotExist', `${imagePrefix}kept`, url), 500, /127\.0\.0\.1:9/);
    } finally {
      await strict.close();
    }
  });
});
