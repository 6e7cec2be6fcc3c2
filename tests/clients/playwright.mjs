// Scripts as people write them for Playwright, on members of Fleet: `connectOverCDP` is all that is theirs.
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium, withBrowser, withPage} from './playwright_page.mjs';
import {FLEET_URL, SITE, SITE2, eventually, gone, headers, is, lease, ok, release, run} from './suite.mjs';

await run({
  'connectOverCDP with ws': () => withPage(async (page) => {
    const answer = await page.goto(`${SITE}/`);
    is(answer.status(), 200);
    is(await page.title(), 'Home');
    is(await page.textContent('h1'), 'Welcome');
  }),
  'connectOverCDP with http at the root': async () => {
    const browser = await chromium.connectOverCDP(FLEET_URL, {headers});
    const page = await browser.newPage();
    await page.goto(`${SITE}/second`);
    is(await page.title(), 'Second');
    await browser.close();
  },
  'connectOverCDP with http under the lease': async () => {
    const made = await lease();
    const browser = await chromium.connectOverCDP(made.url.replace(/^ws/, 'http'));
    const page = await browser.newPage();
    await page.goto(`${SITE}/second`);
    await browser.close();
    await release(made);
    await gone(made);
  },
  'the default context and its page': () => withBrowser(async (browser) => {
    is(browser.contexts().length, 1);
    const page = browser.contexts()[0].pages()[0];
    await page.goto(`${SITE}/`);
    is(await page.title(), 'Home');
    const second = await browser.contexts()[0].newPage();
    await second.goto(`${SITE}/second`);
    is(browser.contexts()[0].pages().length, 2);
  }),
  'click, fill, select, check': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.click('#b');
    is(await page.textContent('#out'), 'clicked');
    await page.fill('#i', 'some words');
    is(await page.inputValue('#i'), 'some words');
    is(await page.selectOption('#s', 'b'), ['b']);
  }),
  'locators by role and text': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.getByRole('button', {name: 'press'}).click();
    await page.getByText('clicked').waitFor();
    is(await page.getByRole('heading').textContent(), 'Welcome');
  }),
  'links and history': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.click('#next');
    await page.waitForURL(`${SITE}/second`);
    await page.goBack();
    is(await page.title(), 'Home');
    await page.goForward();
    is(await page.title(), 'Second');
    await page.reload();
  }),
  'evaluate': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    is(await page.evaluate(([a, b]) => a + b, [1, 2]), 3);
    is(await page.evaluate(async () => (await fetch('/api')).json()), {ok: true});
    const handle = await page.evaluateHandle(() => document.body);
    is(await handle.evaluate((b) => b.tagName), 'BODY');
  }),
  'exposeFunction and init scripts': () => withPage(async (page, context) => {
    await context.addInitScript(() => { window.early = 'yes'; });
    await page.exposeFunction('twice', (n) => n * 2);
    await page.goto(`${SITE}/`);
    is(await page.evaluate(() => window.twice(21)), 42);
    is(await page.evaluate(() => window.early), 'yes');
  }),
  'screenshots': () => withPage(async (page) => {
    await page.goto(`${SITE}/tall`);
    is([...(await page.screenshot()).subarray(1, 4)], [80, 78, 71]);
    await page.screenshot({fullPage: true});
    await page.locator('#end').screenshot();
  }),
  'pdf': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    is((await page.pdf()).subarray(0, 4).toString(), '%PDF');
  }),
  'frames': () => withPage(async (page) => {
    await page.goto(`${SITE}/frames`);
    const inner = page.frameLocator('#same');
    is(await inner.locator('#in').textContent(), 'inside');
    await inner.locator('#ib').click();
    is(await inner.locator('#ib').textContent(), 'pressed');
  }),
  'another origin in a frame': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.evaluate((url) => new Promise((done) => {
      const f = document.createElement('iframe');
      f.onload = done;
      f.src = url;
      document.body.append(f);
    }), `${SITE2}/inner`);
    const frame = page.frames().find((f) => f.url() === `${SITE2}/inner`);
    is(await frame.textContent('#in'), 'inside');
  }),
  'popups': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.evaluate(() => void window.open('/second'))]);
    await popup.waitForLoadState();
    is(await popup.title(), 'Second');
    const [tab] = await Promise.all([page.context().waitForEvent('page'), page.click('#pop')]);
    await tab.waitForLoadState();
    is(tab.url(), `${SITE}/second`);
  }),
  'workers': () => withPage(async (page) => {
    const [worker] = await Promise.all([page.waitForEvent('worker'), page.goto(`${SITE}/worker`)]);
    is(await worker.evaluate(() => self.answer()), 42);
    await page.waitForFunction(() => document.getElementById('w').textContent !== '');
  }),
  'dialogs': () => withPage(async (page) => {
    await page.goto(`${SITE}/dialog`);
    const seen = [];
    page.on('dialog', (d) => {
      seen.push(d.type());
      return d.accept('Anna');
    });
    await page.click('#a');
    await page.click('#c');
    await page.click('#p');
    is(seen, ['alert', 'confirm', 'prompt']);
    is(await page.textContent('#p'), 'Anna');
  }),
  'dialogs nobody listens to': () => withPage(async (page) => {
    await page.goto(`${SITE}/dialog`);
    await page.click('#c');
    is(await page.textContent('#c'), 'false');
  }),
  'console and page errors': () => withPage(async (page) => {
    const lines = [], errors = [];
    page.on('console', (m) => lines.push(m.text()));
    page.on('pageerror', (e) => errors.push(e.message));
    await page.goto(`${SITE}/console`);
    for (let i = 0; i < 50 && errors.length === 0; i++) await page.waitForTimeout(20);
    is(lines.length, 1);
    is(errors, ['boom']);
  }),
  'routes': () => withPage(async (page) => {
    await page.route('**/style.css', (r) => r.fulfill({contentType: 'text/css', body: 'h1{color:rgb(9,9,9)}'}));
    await page.route('**/second', (r) => r.abort());
    await page.goto(`${SITE}/styled`);
    is(await page.$eval('h1', (e) => getComputedStyle(e).color), 'rgb(9, 9, 9)');
    let sentence = '';
    await page.goto(`${SITE}/second`).catch((e) => (sentence = e.message));
    ok(/ERR_FAILED/.test(sentence), sentence);
  }),
  'routes that go on with other headers': () => withPage(async (page) => {
    await page.route('**/headers', (r) => r.continue({headers: {...r.request().headers(), 'user-agent': 'Mine/1.0', 'x-mine': '1'}}));
    await page.goto(`${SITE}/headers`);
    is(await page.textContent('#ua'), await page.evaluate(() => navigator.userAgent));
  }),
  'requests and responses': () => withPage(async (page) => {
    const [answer] = await Promise.all([page.waitForResponse('**/style.css'), page.goto(`${SITE}/styled`)]);
    ok((await answer.text()).startsWith('h1'), 'the style');
    const redirected = await page.goto(`${SITE}/redirect`);
    is(redirected.request().redirectedFrom().url(), `${SITE}/redirect`);
  }),
  'cookies and storage state': () => withPage(async (page, context, browser) => {
    await page.goto(`${SITE}/cookie`);
    is((await context.cookies()).map((c) => `${c.name}=${c.value}`), ['seen=yes']);
    await context.addCookies([{name: 'mine', value: '1', url: SITE}]);
    const state = await context.storageState();
    const other = await browser.newContext({storageState: state});
    const second = await other.newPage();
    await second.goto(`${SITE}/cookies`);
    ok((await second.textContent('#c')).includes('mine=1'), 'carried over');
    await other.close();
    await context.clearCookies();
    is((await context.cookies()).length, 0);
  }),
  'contexts are apart': () => withBrowser(async (browser) => {
    const one = await browser.newContext(), two = await browser.newContext();
    const a = await one.newPage(), b = await two.newPage();
    await a.goto(`${SITE}/cookie`);
    await b.goto(`${SITE}/cookies`);
    is(await b.textContent('#c'), '');
    await one.close();
    await two.close();
    is(browser.contexts().length, 1);
  }),
  'a viewport of its own': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    is(await page.evaluate(() => [innerWidth, innerHeight]), [640, 480]);
    await page.setViewportSize({width: 800, height: 600});
    is(await page.evaluate(() => innerWidth), 800);
  }, {viewport: {width: 640, height: 480}}),
  'files into an input': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.setInputFiles('#f', {name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('text')});
    await page.waitForFunction(() => document.getElementById('out').textContent === 'a.txt:text');
  }),
  'keyboard and mouse': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.focus('#i');
    await page.keyboard.type('abc');
    await page.keyboard.press('Backspace');
    is(await page.inputValue('#i'), 'ab');
    const box = await page.locator('#b').boundingBox();
    await page.mouse.click(box.x + 3, box.y + 3);
    is(await page.textContent('#out'), 'clicked');
  }),
  'shadow roots': () => withPage(async (page) => {
    await page.goto(`${SITE}/shadow`);
    is(await page.locator('#sb').textContent(), 'deep');
  }),
  'a session of its own': () => withPage(async (page, context, browser) => {
    const session = await context.newCDPSession(page);
    const {result} = await session.send('Runtime.evaluate', {expression: '6*7'});
    is(result.value, 42);
    await session.detach();
    const root = await browser.newBrowserCDPSession();
    const {product} = await root.send('Browser.getVersion');
    ok(product.includes('Chrome/'), product);
  }),
  'ten pages at once': () => withPage(async (_, context) => {
    const titles = await Promise.all([...Array(10).keys()].map(async (i) => {
      const page = await context.newPage();
      await page.goto(`${SITE}/n/${i}`);
      return page.title();
    }));
    is(titles, [...Array(10).keys()].map((i) => `/n/${i}`));
  }),
  'a download': () => withPage(async (page, _, __, made) => {
    await page.goto(`${SITE}/`);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#dl')]);
    is(download.suggestedFilename(), 'file.txt');
    is(await eventually(made, 'file.txt'), 'the file\n');
    let streamed = '';
    for await (const piece of await download.createReadStream()) streamed += piece;
    is(streamed, 'the file\n', 'createReadStream');
    const dir = mkdtempSync(join(tmpdir(), 'saved-'));
    await download.saveAs(join(dir, 'mine.txt'));
    is(readFileSync(join(dir, 'mine.txt'), 'utf8'), 'the file\n', 'saveAs');
    is(readFileSync(await download.path(), 'utf8'), 'the file\n', 'path');
    rmSync(dir, {recursive: true});
  }),
  'a request without a page': () => withPage(async (page, context) => {
    await context.setExtraHTTPHeaders({'x-mine': '1', 'User-Agent': 'Mine/1.0'});
    await page.goto(`${SITE}/headers`);
    ok(!(await page.textContent('#ua')).includes('Mine'), 'the header of the identity');
  }),
  'the identity stays': () => withPage(async (page, _, browser) => {
    await page.goto(`${SITE}/who`);
    const first = await page.evaluate(() => window.first);
    ok(!/Headless|Mine/.test(first.ua), first.ua);
    ok(first.tz !== 'Asia/Tokyo' && first.lang !== 'ja-JP', JSON.stringify(first));
    await page.goto(`${SITE}/headers`);
    is(await page.textContent('#ua'), first.ua);
    const other = await browser.contexts()[0].newPage();
    await other.goto(`${SITE}/who`);
    is(await other.evaluate(() => window.first.ua), first.ua);
  }, {userAgent: 'Mine/1.0', timezoneId: 'Asia/Tokyo', locale: 'ja-JP'}),
  'closing leaves the lease; it can be come back to': async () => {
    const made = await lease();
    let browser = await chromium.connectOverCDP(made.url);
    await browser.contexts()[0].pages()[0].goto(`${SITE}/second`);
    await browser.close();
    browser = await chromium.connectOverCDP(made.url);
    const page = browser.contexts()[0].pages().find((p) => p.url() === `${SITE}/second`);
    is(await page.title(), 'Second');
    await browser.close();
    await release(made);
    await gone(made);
  },
});
