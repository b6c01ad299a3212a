// A real browser speaks DDP over SockJS, as Meteor's own client does there, also where WebSockets do not get through.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Browser } from './support/browser.js';
import { Service } from './support/service.js';

// What a proxy does that knows nothing of WebSockets: each one ends before it is open.
const blockWebSockets = () => {
  window.WebSocket = class {
    constructor() {
      setTimeout(() => this.onclose?.({ code: 1006, reason: '', wasClean: false }));
    }

    close() {}
  };
};
// packages/socket-stream-client/browser.js: Meteor's client never streams.
const ofMeteor = ['websocket', 'xdr-polling', 'xhr-polling', 'iframe-xhr-polling', 'jsonp-polling'];

const cases = [
  { what: 'with WebSockets', expected: 'websocket' },
  { what: 'with WebSockets blocked', before: blockWebSockets, expected: 'xhr-streaming' },
  { what: 'with WebSockets blocked, and no streaming as in Meteor\'s client', before: blockWebSockets, transports: ofMeteor, expected: 'xhr-polling' },
  { what: 'by Server-Sent Events', transports: ['eventsource'], expected: 'eventsource' },
  { what: 'by scripts', transports: ['jsonp-polling'], expected: 'jsonp-polling' },
];

describe('Chromium with sockjs-client', () => {
  let service, browser;

  before(async () => {
    service = await Service.start();
    browser = await Browser.start();
  });
  after(async () => {
    await browser?.close();
    await service?.close();
  });

  for (const { what, expected, ...options } of cases) {
    it(`${what} calls, subscribes, sees a change and survives a restart`, async () => {
      const page = await browser.open(service.sockjs, options);
      const text = (id) => page.waitForFunction((task) => window.ddp.documents.tasks?.[task]?.n === 1, id);
      const change = async () => {
        const own = await service.connect();
        const id = await own.call('insertTask', what);
        await own.call('touchTask', id);
        await text(id);
      };

      assert.equal(await page.evaluate(() => window.ddp.transport), expected);
      assert.equal(await page.evaluate(() => window.ddp.call('add', 20, 22)), 42);
      assert.equal(await page.evaluate(() => window.ddp.call('throwMeteorError').catch(({ error }) => error)), 'my-code');
      assert.deepEqual(await page.evaluate(() => window.ddp.call('echoOne', 'ж🐎\u2028')), 'ж🐎\u2028');
      await page.evaluate(() => window.ddp.subscribe('tasks'));
      await change();

      await service.restart();
      await page.waitForFunction(() => window.ddp.connections === 2);
      await change();
      assert.equal(await page.evaluate(() => window.ddp.call('add', 1, 2)), 3);
      await page.context().close();
    });
  }
});
