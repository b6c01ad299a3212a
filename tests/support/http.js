// HTTP requests with a Host header of one's own choice, which fetch does not allow.
import assert from 'node:assert/strict';
import http from 'node:http';

/** A request under way; await it, or await `.expect(status)` of it, for `{status, headers, text, json()}`. */
class Request {
  constructor(answer, said) {
    this.answer = answer;
    this.said = said;
  }
  then(resolve, reject) {
    return this.answer.then(resolve, reject);
  }
  catch(reject) {
    return this.answer.catch(reject);
  }
  async expect(status) {
    const response = await this.answer;
    assert.equal(response.status, status, `${this.said} answered ${response.status}: ${response.text.slice(0, 300)}`);
    return response;
  }
}

/** `request(8000, 'a.test', '/path', {method, headers, body})` */
export function request(port, host, path, { method = 'GET', headers = {}, body, agent } = {}) {
  const answer = new Promise((resolve, reject) => {
    const outgoing = http.request(
      { host: '127.0.0.1', port, path, method, agent: agent ?? false, timeout: 60_000, headers: { Host: host, ...headers } },
      (incoming) => {
        const chunks = [];
        incoming.on('data', (chunk) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: incoming.statusCode, headers: incoming.headers, text, json: () => JSON.parse(text) });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${host}${path}`)));
    outgoing.end(body);
  });
  return new Request(answer, `${method} ${host}${path}`);
}
