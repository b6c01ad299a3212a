// Visitors who come all the time, one after the other, and remember each answer that was none of the app's.
import http from 'node:http';
import { until } from './until.js';

export class Visitors {
  /** Several at once, half of them on connections that they keep. */
  static of(world, hostname, { many = 4, path = '/' } = {}) {
    const visitors = new Visitors();
    visitors.work = Array.from({ length: many }, (_, i) => visitors.#come(world, hostname, path, i % 2 === 0));
    return visitors;
  }

  /** What the app answered, and what went wrong, oldest first. */
  answers = [];
  failures = [];
  #ended = false;

  async #come(world, hostname, path, keepAlive) {
    const agent = new http.Agent({ keepAlive, maxSockets: 1 });
    while (!this.#ended && world.exitCode === null) {
      const answer = await world.get(hostname, path, { agent }).answer.catch((error) => ({ status: 0, text: String(error) }));
      if (answer.status === 200) this.answers.push(answer.json());
      else this.failures.push(`${answer.status}: ${answer.text.slice(0, 200)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    agent.destroy();
  }

  /** Resolves when each of them has come a few times more. */
  async comeAgain() {
    const before = this.answers.length + this.failures.length;
    await until(() => this.answers.length + this.failures.length > before + 5 * this.work.length, 'more visitors');
  }

  /** Ends their coming. */
  async leave() {
    this.#ended = true;
    await Promise.all(this.work);
  }
}
