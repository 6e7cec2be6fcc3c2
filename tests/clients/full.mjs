// The full browser with site isolation: frames of other sites have sessions of their own.
import {load} from '../support/npm.mjs';
import {SITE, SITE2, gone, is, lease, ok, release, run} from './suite.mjs';

const puppeteer = await load('puppeteer-core');
const {chromium} = await load('playwright-core');
const frame = (url) => new Promise((done) => {
  const f = document.createElement('iframe');
  f.onload = done;
  f.src = url;
  document.body.append(f);
});

await run({
  'puppeteer': async () => {
    const made = await lease();
    const browser = await puppeteer.connect({browserWSEndpoint: made.url});
    const page = await browser.newPage();
    await page.goto(`${SITE}/`);
    await page.evaluate(frame, `${SITE2}/inner`);
    const inner = await page.waitForFrame(`${SITE2}/inner`);
    is(await inner.$eval('#in', (e) => e.textContent), 'inside');
    is(await inner.evaluate(() => navigator.userAgent), await page.evaluate(() => navigator.userAgent));
    const popped = new Promise((done) => page.once('popup', done));
    await page.evaluate(() => void window.open('/second'));
    await (await popped).waitForSelector('h1');
    await page.screenshot();
    await browser.close();
    await gone(made);
  },
  'a trace of a browser that is one\'s own': async () => {
    const made = await lease();
    const browser = await puppeteer.connect({browserWSEndpoint: made.url});
    const page = await browser.newPage();
    await page.tracing.start({screenshots: true, categories: ['devtools.timeline']});
    await page.goto(`${SITE}/second`);
    const {traceEvents} = JSON.parse(Buffer.from(await page.tracing.stop()).toString());
    ok(traceEvents.some((e) => JSON.stringify(e.args).includes('/second')), 'the page is in it');
    const session = await browser.target().createCDPSession();
    const over = new Promise((done) => session.once('Tracing.tracingComplete', done));
    await session.send('Tracing.start', {transferMode: 'ReturnAsStream', traceConfig: {includedCategories: ['toplevel']}});
    await session.send('Tracing.end');
    ok((await over).stream, 'its stream');
    await browser.close();
    await gone(made);
  },
  'playwright': async () => {
    const made = await lease();
    const browser = await chromium.connectOverCDP(made.url);
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${SITE}/`);
    await page.evaluate(frame, `${SITE2}/inner`);
    const inner = page.frames().find((f) => f.url() === `${SITE2}/inner`);
    is(await inner.textContent('#in'), 'inside');
    await inner.click('#ib');
    await page.goto(`${SITE}/who`);
    ok(!(await page.evaluate(() => first.ua)).includes('Headless'), 'the identity');
    await browser.close();
    await release(made);
    await gone(made);
  },
});
