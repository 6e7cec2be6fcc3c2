// What else people do with Puppeteer; each connects by browserURL, as to a browser of their own that listens at a port.
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {load} from '../support/npm.mjs';
import {CALL_MS, FLEET_URL, SITE2, get, headers, is, ok, put, refused, run} from './suite.mjs';
import {site} from './site.mjs';

const puppeteer = await load('puppeteer-core');
const {url: HERE} = await site();
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function withPage(fn, options = {}) {
  const browser = await puppeteer.connect({browserURL: FLEET_URL, headers, protocolTimeout: CALL_MS, ...options});
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(CALL_MS);
    await fn(page, browser);
  } finally {
    await browser.close();
  }
}

await run({
  'a form': () => withPage(async (page) => {
    await page.goto(`${HERE}/login`);
    await page.locator('aria/User').fill('ann');
    await page.type('[name=password]', 's3cret', {delay: 1});
    await page.click('[name=stay]');
    await page.select('[name=colour]', 'blue');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Tab'), page.click('::-p-text(Sign in)')]);
    is(await page.$eval('#p', (e) => e.textContent), 'POST user=ann&password=s3cret&stay=on&colour=blue');
  }),
  'selectors: text, xpath, aria, pierce, $$eval': () => withPage(async (page) => {
    await page.goto(`${HERE}/list`);
    is(await page.$$eval('.row', (rows) => rows.length), 12);
    is(await (await page.$('::-p-xpath(//li[4])')).evaluate((e) => e.textContent), 'row 3');
    is(await (await page.$('text/row 11')).evaluate((e) => e.dataset.n), '11');
    await page.goto(`${HERE}/late`);
    await (await page.waitForSelector('aria/late[role="button"]')).click();
  }),
  'a pop-up without an opener is found by its address': () => withPage(async (page, browser) => {
    await page.goto(`${HERE}/list`);
    await page.evaluate((url) => {
      document.body.innerHTML = `<a id=away href="${url}" target=_blank rel=noopener>away</a>`;
    }, `${HERE}/login`);
    const target = browser.waitForTarget((t) => t.url() === `${HERE}/login`, {timeout: CALL_MS});
    await page.click('#away');
    const opened = await (await target).page();
    await opened.waitForSelector('aria/User');
    is(await opened.evaluate(() => window.opener), null);
  }),
  'downloads are put into nobody else\'s directory': () => withPage(async (page, browser) => {
    const top = mkdtempSync(join(tmpdir(), 'wanted-')), inside = (name) => join(top, name);
    const wide = inside('wide'), link = inside('link'), own = inside('own');
    mkdirSync(wide, {mode: 0o755});
    mkdirSync(own, {mode: 0o700});
    symlinkSync(own, link);
    const client = await browser.target().createCDPSession();
    const whole = async (downloadPath) => {
      await client.send('Browser.setDownloadBehavior', {behavior: 'allowAndName', downloadPath, eventsEnabled: true});
      const told = new Promise((done) => client.on('Browser.downloadProgress', (e) => e.state === 'completed' && done(e.guid)));
      await page.evaluate(() => {
        const a = document.createElement('a');
        a.href = '/report.csv';
        a.click();
      });
      return told;
    };
    await page.goto(`${HERE}/list`);
    for (const dir of [wide, link, '/etc', 'relative', inside('nowhere')]) ok(!readdirSync(top).includes(await whole(dir)), dir);
    is([readdirSync(wide).length, readdirSync(own).length], [0, 0]);
    const guid = await whole(own);
    is(readFileSync(join(own, guid), 'utf8'), 'a,b\n1,2\n');
    rmSync(top, {recursive: true});
  }),
  'frames in frames': () => withPage(async (page) => {
    await page.goto(`${HERE}/nested`);
    const deep = await page.waitForFrame((f) => f.url().endsWith('/deep'));
    await (await deep.waitForSelector('button')).click();
    is(await deep.$eval('button', (b) => b.textContent), 'done');
    is(page.mainFrame().childFrames()[0].childFrames()[0] === deep, true);
    const inner = await (await page.$('iframe')).contentFrame();
    is(await inner.$eval('p', (p) => p.textContent), 'outer');
  }),
  // The button's release goes its own way to the renderer and can overtake the start of the drag: then nothing is dropped.
  'drag and drop': () => withPage(async (page) => {
    await page.goto(`${HERE}/drag`);
    const [a, b] = [await page.$('#a'), await page.$('#b')];
    await a.drop(b);
    const dropped = () => page.waitForFunction(() => document.getElementById('b').textContent === 'from a', {timeout: 2000}).then(() => true, () => false);
    for (let tries = 1; await b.drop(a), !await dropped(); tries++)
      ok(tries < 3, 'nothing was dropped');
  }),
  'drag and drop that is intercepted': () => withPage(async (page) => {
    await page.setDragInterception(true);
    await page.goto(`${HERE}/drag`);
    const data = await page.mouse.drag({x: 20, y: 20}, {x: 60, y: 140});
    await page.mouse.dragEnter({x: 60, y: 140}, data);
    await page.mouse.dragOver({x: 60, y: 140}, data);
    await page.mouse.drop({x: 60, y: 140}, data);
    await page.waitForFunction(() => document.getElementById('b').textContent === 'from a');
  }),
  'mouse and keys': () => withPage(async (page) => {
    await page.goto(`${HERE}/pointer`);
    await page.click('#pad', {count: 2});
    await page.click('#pad', {button: 'right'});
    await page.mouse.wheel({deltaY: 50});
    await page.waitForFunction(() => document.getElementById('log').textContent.includes('wheel'));
    ok(/dblclick0.*contextmenu2/.test(await page.$eval('#log', (e) => e.textContent)), 'the log');
    await page.touchscreen.tap(40, 40);
    await page.goto(`${HERE}/keys`);
    await page.focus('#t');
    await page.keyboard.down('Shift');
    await page.keyboard.press('KeyA');
    await page.keyboard.up('Shift');
    await page.keyboard.sendCharacter('☂');
    is(await page.$eval('#t', (e) => e.value), 'A☂');
  }),
  'media, colours, vision': () => withPage(async (page) => {
    await page.goto(`${HERE}/media`);
    await page.emulateMediaType('print');
    is(await page.evaluate(() => window.look()), 'false,true,false');
    await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: 'dark'}, {name: 'prefers-reduced-motion', value: 'reduce'}]);
    is(await page.evaluate(() => window.look()), 'true,false,true');
    await page.emulateVisionDeficiency('deuteranopia');
    await page.emulateVisionDeficiency('none');
    await page.emulateCPUThrottling(2);
    await page.emulateIdleState({isUserActive: false, isScreenUnlocked: false});
  }),
  'geolocation and permissions': () => withPage(async (page, browser) => {
    await browser.defaultBrowserContext().overridePermissions(HERE, ['geolocation']);
    await page.setGeolocation({latitude: 48.5, longitude: 9.25});
    await page.goto(`${HERE}/geo`);
    is(await page.evaluate(() => window.where()), [48.5, 9.25]);
    await browser.defaultBrowserContext().clearPermissionOverrides();
  }),
  'a target that is not there': () => withPage(async (page) => {
    const gone = createServer().listen(0, '127.0.0.9');
    await new Promise((done) => gone.once('listening', done));
    const {port} = gone.address();
    await new Promise((done) => gone.close(done));
    await refused(page.goto(`http://127.0.0.9:${port}/`), /net::ERR_CONNECTION_FAILED/);
    await page.goto(`${HERE}/list`);
  }),
  'offline, slow network, cache': () => withPage(async (page) => {
    await page.setCacheEnabled(false);
    await page.setOfflineMode(true);
    await refused(page.goto(`${HERE}/list`), /INTERNET_DISCONNECTED/);
    await page.setOfflineMode(false);
    await page.emulateNetworkConditions(puppeteer.PredefinedNetworkConditions?.['Fast 4G'] ?? {download: 1e6, upload: 1e6, latency: 10});
    is((await page.goto(`${HERE}/list`)).status(), 200);
  }),
  'HTTP authentication': () => withPage(async (page) => {
    is((await page.goto(`${HERE}/private`)).status(), 401);
    await page.authenticate({username: 'ann', password: 'secret'});
    is((await page.goto(`${HERE}/private`)).status(), 200);
  }),
  'headers, and what comes back': () => withPage(async (page) => {
    await page.setExtraHTTPHeaders({'x-mine': '1'});
    const seen = await (await page.goto(`${HERE}/echo-headers`)).json();
    is(seen['x-mine'], '1');
    const [answer] = await Promise.all([page.waitForResponse((r) => r.url().endsWith('/data.json')), page.evaluate(() => fetch('/data.json').then(() => 1))]);
    is(await answer.json(), {items: [1, 2, 3]});
    is((await page.waitForRequest((r) => r.method() === 'POST', {timeout: 50}).catch((e) => e.name)), 'TimeoutError');
  }),
  'cookies of pages and contexts': () => withPage(async (page, browser) => {
    await page.goto(`${HERE}/set`);
    const found = await browser.cookies();
    is(found.map((c) => `${c.name}${c.httpOnly}`).sort(), ['afalse', 'btrue']);
    await browser.deleteCookie(found.find((c) => c.name === 'a'));
    is((await browser.cookies()).length, 1);
    const context = await browser.createBrowserContext();
    await context.setCookie({name: 'c', value: '3', domain: '127.0.0.1', path: '/'});
    const other = await context.newPage();
    await other.goto(`${HERE}/list`);
    is(await other.evaluate(() => document.cookie), 'c=3');
    await context.close();
  }),
  'redirects and statuses': () => withPage(async (page) => {
    const answer = await page.goto(`${HERE}/moved`);
    is(answer.request().redirectChain().map((r) => r.url()), [`${HERE}/moved`, `${HERE}/moved-again`]);
    is((await page.goto(`${HERE}/missing`)).status(), 404);
    is((await page.goto(`${HERE}/broken`)).ok(), false);
    ok(answer.remoteAddress() !== undefined && answer.timing() !== null, 'timing');
  }),
  'waiting: network idle, timeout, history': () => withPage(async (page) => {
    await refused(page.goto(`${HERE}/slow`, {timeout: 100}), /timeout/);
    await page.goto(`${HERE}/list`, {waitUntil: ['load', 'networkidle0']});
    await page.goto(`${HERE}/spa`);
    await Promise.all([page.waitForNavigation(), page.click('#go')]);
    ok(page.url().endsWith('/spa/two'), page.url());
    await page.goBack();
    ok(page.url().endsWith('/spa'), page.url());
    await page.reload({waitUntil: 'networkidle2'});
    await page.waitForNetworkIdle({idleTime: 50});
  }),
  'windows and targets': () => withPage(async (page, browser) => {
    const seen = [];
    browser.on('targetcreated', (t) => seen.push(t.type()));
    await page.goto(`${HERE}/opens`);
    const [target] = await Promise.all([new Promise((done) => browser.once('targetcreated', done)), page.click('a')]);
    const list = await target.page();
    await list.waitForSelector('.row');
    is((await browser.pages()).length, 3);
    await list.bringToFront();
    await Promise.all([new Promise((done) => browser.once('targetdestroyed', done)), list.close()]);
    is((await browser.pages()).length, 2);
    ok(seen.includes('page'), seen.join());
  }),
  'sockets, events, workers of all kinds': () => withPage(async (page, browser) => {
    await page.goto(`${HERE}/ws`);
    await page.waitForFunction(() => document.getElementById('w').textContent === 'echo hello');
    await page.goto(`${HERE}/sse`);
    await page.waitForFunction(() => document.getElementById('e').textContent === 'tick');
    const worker = browser.waitForTarget((t) => t.type() === 'service_worker');
    await page.goto(`${HERE}/sw`);
    is(await (await (await worker).worker()).evaluate(() => self.location.pathname), '/sw.js');
    await page.waitForFunction(() => document.title === 'Ready');
    is(await page.evaluate(async () => (await fetch('/from-worker')).text()), 'of the worker');
  }),
  'file chooser': () => withPage(async (page, browser) => {
    const root = await browser.target().createCDPSession();
    const {id} = await root.send('Fleet.status');
    const file = await put({id}, 'a.txt', 'a');
    await page.goto(`${HERE}/chooser`);
    const [chooser] = await Promise.all([page.waitForFileChooser(), page.click('#pick')]);
    await chooser.accept([file.path]);
    await page.waitForFunction(() => document.getElementById('o').textContent === 'a.txt');
  }),
  'a download by behaviour of the connection': () => withPage(async (page, browser) => {
    const {id} = await (await browser.target().createCDPSession()).send('Fleet.status');
    await page.goto(`${HERE}/`);
    await page.evaluate(() => {
      const a = document.createElement('a');
      a.href = '/report.csv';
      a.click();
    });
    for (let i = 0; i < 100 && (await get({id}, 'report.csv')).code !== 200; i++) await pause(50);
    is((await get({id}, 'report.csv')).text, 'a,b\n1,2\n');
  }, {downloadBehavior: {policy: 'allow', downloadPath: '/tmp'}}),
  'scripts before and in pages': () => withPage(async (page) => {
    const {identifier} = await page.evaluateOnNewDocument((n) => { window.n = n; }, 5);
    await page.exposeFunction('sum', (a, b) => a + b);
    await page.goto(`${HERE}/outer`);
    is(await page.evaluate(() => window.sum(window.n, 1)), 6);
    is(await page.frames()[1].evaluate(() => window.n), 5);
    await page.removeScriptToEvaluateOnNewDocument(identifier);
    await page.removeExposedFunction('sum');
    await page.reload();
    is(await page.evaluate(() => typeof window.n), 'undefined');
    await page.addScriptTag({content: 'window.tagged=1'});
    await page.addStyleTag({content: 'p{color:rgb(1,1,1)}'});
    is(await page.$eval('p', (e) => getComputedStyle(e).color), 'rgb(1, 1, 1)');
    await page.setBypassCSP(true);
    await page.setJavaScriptEnabled(false);
    await page.goto(`${HERE}/late`);
    await pause(350);
    is(await page.$('button'), null);
  }),
  'handles and objects': () => withPage(async (page) => {
    await page.goto(`${HERE}/list`);
    const map = await page.evaluateHandle(() => ({a: [1, {b: 2}], d: document.body}));
    const properties = await map.getProperties();
    is(await properties.get('a').jsonValue(), [1, {b: 2}]);
    is(await properties.get('d').asElement().evaluate((e) => e.tagName), 'BODY');
    const rows = await page.$$('.row');
    is(await rows[2].boxModel().then((m) => m.width > 0), true);
    is(await rows[2].isIntersectingViewport(), true);
    await map.dispose();
    class Row {}
    ok(Row && await page.queryObjects(await page.evaluateHandle(() => HTMLLIElement.prototype)).then(async (h) => (await h.getProperty('length')).jsonValue()) === 12, 'li');
  }),
  'pictures and PDF': () => withPage(async (page) => {
    await page.goto(`${HERE}/canvas`);
    const png = Buffer.from(await (await page.$('#c')).screenshot());
    is([png.readUInt32BE(16), png.readUInt32BE(20)], [60, 40]);
    is((await page.screenshot({type: 'webp', clip: {x: 0, y: 0, width: 20, height: 20}, encoding: 'base64'})).startsWith('UklGR'), true);
    is((await page.screenshot({omitBackground: true, captureBeyondViewport: true})).length > 100, true);
    await page.goto(`${HERE}/print`);
    const pdf = Buffer.from(await page.pdf({format: 'A4', printBackground: true, margin: {top: '1cm'}})).toString('latin1');
    is((pdf.match(/\/Type ?\/Page\b/g) ?? []).length, 2);
    const parts = await page.createPDFStream();
    ok((await parts.getReader().read()).value.length > 100, 'a stream');
  }),
  'coverage, metrics, heap, accessibility': () => withPage(async (page) => {
    await Promise.all([page.coverage.startJSCoverage(), page.coverage.startCSSCoverage()]);
    await page.goto(`${HERE}/unused`);
    const [js, css] = await Promise.all([page.coverage.stopJSCoverage(), page.coverage.stopCSSCoverage()]);
    is([js.map((s) => s.url), css.length], [[`${HERE}/unused`], 1]);
    ok((await page.metrics()).Nodes > 0, 'metrics');
    await page.goto(`${HERE}/login`);
    const tree = JSON.stringify(await page.accessibility.snapshot());
    ok(tree.includes('"Sign in"'), tree);
  }),
  'dialogs and beforeunload': () => withPage(async (page) => {
    await page.goto(`${HERE}/unload`);
    await page.type('#i', 'x');
    const dialog = new Promise((done) => page.once('dialog', done));
    const closing = page.close({runBeforeUnload: true});
    is((await dialog).type(), 'beforeunload');
    await (await dialog).accept();
    await closing;
  }),
  'interception: other answers, headers, priorities': () => withPage(async (page) => {
    await page.setRequestInterception(true);
    page.on('request', (r) => {
      if (r.isInterceptResolutionHandled()) return;
      if (r.url().endsWith('/data.json')) void r.respond({status: 202, contentType: 'application/json', body: '{"items":[]}'}, 1);
      else if (r.resourceType() === 'image') void r.abort('blockedbyclient', 1);
      else void r.continue({headers: {...r.headers(), 'x-more': 'y'}}, 0);
    });
    is((await (await page.goto(`${HERE}/echo-headers`)).json())['x-more'], 'y');
    is(await page.evaluate(async () => (await fetch('/data.json')).status), 202);
    await page.setRequestInterception(false);
    is(await page.evaluate(async () => (await fetch('/data.json')).status), 200);
  }),
  'a page of another origin within': () => withPage(async (page) => {
    await page.goto(`${HERE}/`);
    await page.setContent(`<iframe src="${SITE2}/inner"></iframe>`);
    const frame = await page.waitForFrame(`${SITE2}/inner`);
    await (await frame.waitForSelector('#ib')).click();
    is(await frame.$eval('#ib', (e) => e.textContent), 'pressed');
  }),
  'a crash, and the next page': () => withPage(async (page, browser) => {
    await page.goto(`${HERE}/`);
    const wrong = new Promise((done) => page.once('error', done));
    const cdp = await page.createCDPSession();
    void cdp.send('Page.crash').catch(() => {});
    ok(/crash/i.test((await wrong).message), 'the error');
    await page.close();
    const next = await browser.newPage();
    is((await next.goto(`${HERE}/list`)).status(), 200);
  }),
  'five contexts at once': () => withPage(async (_, browser) => {
    const found = await Promise.all([1, 2, 3, 4, 5].map(async (i) => {
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      await page.goto(`${HERE}/n/${i}`);
      await page.evaluate((n) => localStorage.setItem('n', n), i);
      const seen = [await page.title(), await page.evaluate(() => localStorage.length)];
      await context.close();
      return seen;
    }));
    is(found, [1, 2, 3, 4, 5].map((i) => [`/n/${i}`, 1]));
  }),
  'console, errors, lifecycle of requests': () => withPage(async (page) => {
    const seen = {console: [], requestfinished: 0, requestfailed: 0, domcontentloaded: 0, load: 0};
    page.on('console', async (m) => seen.console.push([m.type(), ...await Promise.all(m.args().map((a) => a.jsonValue()))]));
    for (const name of ['requestfinished', 'requestfailed', 'domcontentloaded', 'load']) page.on(name, () => seen[name]++);
    await page.goto(`${HERE}/list`);
    await page.evaluate(() => console.info('x', {a: 1}));
    await page.evaluate(() => fetch('http://127.0.0.1:1/').catch(() => {}));
    for (let i = 0; i < 50 && (seen.console.length === 0 || seen.requestfailed === 0); i++) await pause(20);
    is(seen.console.find((c) => c[0] === 'info'), ['info', 'x', {a: 1}]);
    ok(seen.requestfinished > 0 && seen.load === 1 && seen.domcontentloaded === 1, JSON.stringify(seen));
    await refused(page.evaluate(() => { throw new Error('mine'); }), /mine/);
  }),
}, 2);
