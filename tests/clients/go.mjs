// chromedp and rod, as far as the wire shows them: how each finds the browser, what it sends first, and what its actions send for the
// things that people write with it. Neither language's library is needed for it.
import {lookup} from 'node:dns/promises';
import {Wire} from './wire.mjs';
import {FLEET_TOKEN, FLEET_URL, SITE, eventually, gone, is, lease, ok, put, release, run} from './suite.mjs';
import {site} from './site.mjs';

const {url: HERE} = await site();
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const version = async (base, query = '') => {
  const answer = await fetch(`${base}/json/version${query}`);
  if (answer.status !== 200) throw new Error(`/json/version: ${answer.status}`);
  return answer.json();
};

// What both make of a page: named by its session.
class Tab {
  constructor(wire, targetId, sessionId) {
    Object.assign(this, {wire, targetId, sessionId, from: 0});
  }
  send(method, params = {}) {
    return this.wire.send(method, params, this.sessionId);
  }
  // The next event of this page after the last one that was waited for.
  event(method, fits = () => true) {
    return this.wire.event(method, (p, e) => e.sessionId === this.sessionId && !e.taken && fits(p) && (e.taken = true));
  }
  async value(expression) {
    return this.wire.evaluate(expression, this.sessionId);
  }
}

// chromedp: an address with /devtools/browser/ is taken as it is, its host as a number; else /json/version is asked.
class ChromeDP extends Tab {
  static async allocate(url) {
    const u = new URL(url.replace(/^ws/, 'http'));
    const {address} = await lookup(u.hostname, 4);
    if (!u.pathname.includes('/devtools/browser/')) {
      const {webSocketDebuggerUrl} = await version(`http://${address}:${u.port}`, u.search);
      return webSocketDebuggerUrl;
    }
    return `ws://${address}:${u.port}${u.pathname}`;
  }
  static async start(url) {
    const wire = await Wire.open(await ChromeDP.allocate(url));
    await wire.send('Target.setDiscoverTargets', {discover: true});
    return ChromeDP.tab(wire);
  }
  static async tab(wire, browserContextId) {
    const {targetId} = await wire.send('Target.createTarget', {url: 'about:blank', browserContextId});
    return ChromeDP.attach(wire, targetId);
  }
  static async attach(wire, targetId) {
    const {sessionId} = await wire.send('Target.attachToTarget', {targetId, flatten: true});
    const tab = new ChromeDP(wire, targetId, sessionId);
    await tab.send('Runtime.runIfWaitingForDebugger');
    for (const domain of ['Log', 'Runtime', 'Inspector', 'Page', 'DOM', 'CSS']) await tab.send(`${domain}.enable`);
    await tab.send('Target.setDiscoverTargets', {discover: true});
    await tab.send('Target.setAutoAttach', {autoAttach: true, waitForDebuggerOnStart: false, flatten: true});
    await tab.send('Page.setLifecycleEventsEnabled', {enabled: true});
    return tab;
  }
  async navigate(url) {
    const {loaderId, errorText} = await this.send('Page.navigate', {url});
    if (errorText) throw new Error(errorText);
    await this.event('Page.lifecycleEvent', (p) => p.loaderId === loaderId && p.name === 'load');
  }
  // BySearch: performSearch, its results, and the node.
  async node(text) {
    await this.send('DOM.getDocument', {depth: -1, pierce: true});
    const {searchId, resultCount} = await this.send('DOM.performSearch', {query: text});
    if (resultCount === 0) throw new Error(`no ${text}`);
    const {nodeIds} = await this.send('DOM.getSearchResults', {searchId, fromIndex: 0, toIndex: resultCount});
    await this.send('DOM.discardSearchResults', {searchId});
    return nodeIds[0];
  }
  async click(text, more = {}) {
    const nodeId = await this.node(text);
    await this.send('DOM.scrollIntoViewIfNeeded', {nodeId});
    const {quads: [q]} = await this.send('DOM.getContentQuads', {nodeId});
    const at = {x: (q[0] + q[4]) / 2, y: (q[1] + q[5]) / 2, button: 'left', clickCount: 1, ...more};
    await this.send('Input.dispatchMouseEvent', {type: 'mousePressed', ...at});
    await this.send('Input.dispatchMouseEvent', {type: 'mouseReleased', ...at});
  }
  async keys(text, words) {
    await this.send('DOM.focus', {nodeId: await this.node(text)});
    for (const key of words) {
      await this.send('Input.dispatchKeyEvent', {type: 'keyDown', key, code: `Key${key.toUpperCase()}`, windowsVirtualKeyCode: key.toUpperCase().charCodeAt(0)});
      await this.send('Input.dispatchKeyEvent', {type: 'char', key, text: key, unmodifiedText: key});
      await this.send('Input.dispatchKeyEvent', {type: 'keyUp', key});
    }
  }
  async call(text, functionDeclaration) {
    const {object} = await this.send('DOM.resolveNode', {nodeId: await this.node(text)});
    const {result} = await this.send('Runtime.callFunctionOn', {objectId: object.objectId, functionDeclaration, returnByValue: true});
    return result.value;
  }
  waitNewTarget() {
    return this.wire.event('Target.targetCreated', (p, e) => e.sessionId === undefined && p.targetInfo.openerId === this.targetId && !e.taken && (e.taken = true));
  }
}

// rod: /json/version of the root, unless it has a ws address; objects by Runtime.callFunctionOn on helpers of its own.
class Rod extends Tab {
  static async start(url) {
    const u = new URL(url);
    const wire = await Wire.open(u.protocol === 'ws:' ? url : (await version(u.origin, u.search)).webSocketDebuggerUrl);
    await wire.send('Target.setDiscoverTargets', {discover: true});
    return Rod.page(wire);
  }
  static async page(wire, browserContextId) {
    const {targetId} = await wire.send('Target.createTarget', {url: 'about:blank', browserContextId});
    return Rod.from(wire, targetId);
  }
  static async from(wire, targetId) {
    const {sessionId} = await wire.send('Target.attachToTarget', {targetId, flatten: true});
    const page = new Rod(wire, targetId, sessionId);
    await page.send('Page.enable');
    await page.send('Page.addScriptToEvaluateOnNewDocument', {source: 'window.rod = {}'});
    await page.send('Emulation.setDeviceMetricsOverride', {width: 1200, height: 800, deviceScaleFactor: 1, mobile: false});
    return page;
  }
  async navigate(url) {
    await this.send('Page.stopLoading');
    const {errorText} = await this.send('Page.navigate', {url});
    if (errorText) throw new Error(errorText);
    await this.js('() => new Promise(done => document.readyState === "complete" ? done() : addEventListener("load", () => done()))');
  }
  // Its js(): window by reference first, then the function on it.
  async js(functionDeclaration, ...values) {
    const {result: window} = await this.send('Runtime.evaluate', {expression: 'window'});
    const {result, exceptionDetails} = await this.send('Runtime.callFunctionOn', {objectId: window.objectId, functionDeclaration, awaitPromise: true,
      arguments: values.map((value) => ({value})), returnByValue: true, userGesture: true});
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description);
    return result.value;
  }
  async element(selector) {
    for (let i = 0; i < 100; i++) {
      const {result} = await this.send('Runtime.evaluate', {expression: `document.querySelector(${JSON.stringify(selector)})`});
      if (result.objectId) return result.objectId;
      await pause(20);
    }
    throw new Error(`no ${selector}`);
  }
  async on(selector, functionDeclaration) {
    const {result} = await this.send('Runtime.callFunctionOn', {objectId: await this.element(selector), functionDeclaration, returnByValue: true, awaitPromise: true});
    return result.value;
  }
  async click(selector) {
    const objectId = await this.element(selector);
    await this.send('DOM.scrollIntoViewIfNeeded', {objectId});
    const {quads: [q]} = await this.send('DOM.getContentQuads', {objectId});
    const at = {x: (q[0] + q[4]) / 2, y: (q[1] + q[5]) / 2};
    await this.send('Input.dispatchMouseEvent', {type: 'mouseMoved', ...at});
    for (const type of ['mousePressed', 'mouseReleased']) await this.send('Input.dispatchMouseEvent', {type, ...at, button: 'left', buttons: 1, clickCount: 1});
  }
}

async function leased(start, fn) {
  const made = await lease();
  const tab = await start(made.url);
  try {
    await fn(tab, made);
  } finally {
    await tab.wire.close();
    await release(made);
    await gone(made);
  }
}
const chromedp = (fn) => () => leased(ChromeDP.start, fn);
const rod = (fn) => () => leased(Rod.start, fn);
const mime = (data) => Buffer.from(data, 'base64').subarray(0, 4).toString('latin1');

await run({
  'chromedp: RemoteAllocator at the root, with a token': async () => {
    const tab = await ChromeDP.start(`${FLEET_URL.replace('http', 'ws')}/?token=${FLEET_TOKEN}`);
    await tab.navigate(`${SITE}/`);
    is(await tab.value('document.title'), 'Home');
    await tab.wire.send('Browser.close');
    await tab.wire.closed;
  },
  'chromedp: Navigate, Text, OuterHTML, Title, Location': chromedp(async (tab) => {
    await tab.navigate(`${SITE}/`);
    is(await tab.call('h1', 'function(){return this.innerText}'), 'Welcome');
    ok((await tab.send('DOM.getOuterHTML', {nodeId: await tab.node('h1')})).outerHTML.includes('<h1'), 'html');
    is(await tab.value('document.location.toString()'), `${SITE}/`);
  }),
  'chromedp: Click, SendKeys, Value, SetValue, Clear': chromedp(async (tab) => {
    await tab.navigate(`${SITE}/`);
    await tab.click('//button[@id="b"]');
    is(await tab.call('#out', 'function(){return this.textContent}'), 'clicked');
    await tab.keys('#i', 'abc');
    is(await tab.call('#i', 'function(){return this.value}'), 'abc');
    await tab.send('DOM.setAttributeValue', {nodeId: await tab.node('#i'), name: 'placeholder', value: 'x'});
    is(await tab.call('#i', 'function(){this.value="";return this.getAttribute("placeholder")}'), 'x');
  }),
  'chromedp: WaitVisible, Nodes, Attributes, Dimensions': chromedp(async (tab) => {
    await tab.navigate(`${HERE}/late`);
    for (let i = 0; i < 100 && (await tab.node('//button').catch(() => 0)) === 0; i++) await pause(20);
    const nodeId = await tab.node('//button');
    const {model} = await tab.send('DOM.getBoxModel', {nodeId});
    ok(model.width > 0, 'dimensions');
    await tab.navigate(`${HERE}/list`);
    is((await tab.send('DOM.getAttributes', {nodeId: await tab.node('.row')})).attributes, ['class', 'row', 'data-n', '0']);
    is((await tab.send('DOM.querySelectorAll', {nodeId: (await tab.send('DOM.getDocument')).root.nodeId, selector: '.row'})).nodeIds.length, 12);
  }),
  'chromedp: Screenshot, FullScreenshot, PrintToPDF': chromedp(async (tab) => {
    await tab.navigate(`${SITE}/tall`);
    const {model} = await tab.send('DOM.getBoxModel', {nodeId: await tab.node('#end')});
    const clip = {x: model.content[0], y: model.content[1], width: 50, height: 10, scale: 1};
    is(mime((await tab.send('Page.captureScreenshot', {format: 'png', clip, captureBeyondViewport: true, fromSurface: true})).data), '\x89PNG');
    const {cssContentSize: s} = await tab.send('Page.getLayoutMetrics');
    await tab.send('Emulation.setDeviceMetricsOverride', {width: s.width, height: s.height, deviceScaleFactor: 1, mobile: false});
    ok((await tab.send('Page.captureScreenshot', {format: 'jpeg', quality: 90})).data.length > 1000, 'full');
    is(mime((await tab.send('Page.printToPDF', {printBackground: false})).data), '%PDF');
  }),
  'chromedp: Evaluate, promises, errors, ListenTarget': chromedp(async (tab) => {
    is(await tab.value('Promise.resolve(6*7)'), 42);
    const {exceptionDetails} = await tab.send('Runtime.evaluate', {expression: 'throw new Error("x")'});
    ok(exceptionDetails.exception.description.includes('x'), 'exception');
    is((await tab.send('Runtime.evaluate', {expression: '$$("html").length', includeCommandLineAPI: true})).result.value, 1);
    await tab.navigate(`${SITE}/console`);
    is((await tab.event('Runtime.consoleAPICalled')).params.args.length, 3);
    is((await tab.event('Runtime.exceptionThrown')).params.exceptionDetails.exception.className, 'Error');
  }),
  'chromedp: cookies, headers': chromedp(async (tab) => {
    await tab.send('Network.enable');
    await tab.send('Network.setCookie', {name: 'a', value: '1', domain: '127.0.0.1', expires: Date.now() / 1000 + 100});
    await tab.send('Network.setExtraHTTPHeaders', {headers: {'x-mine': 'yes'}});
    await tab.navigate(`${HERE}/echo-headers`);
    const seen = JSON.parse(await tab.value('document.body.innerText'));
    is([seen['x-mine'], seen.cookie], ['yes', 'a=1']);
    is((await tab.wire.send('Storage.getCookies')).cookies.map((c) => c.name), ['a']);
  }),
  'chromedp: emulate a device, a viewport, a place': chromedp(async (tab) => {
    await tab.send('Emulation.setUserAgentOverride', {userAgent: 'Mine/1.0'});
    await tab.send('Emulation.setDeviceMetricsOverride', {width: 400, height: 700, deviceScaleFactor: 2, mobile: true,
      screenOrientation: {type: 'portraitPrimary', angle: 0}});
    await tab.send('Emulation.setTouchEmulationEnabled', {enabled: true});
    await tab.navigate(`${HERE}/geo`);
    is(await tab.value('innerWidth'), 400);
    ok(!(await tab.value('navigator.userAgent')).includes('Mine'), 'the identity');
    await tab.wire.send('Browser.grantPermissions', {permissions: ['geolocation'], origin: HERE});
    await tab.send('Emulation.setGeolocationOverride', {latitude: 1, longitude: 2, accuracy: 1});
    is(await tab.value('where()'), [1, 2]);
  }),
  'chromedp: WaitNewTarget, a tab of a link': chromedp(async (tab) => {
    await tab.navigate(`${SITE}/`);
    await tab.click('#pop');
    const {params} = await tab.waitNewTarget();
    const popup = await ChromeDP.attach(tab.wire, params.targetInfo.targetId);
    for (let i = 0; i < 100 && (await popup.value('document.title')) !== 'Second'; i++) await pause(10);
    is(await popup.value('location.pathname'), '/second');
    await popup.send('Page.close');
    await tab.wire.event('Target.targetDestroyed', (p) => p.targetId === popup.targetId);
  }),
  'chromedp: NewContext beside, WithNewBrowserContext': chromedp(async (tab) => {
    const beside = await ChromeDP.tab(tab.wire);
    await beside.navigate(`${SITE}/cookie`);
    const {browserContextId} = await tab.wire.send('Target.createBrowserContext', {disposeOnDetach: true});
    const apart = await ChromeDP.tab(tab.wire, browserContextId);
    await apart.navigate(`${SITE}/cookies`);
    is(await apart.value('document.getElementById("c").textContent'), '');
    await tab.wire.send('Target.disposeBrowserContext', {browserContextId});
    await tab.wire.event('Target.detachedFromTarget', (p) => p.sessionId === apart.sessionId);
    is(await beside.value('1'), 1);
  }),
  'chromedp: dialogs': chromedp(async (tab) => {
    await tab.navigate(`${SITE}/dialog`);
    const clicking = tab.click('#p');
    is((await tab.event('Page.javascriptDialogOpening')).params.message, 'name?');
    await tab.send('Page.handleJavaScriptDialog', {accept: true, promptText: 'Anna'});
    await clicking;
    is(await tab.call('#p', 'function(){return this.textContent}'), 'Anna');
  }),
  'chromedp: RunResponse, bodies, ListenTarget of the network': chromedp(async (tab) => {
    await tab.send('Network.enable');
    await tab.navigate(`${SITE}/styled`);
    const {params} = await tab.event('Network.responseReceived', (p) => p.type === 'Document');
    is(params.response.status, 200);
    const css = await tab.event('Network.responseReceived', (p) => p.response.url.endsWith('.css'));
    await tab.event('Network.loadingFinished', (p) => p.requestId === css.params.requestId);
    ok((await tab.send('Network.getResponseBody', {requestId: css.params.requestId})).body.startsWith('h1'), 'body');
  }),
  'chromedp: fetch interception, blocked images': chromedp(async (tab) => {
    await tab.send('Fetch.enable', {patterns: [{urlPattern: '*.png'}, {urlPattern: '*data.json'}]});
    await tab.navigate(`${HERE}/`);
    const loading = tab.value('new Promise(d=>{const i=new Image();i.onerror=()=>d("no");i.src="/x.png"})');
    const {params} = await tab.event('Fetch.requestPaused');
    await tab.send('Fetch.failRequest', {requestId: params.requestId, errorReason: 'BlockedByClient'});
    is(await loading, 'no');
    await tab.send('Network.enable');
    await tab.send('Network.setBlockedURLs', {urls: ['*blocked*']});
    is(await tab.value('fetch("/blocked").then(()=>1,()=>0)'), 0);
  }),
  'chromedp: upload and download': chromedp(async (tab, made) => {
    const file = await put(made, 'up.txt', 'up');
    await tab.navigate(`${SITE}/`);
    await tab.send('DOM.setFileInputFiles', {nodeId: await tab.node('#f'), files: [file.path]});
    for (let i = 0; i < 100 && (await tab.value('document.getElementById("out").textContent')) === ''; i++) await pause(10);
    is(await tab.value('document.getElementById("out").textContent'), 'up.txt:up');
    await tab.wire.send('Browser.setDownloadBehavior', {behavior: 'allowAndName', downloadPath: '/tmp', eventsEnabled: true});
    await tab.click('#dl');
    await tab.wire.event('Browser.downloadProgress', (p) => p.state === 'completed');
    is(await eventually(made, 'file.txt'), 'the file\n');
  }),
  'chromedp: frames': chromedp(async (tab) => {
    await tab.navigate(`${HERE}/nested`);
    const {frameTree} = await tab.send('Page.getFrameTree');
    const {executionContextId} = await tab.send('Page.createIsolatedWorld', {frameId: frameTree.childFrames[0].frame.id, worldName: 'mine'});
    is((await tab.send('Runtime.evaluate', {expression: 'document.querySelector("p").textContent', contextId: executionContextId})).result.value, 'outer');
    const {node} = await tab.send('DOM.describeNode', {nodeId: await tab.node('iframe'), depth: -1, pierce: true});
    ok(node.contentDocument.documentURL.endsWith('/outer'), 'describeNode');
  }),
  'chromedp: HTTP authentication': chromedp(async (tab) => {
    await tab.send('Fetch.enable', {handleAuthRequests: true});
    const going = tab.navigate(`${HERE}/private`);
    await tab.send('Fetch.continueRequest', {requestId: (await tab.event('Fetch.requestPaused')).params.requestId});
    const {params} = await tab.event('Fetch.authRequired');
    await tab.send('Fetch.continueWithAuth', {requestId: params.requestId, authChallengeResponse: {response: 'ProvideCredentials', username: 'ann', password: 'secret'}});
    void tab.event('Fetch.requestPaused').then(({params: p}) => tab.send('Fetch.continueRequest', {requestId: p.requestId})).catch(() => {});
    await going;
    is(await tab.value('document.title'), 'Private');
  }),
  'chromedp: bindings, scripts before, submit': chromedp(async (tab) => {
    await tab.send('Runtime.addBinding', {name: 'tell'});
    await tab.send('Page.addScriptToEvaluateOnNewDocument', {source: 'window.tell("early")'});
    await tab.navigate(`${HERE}/login`);
    is((await tab.event('Runtime.bindingCalled')).params.payload, 'early');
    await tab.keys('input[name="user"]', 'ann');
    await tab.call('form', 'function(){this.submit()}');
    for (let i = 0; i < 100 && (await tab.value('document.title')) !== 'Posted'; i++) await pause(10);
    ok((await tab.value('document.body.innerText')).includes('user=ann'), 'sent');
  }),
  'chromedp: history, reload, stop': chromedp(async (tab) => {
    await tab.navigate(`${SITE}/`);
    await tab.navigate(`${SITE}/second`);
    const {currentIndex, entries} = await tab.send('Page.getNavigationHistory');
    await tab.send('Page.navigateToHistoryEntry', {entryId: entries[currentIndex - 1].id});
    for (let i = 0; i < 100 && (await tab.value('document.title')) !== 'Home'; i++) await pause(10);
    await tab.send('Page.reload', {ignoreCache: true});
    await tab.event('Page.loadEventFired');
    await tab.send('Page.stopLoading');
    is(await tab.value('location.pathname'), '/');
  }),
  'chromedp: screencast, MHTML, metrics': chromedp(async (tab) => {
    await tab.send('Page.startScreencast', {format: 'jpeg', quality: 20});
    await tab.navigate(`${SITE}/tall`);
    const {params} = await tab.event('Page.screencastFrame');
    await tab.send('Page.screencastFrameAck', {sessionId: params.sessionId});
    await tab.send('Page.stopScreencast');
    ok((await tab.send('Page.captureSnapshot', {format: 'mhtml'})).data.length > 100, 'mhtml');
    await tab.send('Performance.enable');
    ok((await tab.send('Performance.getMetrics')).metrics.length > 5, 'metrics');
  }),
  'chromedp: cancelled, and another on the same lease': chromedp(async (tab, made) => {
    await tab.navigate(`${SITE}/second`);
    await tab.send('Page.close');
    await tab.wire.event('Target.targetDestroyed', (p) => p.targetId === tab.targetId);
    const again = await ChromeDP.start(made.url);
    await again.navigate(`${SITE}/`);
    is(await again.value('document.title'), 'Home');
    await again.wire.close();
  }),

  'rod: ControlURL by ResolveURL at the root': async () => {
    const page = await Rod.start(`${FLEET_URL}/?token=${FLEET_TOKEN}`);
    await page.navigate(`${SITE}/`);
    is(await page.js('() => document.title'), 'Home');
    await page.wire.send('Browser.close');
    await page.wire.closed;
  },
  'rod: MustElement, MustText, MustHTML, MustAttribute': rod(async (page) => {
    await page.navigate(`${SITE}/`);
    is(await page.on('h1', 'function(){return this.innerText}'), 'Welcome');
    ok((await page.send('DOM.getOuterHTML', {objectId: await page.element('h1')})).outerHTML.includes('Welcome'), 'html');
    is(await page.on('#next', 'function(){return this.getAttribute("href")}'), '/second');
  }),
  'rod: MustClick, MustInput, MustSelect': rod(async (page) => {
    await page.navigate(`${SITE}/`);
    await page.click('#b');
    is(await page.on('#out', 'function(){return this.textContent}'), 'clicked');
    await page.send('DOM.focus', {objectId: await page.element('#i')});
    await page.send('Input.insertText', {text: 'some words'});
    is(await page.on('#i', 'function(){return this.value}'), 'some words');
    is(await page.on('#s', 'function(){this.value="b";this.dispatchEvent(new Event("change"));return this.value}'), 'b');
  }),
  'rod: elements by R, X, and a race': rod(async (page) => {
    await page.navigate(`${HERE}/list`);
    is(await page.js('() => document.querySelectorAll(".row").length'), 12);
    is(await page.js('(x) => document.evaluate(x, document, null, 9, null).singleNodeValue.textContent', '//li[2]'), 'row 1');
    is(await Promise.race([page.element('.row').then(() => 'row'), page.element('.none').catch(() => 'none')]), 'row');
  }),
  'rod: WaitLoad, WaitStable, WaitIdle': rod(async (page) => {
    await page.navigate(`${HERE}/late`);
    await page.click('button');
    const shot = async () => (await page.send('DOMSnapshot.captureSnapshot', {computedStyles: [], includePaintOrder: true})).strings.length;
    is(await shot(), await shot());
    await page.js('() => new Promise(d => requestIdleCallback(() => d(), {timeout: 1000}))');
  }),
  'rod: EachEvent, WaitRequestIdle': rod(async (page) => {
    await page.send('Network.enable');
    await page.navigate(`${SITE}/styled`);
    const asked = page.wire.events.filter((e) => e.method === 'Network.requestWillBeSent').length;
    ok(asked >= 2, `${asked}`);
    await page.event('Network.loadingFinished');
    await page.send('Network.disable');
  }),
  'rod: HijackRequests of a page': rod(async (page) => {
    await page.send('Fetch.enable', {patterns: [{urlPattern: '*', requestStage: 'Request'}]});
    const going = page.send('Page.navigate', {url: `${SITE}/styled`});
    for (let left = 2; left > 0; left--) {
      const {params} = await page.event('Fetch.requestPaused');
      if (params.request.url.endsWith('.css'))
        await page.send('Fetch.fulfillRequest', {requestId: params.requestId, responseCode: 200, responseHeaders: [{name: 'Content-Type', value: 'text/css'}],
          body: Buffer.from('h1{color:rgb(9,9,9)}').toString('base64')});
      else await page.send('Fetch.continueRequest', {requestId: params.requestId});
    }
    await going;
    await page.send('Fetch.disable');
    is(await page.js('() => getComputedStyle(document.querySelector("h1")).color'), 'rgb(9, 9, 9)');
  }),
  'rod: MustScreenshot, ScrollScreenshot, PDF': rod(async (page) => {
    await page.navigate(`${SITE}/tall`);
    is(mime((await page.send('Page.captureScreenshot', {format: 'png'})).data), '\x89PNG');
    const {cssContentSize} = await page.send('Page.getLayoutMetrics');
    ok(cssContentSize.height > 3000, 'height');
    await page.send('Input.dispatchMouseEvent', {type: 'mouseWheel', x: 10, y: 10, deltaX: 0, deltaY: 300});
    const {stream} = await page.send('Page.printToPDF', {transferMode: 'ReturnAsStream'});
    is(mime(Buffer.from((await page.send('IO.read', {handle: stream, size: 64})).data, 'base64').toString('base64')), '%PDF');
    await page.send('IO.close', {handle: stream});
  }),
  'rod: Incognito': rod(async (page) => {
    const {browserContextId} = await page.wire.send('Target.createBrowserContext', {});
    const other = await Rod.page(page.wire, browserContextId);
    await other.navigate(`${SITE}/cookie`);
    await page.navigate(`${SITE}/cookies`);
    is(await page.js('() => document.getElementById("c").textContent'), '');
    is((await page.wire.send('Storage.getCookies', {browserContextId})).cookies.length, 1);
    await page.wire.send('Target.disposeBrowserContext', {browserContextId});
  }),
  'rod: WaitOpen, Pages': rod(async (page) => {
    await page.navigate(`${SITE}/`);
    await page.click('#pop');
    const {params} = await page.wire.event('Target.targetCreated', (p) => p.targetInfo.openerId === page.targetId);
    const popup = await Rod.from(page.wire, params.targetInfo.targetId);
    is(await popup.on('h1', 'function(){return this.textContent}'), 'Second');
    is((await page.wire.send('Target.getTargets')).targetInfos.filter((t) => t.type === 'page').length, 3);
    await popup.send('Page.close');
  }),
  'rod: HandleDialog': rod(async (page) => {
    await page.navigate(`${SITE}/dialog`);
    const clicking = page.click('#c');
    await page.event('Page.javascriptDialogOpening');
    await page.send('Page.handleJavaScriptDialog', {accept: true});
    await clicking;
    is(await page.on('#c', 'function(){return this.textContent}'), 'true');
  }),
  'rod: HandleFileDialog': rod(async (page, made) => {
    const file = await put(made, 'f.txt', 'f');
    await page.navigate(`${HERE}/chooser`);
    await page.send('Page.setInterceptFileChooserDialog', {enabled: true});
    await page.click('#pick');
    const {params} = await page.event('Page.fileChooserOpened');
    await page.send('DOM.setFileInputFiles', {files: [file.path], backendNodeId: params.backendNodeId});
    await page.send('Page.setInterceptFileChooserDialog', {enabled: false});
    is(await page.on('#o', 'function(){return this.textContent}'), 'f.txt');
  }),
  'rod: WaitDownload': rod(async (page, made) => {
    await page.navigate(`${SITE}/`);
    const {browserContextId} = (await page.wire.send('Target.getTargetInfo', {targetId: page.targetId})).targetInfo;
    await page.wire.send('Browser.setDownloadBehavior', {behavior: 'allowAndName', browserContextId, downloadPath: '/tmp/rod', eventsEnabled: true});
    await page.click('#dl');
    const {params} = await page.wire.event('Browser.downloadWillBegin');
    await page.wire.event('Browser.downloadProgress', (p) => p.guid === params.guid && p.state === 'completed');
    is(await eventually(made, params.guid), 'the file\n');
  }),
  'rod: frames, MustFrame': rod(async (page) => {
    await page.navigate(`${SITE}/frames`);
    const {node} = await page.send('DOM.describeNode', {objectId: await page.element('iframe')});
    const {object} = await page.send('DOM.resolveNode', {backendNodeId: node.contentDocument.backendNodeId});
    const {result} = await page.send('Runtime.callFunctionOn', {objectId: object.objectId, functionDeclaration: 'function(){return this.title}', returnByValue: true});
    is(result.value, 'Inner');
  }),
  'rod: shadow roots': rod(async (page) => {
    await page.navigate(`${SITE}/shadow`);
    const {node} = await page.send('DOM.describeNode', {objectId: await page.element('#host'), depth: 1});
    const {object} = await page.send('DOM.resolveNode', {backendNodeId: node.shadowRoots[0].backendNodeId});
    const {result} = await page.send('Runtime.callFunctionOn', {objectId: object.objectId, functionDeclaration: 'function(){return this.querySelector("#sb").textContent}', returnByValue: true});
    is(result.value, 'deep');
  }),
  'rod: Expose, EvalOnNewDocument': rod(async (page) => {
    await page.send('Runtime.enable');
    await page.send('Runtime.addBinding', {name: 'tell'});
    const {identifier} = await page.send('Page.addScriptToEvaluateOnNewDocument', {source: 'window.tell(JSON.stringify({p: location.pathname}))'});
    await page.navigate(`${SITE}/second`);
    is(JSON.parse((await page.event('Runtime.bindingCalled')).params.payload), {p: '/second'});
    await page.send('Page.removeScriptToEvaluateOnNewDocument', {identifier});
    await page.send('Runtime.removeBinding', {name: 'tell'});
  }),
  'rod: Emulate, SetUserAgent, SetViewport, SetExtraHeaders': rod(async (page) => {
    await page.send('Network.setUserAgentOverride', {userAgent: 'Mine/1.0', acceptLanguage: 'ja'});
    await page.send('Emulation.setDeviceMetricsOverride', {width: 500, height: 300, deviceScaleFactor: 2, mobile: false});
    await page.send('Network.enable');
    await page.send('Network.setExtraHTTPHeaders', {headers: {'x-rod': '1'}});
    await page.navigate(`${HERE}/echo-headers`);
    const seen = JSON.parse(await page.js('() => document.body.innerText'));
    ok(seen['x-rod'] === '1' && !seen['user-agent'].includes('Mine') && !seen['accept-language'].startsWith('ja'), JSON.stringify(seen));
    is(await page.js('() => innerWidth'), 500);
  }),
  'rod: mouse and keyboard': rod(async (page) => {
    await page.navigate(`${HERE}/pointer`);
    const at = {x: 50, y: 50, button: 'right', clickCount: 1};
    await page.send('Input.dispatchMouseEvent', {type: 'mousePressed', ...at});
    await page.send('Input.dispatchMouseEvent', {type: 'mouseReleased', ...at});
    ok((await page.on('#log', 'function(){return this.textContent}')).includes('contextmenu2'), 'right');
    await page.send('Input.dispatchTouchEvent', {type: 'touchStart', touchPoints: [{x: 40, y: 40}]});
    await page.send('Input.dispatchTouchEvent', {type: 'touchEnd', touchPoints: []});
    await page.navigate(`${HERE}/keys`);
    await page.click('#t');
    await page.send('Input.dispatchKeyEvent', {type: 'keyDown', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r'});
    await page.send('Input.dispatchKeyEvent', {type: 'keyUp', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13});
    is(await page.on('#t', 'function(){return this.value}'), '\n');
  }),
  'rod: MustConnect twice, PageFromTarget': rod(async (page, made) => {
    await page.navigate(`${SITE}/second`);
    const other = await Rod.start(made.url);
    const same = await Rod.from(other.wire, page.targetId);
    is(await same.js('() => document.title'), 'Second');
    await other.wire.close();
    is(await page.js('() => document.title'), 'Second');
  }),
  'rod: a page pool': rod(async (page) => {
    const pages = await Promise.all([1, 2, 3, 4].map(() => Rod.page(page.wire)));
    const titles = await Promise.all(pages.map(async (p, i) => {
      await p.navigate(`${SITE}/n/${i}`);
      return p.js('() => document.title');
    }));
    is(titles, ['/n/0', '/n/1', '/n/2', '/n/3']);
    for (const p of pages) await p.send('Page.close');
  }),
  'rod: cookies, storage, Info': rod(async (page) => {
    await page.wire.send('Storage.setCookies', {cookies: [{name: 'a', value: '1', url: HERE}]});
    await page.navigate(`${HERE}/storage`);
    is(await page.js('() => document.cookie + localStorage.k'), 'a=1v');
    await page.send('Storage.clearDataForOrigin', {origin: HERE, storageTypes: 'local_storage'});
    is(await page.js('() => localStorage.length'), 0);
    is((await page.wire.send('Target.getTargetInfo', {targetId: page.targetId})).targetInfo.title, 'Storage');
  }),
}, 2);
