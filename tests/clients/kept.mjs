// Members of the identity store: what a client leaves in the lease's own context is there for the next one, and nothing is asked of the
// site for it. A context that a client makes is its own. Run by test_kept.sh.
import {createServer} from 'node:http';
import {load} from '../support/npm.mjs';
import {gone, is, lease, release, run} from './suite.mjs';

const {chromium} = await load('playwright-core');
const asked = [];
const site = createServer((q, a) => {
  asked.push(q.url);
  a.setHeader('content-type', 'text/html').end('<title>kept</title>');
}).listen(0, '127.0.0.1');
await new Promise((done) => site.once('listening', done));
const origins = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${site.address().port}`);
const look = () => ({cookies: document.cookie, storage: {...localStorage}});

async function visit(write, making = (browser) => browser.contexts()[0]) {
  const made = await lease();
  const browser = await chromium.connectOverCDP(made.url);
  const context = await making(browser);
  is(browser.contexts()[0].pages().length, 1, 'pages before');
  const page = await context.newPage();
  const found = [];
  for (const origin of origins) {
    await page.goto(`${origin}/`);
    found.push(await page.evaluate(look));
    await page.evaluate(write);
  }
  await page.close();
  await browser.close();
  await release(made);
  await gone(made);
  return found;
}

await run({
  'from lease to lease': async () => {
    is(await visit(() => {
      localStorage.setItem('a', 'first');
      document.cookie = 'one=1; Max-Age=1000';
    }), [{cookies: '', storage: {}}, {cookies: '', storage: {}}]);
    is(await visit(() => {
      localStorage.removeItem('a');
      localStorage.setItem('b', '2');
    }), Array(2).fill({cookies: 'one=1', storage: {a: 'first'}}));
    is(await visit(() => {}), Array(2).fill({cookies: 'one=1', storage: {b: '2'}}));
    is(asked.filter((path) => path === '/').length, 6, 'documents asked for');
  },
  'a context of the client\'s is forgotten': async () => {
    const empty = Array(2).fill({cookies: '', storage: {}});
    for (let i = 0; i < 2; i++) is(await visit(() => localStorage.setItem('c', '3'), (browser) => browser.newContext()), empty);
    is((await visit(() => {}))[0].storage, {b: '2'});
  },
});
