// What a second build of an unchanged bundle costs beside `docker build` of the same context with a warm cache, in turns, and how
// much memory the launcher takes while it builds from a large archive.
//
//   LAUNCHER_TEST_RUN=bench node bench/builds.js [rounds]     needs target/release/meteor-launcher, Docker, and `npm ci` in tests/
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { meteorBundle } from '../tests/support/archives.js';
import { docker } from '../tests/support/docker.js';
import { World, imagePrefix } from '../tests/support/world.js';

const run = promisify(execFile);
const recipes = fileURLToPath(new URL('../docker/meteor-app/', import.meta.url));
const rounds = Number(process.argv[2] ?? 10);
const mib = 1024 * 1024;

const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const median = (numbers) => sorted(numbers)[Math.floor(numbers.length / 2)];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

const timed = async (action) => {
  const start = process.hrtime.bigint();
  await action();
  return Number(process.hrtime.bigint() - start) / 1e6;
};

// Half of a file is noise and half is zeros, which gzip takes to about half: Meteor's own bundles are taken to a third or less.
const content = (size) => Buffer.concat([randomBytes(size / 2), Buffer.alloc(size / 2)]);

/** The example bundle with so many files of this size beside it. */
async function archive(folder, name, { files, size, body }, ...options) {
  const unpacked = join(folder, name);
  await mkdir(unpacked);
  await writeFile(join(folder, 'app.tar.gz'), await meteorBundle(...options));
  await run('tar', ['-xzf', join(folder, 'app.tar.gz'), '-C', unpacked]);
  const assets = join(unpacked, 'bundle/programs/server/assets/app');
  await mkdir(assets, { recursive: true });
  for (let n = 0; n < files; n += 1) await writeFile(join(assets, `${n}.bin`), body(size));
  const path = join(folder, `${name}.tar.gz`);
  await run('tar', ['-C', unpacked, '-czf', path, 'bundle']);
  await rm(unpacked, { recursive: true });
  return path;
}

const serve = (world, path, bytes) => world.archives.serve(path.split('/').pop(), (_, response) => {
  response.writeHead(200, { 'Content-Length': bytes });
  createReadStream(path).pipe(response);
});

async function again(world, folder, name, assets, ...options) {
  const path = await archive(folder, name, assets, ...options);
  const { size } = await stat(path);
  const url = serve(world, path, size);
  const context = join(folder, `${name}-context`);
  await run(join(recipes, 'context'), [path, context]);

  const byHand = (round) => docker('build', '--quiet', '--tag', `${imagePrefix}${name}-by-hand-${round}`, context);
  const launched = (round) => world.ddp.call('buildImageIfNotExist', `${imagePrefix}${name}-${round}`, url);
  await byHand('first');
  await launched('first');
  const [a, b] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    a.push(await timed(() => byHand(round)));
    b.push(await timed(() => launched(round)));
  }
  const ratio = median(b.map((ms, round) => ms / a[round]));
  console.log(`| ${name}, ${assets.files} files, archive of ${Math.round(size / mib)} MiB | ${seconds(median(a))} | ${seconds(median(b))} | ${ratio.toFixed(2)} | 1.3 |`);
}

const memory = async (pid, field) => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(status)[1]) / 1024;
};

async function large(world, folder) {
  const path = await archive(folder, 'large', { files: 300, size: mib, body: randomBytes }, '--with-node-modules');
  const { size } = await stat(path);
  const { pid } = world.launcher;
  // The highest mark begins anew: proc(5), clear_refs.
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  const before = await memory(pid, 'VmRSS');
  await world.ddp.call('buildImageIfNotExist', `${imagePrefix}large`, serve(world, path, size));
  const peak = await memory(pid, 'VmHWM');
  console.log(`\nmemory while building from ${Math.round(size / mib)} MiB: ${before.toFixed(1)} MiB before, at most ${(peak - before).toFixed(1)} MiB more (bound 64)`);
}

const folder = await mkdtemp(join(tmpdir(), 'meteor-launcher-bench-'));

/** Does it with a launcher of its own, which has built nothing before. */
async function withLauncher(action) {
  const world = await World.start();
  try {
    await action(world, folder);
  } finally {
    await world.close();
  }
}

const few = { files: 60, size: mib, body: content };
const many = { files: 12_000, size: 5 * 1024, body: content };
try {
  console.log('| a second build under another name | `docker build` | launcher | ratio | bound |\n|---|---|---|---|---|');
  await withLauncher((world) => again(world, folder, 'carried', few, '--with-node-modules'));
  await withLauncher((world) => again(world, folder, 'layered', few));
  await withLauncher((world) => again(world, folder, 'many', many, '--with-node-modules'));
  await withLauncher(large);
} finally {
  await rm(folder, { recursive: true, force: true });
}
