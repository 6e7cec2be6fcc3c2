// Playwright on a lease, and a page in a context of its own there, for the time of a script.
import {load} from '../support/npm.mjs';
import {withLease} from './suite.mjs';

export const {chromium} = await load('playwright-core');

export const withBrowser = (fn) => withLease(async (made) => {
  const browser = await chromium.connectOverCDP(made.url);
  try {
    await fn(browser, made);
  } finally {
    await browser.close();
  }
});
export const withPage = (fn, options) => withBrowser(async (browser, made) => {
  const context = await browser.newContext(options);
  await fn(await context.newPage(), context, browser, made);
});
