// Twelve pages at once of a host that bears four a second: all of them come, none is refused.
import {load} from '../support/npm.mjs';
import {SITE, gone, is, lease, ok, release, run} from './suite.mjs';

const puppeteer = await load('puppeteer-core');

await run({
  'all at once': async () => {
    const made = await lease();
    const browser = await puppeteer.connect({browserWSEndpoint: made.url});
    const begun = Date.now();
    const titles = await Promise.all([...Array(12).keys()].map(async (i) => {
      const page = await browser.newPage();
      await page.goto(`${SITE}/n/${i}`);
      return page.title();
    }));
    is(titles, [...Array(12).keys()].map((i) => `/n/${i}`));
    ok(Date.now() - begun >= 1800, `came in ${Date.now() - begun} ms`); // a bucket of 4, then 8 more at 4/s
    await browser.close();
    await gone(made);
  },
});
