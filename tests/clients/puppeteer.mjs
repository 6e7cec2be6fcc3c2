// Scripts as people write them for puppeteer-core, on members of Fleet: `connect` is all that is theirs.
import {load} from '../support/npm.mjs';
import {CALL_MS, FLEET_URL, SITE, SITE2, get, gone, headers, is, lease, ok, put, refused, release, run, withLease} from './suite.mjs';

const puppeteer = await load('puppeteer-core');

const withBrowser = (fn, options = {}) => withLease(async (made) => {
  const browser = await puppeteer.connect({browserWSEndpoint: made.url, protocolTimeout: CALL_MS, ...options});
  try {
    await fn(browser, made);
  } finally {
    await browser.disconnect();
  }
});
const withPage = (fn) => withBrowser(async (browser, made) => fn(await browser.newPage(), browser, made));

await run({
  'a page by browserWSEndpoint': () => withPage(async (page) => {
    const answer = await page.goto(`${SITE}/`);
    is(answer.status(), 200);
    is(await page.title(), 'Home');
    is(await page.$eval('h1', (h) => h.textContent), 'Welcome');
  }),
  'browserURL with a token': async () => {
    const browser = await puppeteer.connect({browserURL: FLEET_URL, headers});
    const page = await browser.newPage();
    await page.goto(`${SITE}/second`);
    is(await page.title(), 'Second');
    await browser.close();
  },
  'the first page is there': () => withBrowser(async (browser) => {
    const pages = await browser.pages();
    is(pages.length, 1, 'pages');
    await pages[0].goto(`${SITE}/`);
    is(await pages[0].title(), 'Home');
  }),
  'click, type, select': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.click('#b');
    is(await page.$eval('#out', (e) => e.textContent), 'clicked');
    await page.type('#i', 'some words');
    is(await page.$eval('#i', (e) => e.value), 'some words');
    is(await page.select('#s', 'b'), ['b']);
  }),
  'a link that is clicked': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await Promise.all([page.waitForNavigation(), page.click('#next')]);
    is(page.url(), `${SITE}/second`);
    await page.goBack();
    is(await page.title(), 'Home');
  }),
  'locators and waitForSelector': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.locator('#b').click();
    await page.waitForFunction(() => document.getElementById('out').textContent === 'clicked');
  }),
  'evaluate with handles': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    const handle = await page.evaluateHandle(() => document.body);
    is(await page.evaluate((b, n) => b.tagName + n, handle, 7), 'BODY7');
    is(await page.evaluate(async () => (await fetch('/api')).json()), {ok: true});
  }),
  'exposeFunction': () => withPage(async (page) => {
    await page.exposeFunction('twice', (n) => n * 2);
    await page.goto(`${SITE}/`);
    is(await page.evaluate(() => window.twice(21)), 42);
  }),
  'screenshots': () => withPage(async (page) => {
    await page.goto(`${SITE}/tall`);
    const shot = await page.screenshot();
    is([...shot.slice(1, 4)], [80, 78, 71], 'PNG');
    const full = await page.screenshot({fullPage: true});
    ok(full.length > 0, 'full page');
    await (await page.$('#end')).screenshot();
  }),
  'pdf': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    is(Buffer.from((await page.pdf()).slice(0, 4)).toString(), '%PDF');
  }),
  'frames': () => withPage(async (page) => {
    await page.goto(`${SITE}/frames`);
    const frame = page.frames().find((f) => f.url() === `${SITE}/inner`);
    is(await frame.$eval('#in', (e) => e.textContent), 'inside');
    await frame.click('#ib');
    is(await frame.$eval('#ib', (e) => e.textContent), 'pressed');
  }),
  'a popup': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    const popped = new Promise((done) => page.once('popup', done));
    await page.evaluate(() => void window.open('/second'));
    const popup = await popped;
    await popup.waitForSelector('h1');
    is(await popup.title(), 'Second');
    await popup.close();
  }),
  'a link to a new tab': () => withPage(async (page, browser) => {
    await page.goto(`${SITE}/`);
    const [target] = await Promise.all([
      browser.waitForTarget((t) => t.opener() === page.target()), page.click('#pop')]);
    const tab = await target.page();
    await tab.waitForSelector('h1');
    is(tab.url(), `${SITE}/second`);
  }),
  'workers': () => withPage(async (page) => {
    const created = new Promise((done) => page.once('workercreated', done));
    await page.goto(`${SITE}/worker`);
    const worker = await created;
    is(await worker.evaluate(() => self.answer()), 42);
    await page.waitForFunction(() => document.getElementById('w').textContent !== '');
    is(await page.$eval('#w', (e) => e.textContent.split('|')[0]), await page.evaluate(() => navigator.userAgent));
  }),
  'dialogs': () => withPage(async (page) => {
    await page.goto(`${SITE}/dialog`);
    const seen = [];
    page.on('dialog', async (d) => {
      seen.push(`${d.type()}:${d.message()}`);
      await d.accept('Anna');
    });
    await page.click('#a');
    await page.click('#c');
    await page.click('#p');
    is(seen, ['alert:hello', 'confirm:sure?', 'prompt:name?']);
    is(await page.$eval('#p', (e) => e.textContent), 'Anna');
  }),
  'console and page errors': () => withPage(async (page) => {
    const lines = [], errors = [];
    page.on('console', (m) => lines.push(m.text()));
    page.on('pageerror', (e) => errors.push(e.message));
    await page.goto(`${SITE}/console`);
    for (let i = 0; i < 50 && errors.length === 0; i++) await new Promise((d) => setTimeout(d, 20));
    ok(lines[0].startsWith('one 2'), lines[0]);
    is(errors, ['boom']);
  }),
  'request interception': () => withPage(async (page) => {
    await page.setRequestInterception(true);
    page.on('request', (r) => {
      if (r.url().endsWith('/style.css')) r.respond({contentType: 'text/css', body: 'h1{color:rgb(9,9,9)}'});
      else if (r.url().endsWith('/second')) r.abort();
      else r.continue();
    });
    await page.goto(`${SITE}/styled`);
    is(await page.$eval('h1', (e) => getComputedStyle(e).color), 'rgb(9, 9, 9)');
    let sentence = '';
    await page.goto(`${SITE}/second`).catch((e) => (sentence = e.message));
    ok(/ERR_FAILED/.test(sentence), sentence);
  }),
  'responses and their bodies': () => withPage(async (page) => {
    const answers = [];
    page.on('response', (r) => answers.push(r));
    await page.goto(`${SITE}/styled`);
    const css = answers.find((r) => r.url().endsWith('.css'));
    ok((await css.text()).startsWith('h1'), 'the style');
  }),
  'cookies': () => withPage(async (page, browser) => {
    await page.goto(`${SITE}/cookie`);
    is((await browser.cookies()).map((c) => `${c.name}=${c.value}`), ['seen=yes']);
    await browser.setCookie({name: 'mine', value: '1', domain: '127.0.0.1'});
    await page.goto(`${SITE}/cookies`);
    ok((await page.$eval('#c', (e) => e.textContent)).includes('mine=1'), 'sent');
  }),
  'contexts are apart': () => withBrowser(async (browser) => {
    const one = await browser.createBrowserContext(), two = await browser.createBrowserContext();
    const a = await one.newPage(), b = await two.newPage();
    await a.goto(`${SITE}/cookie`);
    await b.goto(`${SITE}/cookies`);
    is(await b.$eval('#c', (e) => e.textContent), '');
    is(browser.browserContexts().length, 3);
    await one.close();
    is(a.isClosed(), true);
    await two.close();
  }),
  'viewport': () => withPage(async (page) => {
    await page.setViewport({width: 640, height: 480});
    await page.goto(`${SITE}/`);
    is(await page.evaluate(() => [innerWidth, innerHeight]), [640, 480]);
  }),
  'a file into an input': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.$eval('#f', (input) => {
      const t = new DataTransfer();
      t.items.add(new File(['text'], 'a.txt'));
      input.files = t.files;
      input.dispatchEvent(new Event('change'));
    });
    await page.waitForFunction(() => document.getElementById('out').textContent === 'a.txt:text');
  }),
  'keyboard and mouse': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.focus('#i');
    await page.keyboard.type('abc');
    await page.keyboard.press('Backspace');
    is(await page.$eval('#i', (e) => e.value), 'ab');
    const box = await (await page.$('#b')).boundingBox();
    await page.mouse.click(box.x + 3, box.y + 3);
    is(await page.$eval('#out', (e) => e.textContent), 'clicked');
  }),
  'a form is sent': () => withPage(async (page) => {
    await page.goto(`${SITE}/form`);
    await page.type('#q', 'x');
    await Promise.all([page.waitForNavigation(), page.click('#go')]);
    is(page.url(), `${SITE}/second?q=x`);
  }),
  'a session of its own': () => withPage(async (page, browser) => {
    const session = await page.createCDPSession();
    const {result} = await session.send('Runtime.evaluate', {expression: '6*7'});
    is(result.value, 42);
    await session.detach();
    const root = await browser.target().createCDPSession();
    const {targetInfos} = await root.send('Target.getTargets');
    is(targetInfos.length, 2);
    const status = await root.send('Fleet.status');
    is(status.state, 'connected');
  }),
  'ten pages at once': () => withBrowser(async (browser) => {
    const titles = await Promise.all([...Array(10).keys()].map(async (i) => {
      const page = await browser.newPage();
      await page.goto(`${SITE}/n/${i}`);
      return page.title();
    }));
    is(titles, [...Array(10).keys()].map((i) => `/n/${i}`));
  }),
  'another origin in a frame': () => withPage(async (page) => {
    await page.goto(`${SITE}/`);
    await page.evaluate((url) => new Promise((done) => {
      const f = document.createElement('iframe');
      f.onload = done;
      f.src = url;
      document.body.append(f);
    }), `${SITE2}/inner`);
    const frame = await page.waitForFrame(`${SITE2}/inner`);
    is(await frame.$eval('#in', (e) => e.textContent), 'inside');
  }),
  'disconnect and come back': async () => {
    const made = await lease();
    let browser = await puppeteer.connect({browserWSEndpoint: made.url});
    const page = await browser.newPage();
    await page.goto(`${SITE}/second`);
    await browser.disconnect();
    browser = await puppeteer.connect({browserWSEndpoint: made.url});
    const pages = await browser.pages();
    const found = pages.find((p) => p.url() === `${SITE}/second`);
    is(await found.title(), 'Second');
    await found.click('#home').catch(() => {});
    await browser.close();
    await gone(made);
  },
  'close gives the lease back': async () => {
    const made = await lease();
    const browser = await puppeteer.connect({browserWSEndpoint: made.url});
    await browser.close();
    await gone(made);
  },
  'uploadFile of what was PUT': () => withPage(async (page, _, made) => {
    const file = await put(made, 'notes of May.txt', 'what it says');
    is([file.code, file.name, file.bytes], [201, 'notes of May.txt', 12]);
    await page.goto(`${SITE}/`);
    await (await page.$('#f')).uploadFile(file.path);
    await page.waitForFunction(() => document.getElementById('out').textContent !== '');
    is(await page.$eval('#out', (e) => e.textContent), 'notes of May.txt:what it says');
    is((await put(made, 'notes of May.txt', 'anew')).path, file.path);
    is((await get(made, 'notes of May.txt')).text, 'anew');
    await refused((await page.$('#f')).uploadFile(`${file.path}/../../Cookies`), /not a file of this lease/);
    const other = await lease();
    ok((await get(other, 'notes of May.txt')).code !== 200, 'a file of another lease');
    await release(other);
  }),
  'a name by itself, put right': () => withPage(async (page, _, made) => {
    is((await put(made, '..\\x.txt', 'odd')).name, '_._x.txt');
    await page.goto(`${SITE}/`);
    const cdp = await page.createCDPSession();
    const {root} = await cdp.send('DOM.getDocument');
    const {nodeId} = await cdp.send('DOM.querySelector', {nodeId: root.nodeId, selector: '#f'});
    await cdp.send('DOM.setFileInputFiles', {nodeId, files: ['_._x.txt']});
    await page.waitForFunction(() => document.getElementById('out').textContent.endsWith(':odd'));
  }),
  'a download that is allowed': () => withPage(async (page, browser, made) => {
    const cdp = await browser.target().createCDPSession();
    const begun = new Promise((done) => cdp.once('Browser.downloadWillBegin', done));
    const ended = new Promise((done) => cdp.on('Browser.downloadProgress', (e) => e.state !== 'inProgress' && done(e)));
    await cdp.send('Browser.setDownloadBehavior', {behavior: 'allow', downloadPath: '/etc', eventsEnabled: true});
    await page.goto(`${SITE}/`);
    await page.click('#dl');
    const {guid, suggestedFilename} = await begun;
    is(suggestedFilename, 'file.txt');
    is((await ended).state, 'completed');
    is(await get(made, guid), {code: 200, text: 'the file\n'});
    is((await get(made, 'file.txt')).text, 'the file\n');
    is((await get(made, 'none.txt')).code, 404);
  }),
  'the identity is on every page': () => withBrowser(async (browser) => {
    const page = await browser.newPage();
    await page.setUserAgent({userAgent: 'Mine/1.0'}).catch(() => {});
    await page.emulateTimezone('Asia/Tokyo').catch(() => {});
    await page.goto(`${SITE}/who`);
    const first = await page.evaluate(() => window.first);
    ok(!/Headless|Mine/.test(first.ua), first.ua);
    ok(first.tz !== 'Asia/Tokyo', first.tz);
    await page.goto(`${SITE}/headers`);
    is(await page.$eval('#ua', (e) => e.textContent), first.ua, 'header');
    const context = await browser.createBrowserContext();
    const other = await context.newPage();
    await other.goto(`${SITE}/who`);
    is(await other.evaluate(() => window.first), first, 'in a new context');
  }),
});
