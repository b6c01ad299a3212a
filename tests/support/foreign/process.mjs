// One foreign DDP client in a process of its own (some of them change globals), driven by messages from foreign.js:
// {id, op: 'call' | 'subscribe' | 'unsubscribe' | 'login' | 'resume', params: […]} is answered by {id, result} or {id, error};
// every change of a document is told as {collection, document} or {collection, removed}, every connection made as {connected}.
const [, , library, url] = process.argv;
const { follow, ...options } = JSON.parse(process.env.FOREIGN_CLIENT);
// Returns nothing: some libraries take a listener away that returns true.
const tell = (message) => void process.send(JSON.parse(JSON.stringify(message)));

const plain = (error) =>
  error instanceof Error ? { error: 'client', reason: error.message } : { error: error.error, reason: error.reason, details: error.details };

const { open } = await import(`./${library}.mjs`);
const client = await open({
  url,
  follow,
  options,
  connected: (about = {}) => tell({ connected: about }),
  put: (collection, document) => tell({ collection, document }),
  drop: (collection, id) => tell({ collection, removed: id }),
});

process.on('message', async ({ id, op, params }) => {
  try {
    tell({ id, result: (await client[op](...params)) ?? null });
  } catch (error) {
    tell({ id, error: plain(error) });
  }
});
tell({ opened: true });
