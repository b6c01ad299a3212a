// A world that watches all builds and registries, also after its launcher was started again.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { dockerfile } from './archives.js';
import { docker } from './docker.js';
import { until } from './until.js';
import { World } from './world.js';

/** Whether a build, pull or push has ended, in whatever way. */
export const isOver = (build) => ['succeeded', 'failed', 'cancelled'].includes(build?.status);

/** Takes names from images; those that are not there are gone already. */
export const gone = (...names) => Promise.all(names.map((name) => docker('rmi', '--force', name).catch(() => {})));

export class Watching extends World {
  async startLauncher() {
    await super.startLauncher();
    await this.ddp.subscribe('imageBuilds');
    await this.ddp.subscribe('registries');
  }

  builds() {
    return this.ddp.collection('Builds');
  }

  registries() {
    return [...this.ddp.collection('Registries').values()];
  }

  /** The values that a field of a build has had. */
  history(id, field) {
    return this.ddp.history('Builds', id).map(({ fields }) => fields?.[field]).filter((value) => value !== undefined);
  }

  /** The document of a build, in its end. */
  async ended(id) {
    await until(() => isOver(this.builds().get(id)), () => `the end of ${JSON.stringify(this.builds().get(id))}`, 180_000);
    return this.builds().get(id);
  }

  /** Resolves when the build has this status; it must not end before. */
  async reaches(id, status) {
    const build = () => this.builds().get(id);
    await until(() => build()?.status === status || isOver(build()), () => `${status}: ${JSON.stringify(build())}`);
    assert.equal(build().status, status, JSON.stringify(build()));
  }

  /** Resolves when bytes of a pull or a push have moved. */
  async moving(id) {
    const build = () => this.builds().get(id);
    await until(() => build()?.receivedBytes > 0 || isOver(build()), () => `bytes of ${JSON.stringify(build())}`);
    assert.equal(isOver(build()), false, JSON.stringify(build()));
  }

  /** The lines of a build's log. */
  async log(id) {
    const client = await this.connect();
    await client.subscribe('buildLog', id);
    const lines = [...client.collection('BuildLog').values()].map(({ text }) => text);
    await client.close();
    return lines;
  }

  /** Does what the method does, and gives the document in the end. */
  async done(method, ...params) {
    const build = await this.ended(await this.ddp.call(method, ...params));
    assert.equal(build.status, 'succeeded', JSON.stringify(build));
    return build;
  }

  /** The one sentence with which the method's work fails; of a pull or a push it has the image's name. */
  async failed(method, ...params) {
    const build = await this.ended(await this.ddp.call(method, ...params));
    assert.equal(build.status, 'failed', JSON.stringify(build));
    assert.doesNotMatch(build.error, /\n/);
    if (typeof params[0] === 'string') assert.ok(build.error.includes(params[0]), build.error);
    return build.error;
  }

  /** Makes an image that nobody else has and gives it a name at a registry; its one layer cannot be compressed. */
  async made(there, bytes = 1 << 20) {
    const archive = dockerfile('FROM scratch\nCOPY noise /\nCMD ["/noise"]\n', { noise: randomBytes(bytes) });
    const local = await this.build(there.replaceAll(/[^a-z0-9]/g, '-'), archive);
    await docker('tag', local, there);
    await docker('rmi', local);
    return there;
  }
}
