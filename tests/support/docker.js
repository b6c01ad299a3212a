// Docker as an administrator sees it: through its own command line, not through anything of the launcher's.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs `docker …` and gives its standard output; rejects with its standard error. */
export async function docker(...args) {
  try {
    const { stdout } = await run('docker', args, { maxBuffer: 64 << 20, timeout: 300_000, env: { ...process.env, DOCKER_BUILDKIT: '0' } });
    return stdout.trim();
  } catch (error) {
    throw new Error(`docker ${args.join(' ')}: ${error.stderr || error.message}`);
  }
}

const lines = (text) => (text === '' ? [] : text.split('\n'));

/** Docker's inspect document of a container, or null. */
export async function container(id) {
  try {
    return JSON.parse(await docker('container', 'inspect', id))[0];
  } catch (error) {
    if (/No such container/i.test(error.message)) return null;
    throw error;
  }
}

/** Docker's inspect document of an image, or null. */
export async function image(name) {
  try {
    return JSON.parse(await docker('image', 'inspect', name))[0];
  } catch (error) {
    if (/No such image/i.test(error.message)) return null;
    throw error;
  }
}

/** Inspect documents of all containers with the launcher's label, running or not. */
export async function labelledContainers() {
  const ids = lines(await docker('ps', '--all', '--quiet', '--no-trunc', '--filter', 'label=launcher.instance'));
  return ids.length > 0 ? inspected(ids) : [];
}

/** Those of these containers that are still there. */
async function inspected(ids) {
  const { stdout, stderr } = await run('docker', ['container', 'inspect', ...ids], { maxBuffer: 64 << 20, timeout: 300_000 }).catch((error) => error);
  const strange = (stderr ?? 'no answer').split('\n').filter((line) => line !== '' && !/No such container/i.test(line));
  if (strange.length > 0) throw new Error(`docker container inspect: ${strange.join('; ')}`);
  return JSON.parse(stdout);
}

/** Ids of all containers, so that two moments can be compared. */
export const containerIds = async () => new Set(lines(await docker('ps', '--all', '--quiet', '--no-trunc')));

/** What builds of the tests leave when they leave something: images without a name, and containers of their steps. */
export const buildRemains = async () => new Set([
  ...lines(await docker('images', '--quiet', '--no-trunc', '--filter', 'dangling=true', '--filter', `label=${buildLabel}`)),
  ...lines(await docker('ps', '--all', '--quiet', '--no-trunc', '--filter', `label=${buildLabel}`)),
]);

/** Which run of the tests this is: two on one engine must not take each other's images for their own. */
export const testRun = process.env.LAUNCHER_TEST_RUN ?? 'by-hand';

/** The label that tests' Dockerfiles begin with, so that what is left of them can be told from what others do. */
export const buildLabel = `meteor-launcher-test=${testRun}`;

/** `name:tag` of the images whose repository begins with the prefix. */
export async function imagesNamed(prefix) {
  const names = lines(await docker('images', '--format', '{{.Repository}}:{{.Tag}}'));
  return names.filter((name) => name.startsWith(prefix));
}

/** The host port that Docker forwards to the container, or null. */
export function hostPort(inspected) {
  const bound = Object.values(inspected.NetworkSettings.Ports ?? {}).flatMap((bindings) => bindings ?? []);
  return bound.length > 0 ? Number(bound[0].HostPort) : null;
}

/** Members of `after` that `before` does not have. */
export const added = (before, after) => [...after].filter((member) => !before.has(member));
