// Loopback ports that nobody uses, and nobody will be given: Docker and the kernel hand out those from 32,768 on, one after the other, also
// while a launcher is away that wants its port back.
import { randomInt } from 'node:crypto';
import net from 'node:net';

const [FIRST, LAST] = [20_000, 32_767];
const given = new Set();

export async function freePort() {
  for (;;) {
    const port = randomInt(FIRST, LAST + 1);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
}

function isFree(port) {
  const server = net.createServer();
  return new Promise((resolve, reject) => {
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
