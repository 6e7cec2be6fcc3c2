// What else people do with Playwright: emulation, routes, tracing, frames, downloads, several contexts, lost connections.
import {readFileSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {chromium, withBrowser, withPage} from './playwright_page.mjs';
import {SITE2, eventually, is, ok, put, run} from './suite.mjs';
import {site} from './site.mjs';

const {url: HERE} = await site();

await run({
  'a form by its labels': () => withPage(async (page) => {
    await page.goto('/login');
    await page.getByLabel('User').fill('ann');
    await page.getByLabel('Password').pressSequentially('s3cret');
    await page.getByLabel('stay').check();
    await page.getByLabel('Colour').selectOption('blue');
    const [sent] = await Promise.all([page.waitForRequest((r) => r.method() === 'POST'), page.getByRole('button', {name: 'Sign in'}).click()]);
    is(sent.postData(), 'user=ann&password=s3cret&stay=on&colour=blue');
    await page.waitForURL('**/posted');
    is(await page.locator('#p').innerText(), 'POST user=ann&password=s3cret&stay=on&colour=blue');
  }, {baseURL: HERE}),
  'locators: filter, nth, count, all': () => withPage(async (page) => {
    await page.goto(`${HERE}/list`);
    is(await page.locator('.row').count(), 12);
    is(await page.locator('.row').nth(3).textContent(), 'row 3');
    is(await page.locator('.row').filter({hasText: 'row 11'}).getAttribute('data-n'), '11');
    is((await page.locator('.row').allTextContents()).length, 12);
    is(await page.locator('xpath=//li[last()]').isVisible(), true);
  }),
  'what comes late': () => withPage(async (page) => {
    await page.goto(`${HERE}/late`);
    await page.getByRole('button', {name: 'late'}).click();
    is(await page.waitForFunction(() => document.querySelectorAll('button').length).then((h) => h.jsonValue()), 1);
  }),
  'frames in frames': () => withPage(async (page) => {
    await page.goto(`${HERE}/nested`);
    const deep = page.frameLocator('[name=outer]').frameLocator('[name=deep]');
    await deep.getByRole('button').click();
    is(await deep.getByRole('button').textContent(), 'done');
    await deep.getByPlaceholder('words').fill('x');
    is(page.frames().length, 3);
    is(await page.frame('deep').evaluate(() => document.title), 'Deep');
  }),
  'drag and drop': () => withPage(async (page) => {
    await page.goto(`${HERE}/drag`);
    await page.dragAndDrop('#a', '#b');
    is(await page.textContent('#b'), 'from a');
    await page.reload();
    await page.locator('#a').dragTo(page.locator('#b'));
    is(await page.textContent('#b'), 'from a');
  }),
  'mouse: double, right, wheel, steps': () => withPage(async (page) => {
    await page.goto(`${HERE}/pointer`);
    await page.dblclick('#pad');
    await page.click('#pad', {button: 'right'});
    await page.mouse.move(50, 50, {steps: 5});
    await page.mouse.wheel(0, 100);
    await page.waitForFunction(() => document.getElementById('log').textContent.includes('wheel'));
    const log = await page.textContent('#log');
    ok(/dblclick0/.test(log) && /contextmenu2/.test(log), log);
  }),
  'keys with modifiers': () => withPage(async (page) => {
    await page.goto(`${HERE}/keys`);
    await page.focus('#t');
    await page.keyboard.press('Shift+KeyA');
    await page.keyboard.press('Control+A');
    await page.keyboard.insertText('länger ☂');
    is(await page.inputValue('#t'), 'länger ☂');
    ok((await page.textContent('#log')).includes('C-A'), await page.textContent('#log'));
  }),
  'tapping': () => withPage(async (page) => {
    await page.goto(`${HERE}/pointer`);
    await page.touchscreen.tap(40, 40).catch((e) => ok(/hasTouch/.test(e.message), e.message));
  }, {hasTouch: true}),
  'colour scheme and media': () => withPage(async (page) => {
    await page.goto(`${HERE}/media`);
    is(await page.evaluate(() => look()), 'true,false,false');
    await page.emulateMedia({media: 'print', colorScheme: 'light', reducedMotion: 'reduce'});
    is(await page.evaluate(() => look()), 'false,true,true');
  }, {colorScheme: 'dark'}),
  'geolocation and permissions': () => withPage(async (page, context) => {
    await page.goto(`${HERE}/geo`);
    is(await page.evaluate(() => where()), [48.5, 9.25]);
    await context.setGeolocation({latitude: 1, longitude: 2});
    is(await page.evaluate(() => where()), [1, 2]);
    await context.clearPermissions();
  }, {geolocation: {latitude: 48.5, longitude: 9.25}, permissions: ['geolocation']}),
  'offline and back': () => withPage(async (page, context) => {
    await page.goto(`${HERE}/`);
    await context.setOffline(true);
    is(await page.evaluate(() => navigator.onLine), false);
    let sentence = '';
    await page.goto(`${HERE}/list`).catch((e) => (sentence = e.message));
    ok(/INTERNET_DISCONNECTED/.test(sentence), sentence);
    await context.setOffline(false);
    is((await page.goto(`${HERE}/list`)).status(), 200);
  }),
  'HTTP authentication': () => withPage(async (page, context, browser) => {
    is((await page.goto(`${HERE}/private`)).status(), 200);
    const other = await (await browser.newContext({httpCredentials: {username: 'ann', password: 'wrong'}})).newPage();
    is((await other.goto(`${HERE}/private`)).status(), 401);
  }, {httpCredentials: {username: 'ann', password: 'secret'}}),
  'headers of one\'s own': () => withPage(async (page) => {
    await page.setExtraHTTPHeaders({'x-page': '2'});
    const seen = await (await page.goto(`${HERE}/echo-headers`)).json();
    is([seen['x-context'], seen['x-page']], ['1', '2']);
  }, {extraHTTPHeaders: {'x-context': '1'}}),
  'no JavaScript': () => withPage(async (page) => {
    await page.goto(`${HERE}/late`);
    await page.waitForTimeout(400);
    is(await page.locator('button').count(), 0);
  }, {javaScriptEnabled: false}),
  'routes of a context: fetch, change, fulfil': () => withPage(async (page, context) => {
    await context.route('**/data.json', async (r) => {
      const answer = await r.fetch();
      const json = await answer.json();
      await r.fulfill({response: answer, json: {items: [...json.items, 4]}});
    });
    await context.route(/\/made-up$/, (r) => r.fulfill({status: 201, contentType: 'text/html', body: '<title>made up</title>'}));
    await page.goto(`${HERE}/`);
    is(await page.evaluate(async () => (await (await fetch('/data.json')).json()).items.length), 4);
    is((await page.goto(`${HERE}/made-up`)).status(), 201);
    await context.unrouteAll();
    is(await (await page.goto(`${HERE}/made-up`)).status(), 200);
  }),
  'routes: fallback, abort by type, POST data changed': () => withPage(async (page) => {
    await page.route('**/*', (r) => (r.request().resourceType() === 'image' ? r.abort() : r.fallback()));
    await page.route('**/posted', (r) => r.continue({postData: 'changed=1', method: 'POST'}));
    await page.goto(`${HERE}/login`);
    is(await page.evaluate(async () => (await (await fetch('/posted', {method: 'POST', body: 'a=1'})).text()).includes('changed=1')), true);
    is(await page.evaluate(() => new Promise((d) => { const i = new Image(); i.onerror = () => d('no'); i.onload = () => d('yes'); i.src = '/x.png'; })), 'no');
  }),
  'request without a page': () => withPage(async (page, context) => {
    await page.goto(`${HERE}/set`);
    is((await context.cookies()).map((c) => c.name).sort(), ['a', 'b']);
    await context.clearCookies({name: 'a'});
    is((await context.cookies()).map((c) => c.name), ['b']);
  }),
  'storage state with local storage': () => withPage(async (page, context, browser) => {
    await page.goto(`${HERE}/storage`);
    const state = await context.storageState();
    is(state.origins, [{origin: HERE, localStorage: [{name: 'k', value: 'v'}]}]);
    const other = await (await browser.newContext({storageState: state})).newPage();
    await other.goto(`${HERE}/`);
    is(await other.evaluate(() => localStorage.getItem('k')), 'v');
  }),
  'redirects and their chain': () => withPage(async (page) => {
    const answer = await page.goto(`${HERE}/moved`);
    is(answer.url(), `${HERE}/list`);
    is(answer.request().redirectedFrom().redirectedFrom().url(), `${HERE}/moved`);
    is((await page.goto(`${HERE}/missing`)).status(), 404);
    is((await page.goto(`${HERE}/broken`)).statusText(), 'Internal Server Error');
    ok((await answer.allHeaders())['content-type'] === 'text/html', 'headers');
  }),
  'lifecycle: commit, networkidle, slow, timeout': () => withPage(async (page) => {
    await page.goto(`${HERE}/slow`, {waitUntil: 'commit'});
    await page.waitForLoadState('networkidle');
    let name = '';
    await page.goto(`${HERE}/slow`, {timeout: 100}).catch((e) => (name = e.name));
    is(name, 'TimeoutError');
    await page.goto(`${HERE}/list`, {waitUntil: 'networkidle'});
    is(await page.title(), 'List');
  }),
  'pushState and waitForURL': () => withPage(async (page) => {
    await page.goto(`${HERE}/spa`);
    await page.click('#go');
    await page.waitForURL('**/spa/two');
    is(await page.title(), 'Two');
    await page.goto(`${HERE}/spa#part`);
    is(await page.evaluate(() => location.hash), '#part');
  }),
  'windows: opener, size, noopener, close': () => withPage(async (page, context) => {
    await page.goto(`${HERE}/opens`);
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')]);
    await popup.waitForLoadState();
    is(await popup.title(), 'Deep');
    is(await popup.opener() === page, true);
    const [list] = await Promise.all([context.waitForEvent('page'), page.click('a')]);
    await list.waitForURL('**/list');
    is(await list.evaluate(() => window.opener), null);
    const closed = popup.waitForEvent('close');
    await popup.evaluate(() => window.close()).catch(() => {});
    await closed;
    is(context.pages().length, 2);
    await list.bringToFront();
  }),
  'web sockets and server-sent events': () => withPage(async (page) => {
    const [socket] = await Promise.all([page.waitForEvent('websocket'), page.goto(`${HERE}/ws`)]);
    ok(socket.url().endsWith('/echo'), socket.url());
    await page.getByText('echo hello').waitFor();
    await page.goto(`${HERE}/sse`);
    await page.getByText('tick').waitFor();
  }),
  'a web socket that is routed': () => withPage(async (page) => {
    await page.routeWebSocket('**/echo', (ws) => ws.onMessage((m) => ws.send(`mock ${m}`)));
    await page.goto(`${HERE}/ws`);
    await page.getByText('mock hello').waitFor();
  }),
  'service and shared workers': () => withPage(async (page, context) => {
    const [worker] = await Promise.all([context.waitForEvent('serviceworker'), page.goto(`${HERE}/sw`)]);
    ok(worker.url().endsWith('/sw.js'), worker.url());
    await page.waitForFunction(() => document.title === 'Ready');
    is(await page.evaluate(async () => (await fetch('/from-worker')).text()), 'of the worker');
    await page.goto(`${HERE}/shared`);
    await page.waitForFunction(() => document.getElementById('s').textContent !== '');
    is(await page.textContent('#s'), `shared ${await page.evaluate(() => navigator.userAgent)}`);
  }),
  'file chooser': () => withPage(async (page, _, __, made) => {
    await page.goto(`${HERE}/chooser`);
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click('#pick')]);
    is(chooser.isMultiple(), true);
    await chooser.setFiles([{name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('a')}, {name: 'b.txt', mimeType: 'text/plain', buffer: Buffer.from('b')}]);
    await page.getByText('a.txt,b.txt').waitFor();
    ok((await put(made, 'c.txt', 'c')).code === 201, 'a file');
  }),
  'a download from script': () => withPage(async (page, _, __, made) => {
    await page.goto(`${HERE}/`);
    const [download] = await Promise.all([page.waitForEvent('download'), page.evaluate(() => {
      const a = document.createElement('a');
      a.href = '/report.csv';
      a.click();
    })]);
    is(download.suggestedFilename(), 'report.csv');
    is(await download.failure(), null);
    is(await eventually(made, 'report.csv'), 'a,b\n1,2\n');
  }),
  'dialogs: beforeunload': () => withPage(async (page) => {
    await page.goto(`${HERE}/unload`);
    await page.fill('#i', 'x');
    await page.click('#i');
    const seen = page.waitForEvent('dialog');
    const closing = page.close({runBeforeUnload: true});
    const dialog = await seen;
    is(dialog.type(), 'beforeunload');
    await dialog.accept();
    await closing;
  }),
  'init scripts, bindings, handles': () => withPage(async (page, context) => {
    const calls = [];
    await context.exposeBinding('tell', ({frame}, what) => { calls.push(`${new URL(frame.url()).pathname} ${what}`); return 7; });
    await page.addInitScript((n) => { window.n = n; window.tell(`init ${n}`); }, 5);
    await page.goto(`${HERE}/outer`);
    is(await page.evaluate(() => window.tell(window.n)), 7);
    ok(calls.includes('/deep init 5'), calls.join());
    await page.addScriptTag({content: 'window.tagged = 1'});
    await page.addStyleTag({content: 'p{color:rgb(1,1,1)}'});
    const handle = await page.evaluateHandle(() => ({a: [1, 2, {b: 3}]}));
    is(await (await handle.getProperty('a')).jsonValue(), [1, 2, {b: 3}]);
    is(await page.$eval('p', (e) => getComputedStyle(e).color), 'rgb(1, 1, 1)');
  }),
  'pictures: element, clip, mask, jpeg; PDF with options': () => withPage(async (page) => {
    await page.goto(`${HERE}/canvas`);
    const png = await page.locator('#c').screenshot();
    is([png.readUInt32BE(16), png.readUInt32BE(20)], [60, 40]);
    const clip = await page.screenshot({clip: {x: 0, y: 0, width: 50, height: 30}, animations: 'disabled', caret: 'hide'});
    is(clip.readUInt32BE(16), 50);
    is((await page.screenshot({type: 'jpeg', quality: 50, mask: [page.locator('#c')]}))[0], 0xff);
    await page.goto(`${HERE}/print`);
    const pdf = await page.pdf({format: 'A4', landscape: true, printBackground: true, displayHeaderFooter: true, preferCSSPageSize: true});
    is((pdf.toString('latin1').match(/\/Type ?\/Page\b/g) ?? []).length, 2, 'pages');
  }),
  'tracing': () => withPage(async (page, context) => {
    const dir = mkdtempSync(`${tmpdir()}/trace-`);
    await context.tracing.start({screenshots: true, snapshots: true, sources: true});
    await page.goto(`${HERE}/list`);
    await page.click('.row');
    await context.tracing.stop({path: `${dir}/t.zip`});
    ok(readFileSync(`${dir}/t.zip`).length > 1000, 'the trace');
    rmSync(dir, {recursive: true});
  }),
  'coverage': () => withPage(async (page) => {
    await Promise.all([page.coverage.startJSCoverage(), page.coverage.startCSSCoverage()]);
    await page.goto(`${HERE}/unused`);
    const [js, css] = await Promise.all([page.coverage.stopJSCoverage(), page.coverage.stopCSSCoverage()]);
    ok(js.length === 1 && js[0].functions.some((f) => f.functionName === 'never' && f.ranges[0].count === 0), JSON.stringify(js).slice(0, 800));
    ok(css.length === 1 && css[0].ranges.length === 1, 'css');
  }),
  'aria snapshot': () => withPage(async (page) => {
    await page.goto(`${HERE}/login`);
    const text = await page.locator('body').ariaSnapshot();
    ok(/textbox "User"/.test(text) && /button "Sign in"/.test(text), text);
  }),
  'a session of one\'s own: events, network, tracing of heap': () => withPage(async (page, context) => {
    const cdp = await context.newCDPSession(page);
    await cdp.send('Network.enable');
    const seen = new Promise((done) => cdp.once('Network.responseReceived', done));
    await page.goto(`${HERE}/list`);
    is((await seen).response.status, 200);
    await cdp.send('Performance.enable');
    ok((await cdp.send('Performance.getMetrics')).metrics.length > 10, 'metrics');
    await cdp.send('Network.emulateNetworkConditions', {offline: false, latency: 20, downloadThroughput: 1e6, uploadThroughput: 1e6});
    await cdp.send('Emulation.setCPUThrottlingRate', {rate: 2});
    await page.goto(`${HERE}/late`);
    const {data} = await cdp.send('Page.captureSnapshot');
    ok(data.includes('MIME-Version'), 'mhtml');
    await cdp.detach();
  }),
  'clock': () => withPage(async (page) => {
    await page.clock.install({time: new Date('2030-01-01T10:00:00Z')});
    await page.goto(`${HERE}/late`);
    await page.clock.fastForward(1000);
    is(await page.locator('button').count(), 1);
    is(await page.evaluate(() => new Date().getUTCFullYear()), 2030);
  }),
  'five contexts at once': () => withBrowser(async (browser) => {
    const titles = await Promise.all([1, 2, 3, 4, 5].map(async (i) => {
      const context = await browser.newContext();
      await context.addCookies([{name: 'n', value: `${i}`, url: HERE}]);
      const page = await context.newPage();
      await page.goto(`${HERE}/n/${i}`);
      const found = [await page.title(), await page.evaluate(() => document.cookie)];
      await context.close();
      return found;
    }));
    is(titles, [1, 2, 3, 4, 5].map((i) => [`/n/${i}`, `n=${i}`]));
    is(browser.contexts().length, 1);
  }),
  'two clients of one lease': () => withBrowser(async (browser, made) => {
    const other = await chromium.connectOverCDP(made.url);
    const page = await browser.contexts()[0].newPage();
    await page.goto(`${HERE}/list`);
    for (let i = 0; i < 100 && !other.contexts()[0].pages().some((p) => p.url().endsWith('/list')); i++) await page.waitForTimeout(20);
    const same = other.contexts()[0].pages().find((p) => p.url().endsWith('/list'));
    is(await same.title(), 'List');
    await other.close();
    is(await page.title(), 'List');
  }),
  'the other origin\'s frame is clicked and routed': () => withPage(async (page) => {
    await page.route('**/inner', (r) => r.continue());
    await page.goto(`${HERE}/`);
    await page.setContent(`<iframe src="${SITE2}/inner"></iframe>`);
    await page.frameLocator('iframe').getByRole('button').click();
    is(await page.frameLocator('iframe').getByRole('button').textContent(), 'pressed');
  }),
  'console with objects, page errors, failed requests': () => withPage(async (page) => {
    const said = page.waitForEvent('console');
    await page.evaluate(() => console.warn('w', {a: 1}, [1, 2]));
    const message = await said;
    is(message.type(), 'warning');
    is(await message.args()[1].jsonValue(), {a: 1});
    const failed = page.waitForEvent('requestfailed');
    await page.route('**/nothing', (r) => r.abort('connectionrefused'));
    await page.goto(`${HERE}/`);
    await page.evaluate(() => fetch('/nothing').catch(() => {}));
    is((await failed).failure().errorText, 'net::ERR_CONNECTION_REFUSED');
    const thrown = page.waitForEvent('pageerror');
    await page.evaluate(() => void setTimeout(() => { throw new TypeError('late'); }, 0));
    is((await thrown).message, 'late');
  }),
  'a page that crashes': () => withPage(async (page, context) => {
    await page.goto(`${HERE}/`);
    const crashed = page.waitForEvent('crash');
    const cdp = await context.newCDPSession(page);
    void cdp.send('Page.crash').catch(() => {});
    await crashed;
    await page.close();
    const next = await context.newPage();
    is((await next.goto(`${HERE}/list`)).status(), 200);
  }),
}, 2);
