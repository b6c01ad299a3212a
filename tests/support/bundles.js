// Bundles in the layouts that releases of Meteor make, read-only as Meteor makes them, with a program of a few lines in place of the app.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { tar } from './archives.js';

const run = promisify(execFile);

/** What every bundle names instead of a version of `source-map-support`. */
export const tarball = 'https://github.com/meteor/node-source-map-support/tarball/81bce1f99625e62af73338f63afcf2b44c6cfa5e';

/** What releases differ in: Node and npm, the server's packages, and the form of their lock file. */
export const releases = {
  3.3: { node: '22.16.0', npm: '10.9.2', lock: 3, packages: { '@babel/parser': '7.25.0', semver: '7.6.3', underscore: '1.13.7' } },
  '3.0': { node: '20.15.1', npm: '10.7.0', lock: 3, packages: { '@babel/parser': '7.24.6', semver: '7.6.2', underscore: '1.13.6' } },
  2.16: { node: '14.21.4', npm: '6.14.18', lock: 1, packages: { fibers: '5.0.3', semver: '7.5.4', underscore: '1.13.6' } },
  1.8: { node: '8.17.0', npm: '6.13.4', lock: 1, packages: { fibers: '3.1.1', semver: '5.4.1', underscore: '1.9.1' } },
};

// Goes into programs/server/boot.js: answers what tests want to know of the image. For Node 8, too.
const boot = `
const fs = require('fs');
const text = (path) => { try { return fs.readFileSync(path, 'utf8').trim(); } catch (error) { return null; } };
const fiber = () => {
  if (!require('./package.json').dependencies.fibers) return null;
  const Fiber = require('fibers');
  let ran = false;
  Fiber(() => { ran = true; }).run();
  return ran;
};
require('source-map-support').install();
require('semver');
require('underscore');
const facts = {
  node: process.version,
  uid: process.getuid(),
  cwd: process.cwd(),
  fiber: fiber(),
  compiled: text('npm/node_modules/compiled/built'),
  sourceMapSupport: require('source-map-support/package.json').version,
  setup: [text('/tmp/setup-server'), text('/tmp/setup-bundle')],
  greeting: text('assets/app/greeting'),
};
require('http').createServer((request, response) => response.end(JSON.stringify(facts))).listen(process.env.PORT);
`;

// Does what Meteor's own script does: npm rebuild in each folder of the list.
const rebuild = `
if (process.env.METEOR_SKIP_NPM_REBUILD) process.exit(0);
const fs = require('fs');
if (!fs.existsSync(__dirname + '/npm-rebuilds.json')) process.exit(0);
for (const folder of require('./npm-rebuilds.json')) {
  const { status } = require('child_process').spawnSync('npm', require('./npm-rebuild-args.js').get(), { cwd: __dirname + '/' + folder, stdio: 'inherit' });
  if (status !== 0) process.exit(status || 1);
}
`;

// A package with a binary part, as far as npm can see: its install script leaves the version of Node that ran it.
const compiled = {
  'package.json': '{"name": "compiled", "version": "1.0.0", "scripts": {"install": "node build.js"}}',
  'build.js': "require('fs').writeFileSync('built', process.version);",
  built: 'as packed',
};

function lockFile({ lock }, dependencies) {
  const remote = { version: tarball, integrity: 'sha512-AAAA', requires: { 'source-map': '^0.5.3' } };
  if (lock === 1) return { name: 'meteor-dev-bundle', lockfileVersion: 1, requires: true, dependencies: { 'source-map-support': remote } };
  const { requires, integrity } = remote;
  return {
    name: 'meteor-dev-bundle',
    lockfileVersion: lock,
    requires: true,
    packages: {
      '': { name: 'meteor-dev-bundle', hasInstallScript: true, dependencies },
      'node_modules/source-map-support': { version: '0.5.19', resolved: tarball, integrity, dependencies: requires },
    },
  };
}

/** The bundle's files, `{path: text}`; without `bundle/` before them. */
export function bundleFiles(release) {
  const { node, npm, packages } = releases[release];
  const programs = ['web.browser', 'web.browser.legacy'].map((name) => ({ name, arch: name, path: `programs/${name}/program.json` }));
  programs.push({ name: 'server', arch: 'os.linux.x86_64', path: 'programs/server/program.json' });
  const dependencies = { ...packages, 'source-map-support': tarball };
  const star = { format: 'site-archive-pre1', builtBy: `Meteor METEOR@${release}`, programs, meteorRelease: `METEOR@${release}`, nodeVersion: node, npmVersion: npm };
  const json = (value) => JSON.stringify(value, null, 2);
  return {
    'main.js': "process.chdir(__dirname + '/programs/server');\nrequire('./programs/server/boot.js');\n",
    'star.json': json(star),
    '.node_version.txt': `v${node}\n`,
    README: 'This is a Meteor application bundle.\n',
    'programs/web.browser/program.json': '{"format": "web-program-pre1", "manifest": []}',
    'programs/web.browser.legacy/program.json': '{"format": "web-program-pre1", "manifest": []}',
    'programs/server/package.json': json({ name: 'meteor-dev-bundle', private: true, dependencies, scripts: { install: 'node npm-rebuild.js' } }),
    'programs/server/npm-shrinkwrap.json': json(lockFile(releases[release], dependencies)),
    'programs/server/npm-rebuild.js': rebuild,
    'programs/server/npm-rebuild-args.js': "exports.get = () => ['rebuild', '--no-bin-links', '--update-binary'];\n",
    'programs/server/npm-rebuilds.json': '["npm"]',
    'programs/server/boot.js': boot,
    'programs/server/program.json': '{"format": "javascript-image-pre1", "arch": "os.linux.x86_64", "load": []}',
    'programs/server/config.json': '{}',
    'programs/server/assets/app/greeting': 'hello\n',
    ...Object.fromEntries(Object.entries(compiled).map(([name, text]) => [`programs/server/npm/node_modules/compiled/${name}`, text])),
  };
}

/** These files with all of the packages that they name, as far as can be seen, so that nothing has to be run to make an image. */
export function carried(files) {
  const { dependencies } = JSON.parse(files['programs/server/package.json']);
  const packages = Object.keys(dependencies).map((name) => [`programs/server/node_modules/${name}/package.json`, '{}']);
  return { ...files, ...Object.fromEntries(packages) };
}

/** The archive of these files in `bundle/`, as `meteor build` packs them. */
export function packed(files) {
  const entries = Object.entries(files).map(([name, body]) => ({ name: `bundle/${name}`, body, mode: name.endsWith('.sh') ? 0o555 : 0o444 }));
  return gzipSync(tar(entries));
}

/** The archive with `programs/server/node_modules`, which npm installs in a container of the release's Node. */
export async function packedWithModules(release, files) {
  const folder = await mkdtemp(join(tmpdir(), 'meteor-bundle-'));
  try {
    for (const [name, body] of Object.entries(files)) {
      const path = join(folder, 'bundle', name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, body);
    }
    const { node, packages } = releases[release];
    const specs = Object.entries({ ...packages, 'source-map-support': '0.4.18' }).map(([name, version]) => `${name}@${version}`);
    const install = `mkdir /tmp/i && cd /tmp/i && echo '{}' > package.json && npm install --unsafe-perm --no-audit ${specs.join(' ')} && cp -a node_modules /bundle/programs/server/`;
    const image = `node:${node.split('.')[0]}-bookworm-slim`;
    await run('docker', ['run', '--rm', '--volume', `${join(folder, 'bundle')}:/bundle`, image, 'sh', '-c', install], { timeout: 300_000 });
    await run('tar', ['-C', folder, '-czf', join(folder, 'app.tar.gz'), '--mode=a-w', 'bundle']);
    return await readFile(join(folder, 'app.tar.gz'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
