// Runs the end-to-end tests one file after the other (they share one Docker engine), removes what the files share, and prints
// the totals on its last line. Names of files as arguments run only those.
//
//   node run.js [proxy.test.js …]
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

process.env.LAUNCHER_TEST_RUN ??= String(process.pid);
const { docker, imagesNamed } = await import('./support/docker.js');
const { imagePrefix } = await import('./support/world.js');

const here = fileURLToPath(new URL('.', import.meta.url));
const chosen = process.argv.slice(2);
const all = (await readdir(here)).filter((name) => name.endsWith('.test.js')).sort();
const unknown = chosen.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no such test file: ${unknown.join(', ')}`);
  process.exit(2);
}
const files = (chosen.length > 0 ? chosen : all).map((name) => join(here, name));

const totals = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const count = (outcome) => (event) => {
  if (event.details?.type === 'suite') {
    // A suite fails when a test in it did, which counts there; its own failure is one of its hooks.
    if (outcome === 'passed' || event.details.error?.failureType === 'subtestsFailed') return;
  } else if (files.includes(event.name)) {
    // The file as a whole: its tests are counted, unless it broke before there were any.
    if (outcome === 'passed' || event.details?.error?.failureType === 'subtestsFailed') return;
  }
  const counted = event.skip !== undefined || event.todo !== undefined ? 'skipped' : outcome;
  totals[counted] += 1;
  if (counted === 'failed') failures.push(event.name);
};

const stream = run({ files, concurrency: 1 });
stream.on('test:pass', count('passed'));
stream.on('test:fail', count('failed'));
const reporter = typeof spec.prototype?.constructor === 'function' ? new spec() : spec;
stream.compose(reporter).pipe(process.stdout, { end: false });
await new Promise((resolve) => stream.on('end', resolve));
await new Promise((resolve) => setImmediate(resolve));

for (const name of await imagesNamed(imagePrefix)) await docker('rmi', '--force', name).catch(console.error);

if (totals.passed + totals.failed === 0) totals.failed = 1;
const summary = `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`;
if (failures.length > 0) process.stdout.write(`\nfailed: ${failures.join('; ')}\n`);
process.stdout.write(`\n${summary}\n`);
process.exitCode = totals.failed > 0 ? 1 : 0;
