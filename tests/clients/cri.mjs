// Scripts as people write them for chrome-remote-interface: at a page's own address, with flat sessions at the browser's, by discovery.
import {load} from '../support/npm.mjs';
import {FLEET_URL, SITE, SITE2, is, ok, refused, run, withLease} from './suite.mjs';
import {site} from './site.mjs';

const CDP = await load('chrome-remote-interface');
const {url: HERE} = await site();
const {hostname: host, port} = new URL(FLEET_URL);

// A lease's own /json/..., as others have it at the root.
const of = (made) => ({host, port, useHostName: true, alterPath: (path) => (path.startsWith('/json') ? new URL(made.url).pathname + path : path)});

const withPage = (fn) => withLease(async (made) => {
  const client = await CDP(of(made));
  try {
    await Promise.all([client.Page.enable(), client.Runtime.enable(), client.Network.enable(), client.DOM.enable()]);
    await fn(client, made);
  } finally {
    await client.close();
  }
});
const go = async ({Page}, url) => {
  const loaded = Page.loadEventFired(); // asked for first: it may come with the answer
  await Page.navigate({url});
  await loaded;
};
const value = async ({Runtime}, expression) => {
  const {result, exceptionDetails} = await Runtime.evaluate({expression, awaitPromise: true, returnByValue: true});
  if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
  return result.value;
};
const node = async ({DOM}, selector) => {
  const {root} = await DOM.getDocument();
  return (await DOM.querySelector({nodeId: root.nodeId, selector})).nodeId;
};

await run({
  'what there is: version, list, protocol': () => withLease(async (made) => {
    ok((await CDP.Version(of(made))).Browser.startsWith('Chrome/'), 'version');
    is((await CDP.List(of(made))).map((t) => t.type), ['page']);
    const {domains} = await CDP.Protocol(of(made));
    const page = domains.find((d) => d.domain === 'Page');
    is(page.commands.find((c) => c.name === 'navigate').parameters[0].name, 'url');
    ok(page.events.some((e) => e.name === 'loadEventFired') && !domains.some((d) => d.domain === 'SystemInfo'), 'domains');
  }),
  'by the lease\'s address, sessions by hand': () => withLease(async (made) => {
    const client = await CDP({target: made.url});
    const {targetId} = await client.Target.createTarget({url: 'about:blank'});
    const {sessionId} = await client.Target.attachToTarget({targetId, flatten: true});
    await client.Page.enable(sessionId);
    const loaded = new Promise((done) => client.on(`Page.loadEventFired.${sessionId}`, done));
    await client.Page.navigate({url: `${SITE}/second`}, sessionId);
    await loaded;
    is((await client.Runtime.evaluate({expression: 'document.title'}, sessionId)).result.value, 'Second');
    is((await client.send('Target.getTargets')).targetInfos.length, 2);
    await client.close();
  }),
  'a page that is made, named and closed': () => withLease(async (made) => {
    const tab = await CDP.New({...of(made), url: `${SITE}/second`});
    is(tab.type, 'page');
    const client = await CDP({...of(made), target: tab});
    await client.Page.enable();
    for (let i = 0; i < 100 && (await value(client, 'document.title')) !== 'Second'; i++) ;
    is(await value(client, 'location.href'), `${SITE}/second`);
    is((await CDP.List(of(made))).length, 2);
    await CDP.Activate({...of(made), id: tab.id});
    await CDP.Close({...of(made), id: tab.id});
    await new Promise((done) => client.once('disconnect', done));
    for (let i = 0; i < 100 && (await CDP.List(of(made))).length !== 1; i++) ; // it is on its way out
    is((await CDP.List(of(made))).length, 1);
    await refused(CDP.New({...of(made), url: 'file:///etc/passwd'}), /refused/);
    await refused(CDP.Close({...of(made), id: 'ABCDEF'}), /no page/);
  }),
  'load a page, read it': () => withPage(async (client) => {
    await go(client, `${SITE}/`);
    is(await value(client, 'document.querySelector("h1").textContent'), 'Welcome');
    const {outerHTML} = await client.DOM.getOuterHTML({nodeId: await node(client, 'h1')});
    ok(outerHTML.includes('Welcome'), outerHTML);
  }),
  'callbacks instead of promises': () => withLease((made) => new Promise((done, no) => {
    CDP(of(made), (client) => {
      client.Page.enable(() => client.Page.navigate({url: `${SITE}/`}));
      client.on('Page.loadEventFired', () => client.close(done));
    }).on('error', no);
  })),
  'events by name and all of them': () => withPage(async (client) => {
    const seen = new Set();
    client.on('event', ({method}) => seen.add(method));
    const off = client.Network.requestWillBeSent(() => seen.add('off'));
    await go(client, `${SITE}/styled`);
    ok(['Network.requestWillBeSent', 'Network.responseReceived', 'Page.frameNavigated', 'off'].every((m) => seen.has(m)), [...seen].join());
    off();
  }),
  'log of requests, bodies': () => withPage(async (client) => {
    const asked = new Map();
    client.Network.responseReceived(({requestId, response}) => asked.set(response.url, requestId));
    await go(client, `${SITE}/styled`);
    const {body} = await client.Network.getResponseBody({requestId: asked.get(`${SITE}/style.css`)});
    ok(body.startsWith('h1'), body);
  }),
  'click by box model, type': () => withPage(async (client) => {
    await go(client, `${SITE}/`);
    const {model} = await client.DOM.getBoxModel({nodeId: await node(client, '#b')});
    const [x, y] = [model.content[0] + 3, model.content[1] + 3];
    for (const type of ['mousePressed', 'mouseReleased']) await client.Input.dispatchMouseEvent({type, x, y, button: 'left', clickCount: 1});
    is(await value(client, 'document.getElementById("out").textContent'), 'clicked');
    await client.DOM.focus({nodeId: await node(client, '#i')});
    for (const key of 'abc') await client.Input.dispatchKeyEvent({type: 'char', text: key});
    await client.Input.insertText({text: 'd'});
    is(await value(client, 'document.getElementById("i").value'), 'abcd');
  }),
  'screenshot, PDF, MHTML': () => withPage(async (client) => {
    await go(client, `${SITE}/tall`);
    const {cssContentSize} = await client.Page.getLayoutMetrics();
    const {data} = await client.Page.captureScreenshot({format: 'png', clip: {...cssContentSize, scale: 1}, captureBeyondViewport: true});
    ok(Buffer.from(data, 'base64').readUInt32BE(20) > 3000, 'all of it');
    is(Buffer.from((await client.Page.printToPDF()).data, 'base64').subarray(0, 4).toString(), '%PDF');
    ok((await client.Page.captureSnapshot()).data.includes('MIME-Version'), 'mhtml');
  }),
  'PDF as a stream': () => withPage(async (client) => {
    await go(client, `${SITE}/tall`);
    const {stream} = await client.Page.printToPDF({transferMode: 'ReturnAsStream'});
    let bytes = 0;
    for (let part = {eof: false}; !part.eof; bytes += Buffer.from(part.data, part.base64Encoded ? 'base64' : 'utf8').length)
      part = await client.IO.read({handle: stream, size: 4096});
    await client.IO.close({handle: stream});
    ok(bytes > 1000, `${bytes}`);
  }),
  'requests are held and answered': () => withPage(async (client) => {
    await client.Fetch.enable({patterns: [{urlPattern: '*style.css'}, {urlPattern: '*/second', requestStage: 'Response'}]});
    client.Fetch.requestPaused(({requestId, request, responseStatusCode}) => {
      if (responseStatusCode !== undefined) void client.Fetch.continueResponse({requestId});
      else if (request.url.endsWith('.css'))
        void client.Fetch.fulfillRequest({requestId, responseCode: 200, responseHeaders: [{name: 'content-type', value: 'text/css'}],
          body: Buffer.from('h1{color:rgb(9,9,9)}').toString('base64')});
    });
    await go(client, `${SITE}/styled`);
    is(await value(client, 'getComputedStyle(document.querySelector("h1")).color'), 'rgb(9, 9, 9)');
    await go(client, `${SITE}/second`);
    is(await value(client, 'document.title'), 'Second');
  }),
  'authentication by Fetch': () => withPage(async (client) => {
    await client.Fetch.enable({handleAuthRequests: true});
    client.Fetch.requestPaused(({requestId}) => void client.Fetch.continueRequest({requestId}));
    client.Fetch.authRequired(({requestId}) => void client.Fetch.continueWithAuth({requestId,
      authChallengeResponse: {response: 'ProvideCredentials', username: 'ann', password: 'secret'}}));
    await go(client, `${HERE}/private`);
    is(await value(client, 'document.title'), 'Private');
  }),
  'cookies': () => withPage(async (client) => {
    await client.Network.setCookie({name: 'mine', value: '1', url: SITE});
    await go(client, `${SITE}/cookies`);
    is(await value(client, 'document.getElementById("c").textContent'), 'mine=1');
    is((await client.Network.getCookies()).cookies.map((c) => c.name), ['mine']);
    await client.Network.clearBrowserCookies();
    is((await client.Storage.getCookies()).cookies, []);
  }),
  'dialogs': () => withPage(async (client) => {
    client.Page.javascriptDialogOpening(({type}) => void client.Page.handleJavaScriptDialog({accept: true, promptText: type}));
    await go(client, `${SITE}/dialog`);
    is(await value(client, 'prompt("x") + confirm("y")'), 'prompttrue');
  }),
  'console, exceptions, log': () => withPage(async (client) => {
    await client.Log.enable();
    const [said, thrown] = [client.Runtime.consoleAPICalled(), client.Runtime.exceptionThrown()];
    await go(client, `${SITE}/console`);
    is((await said).args.map((a) => a.value ?? a.type), ['one', 2, 'object']);
    ok((await thrown).exceptionDetails.exception.description.includes('boom'), 'boom');
  }),
  'bindings and scripts before': () => withPage(async (client) => {
    await client.Runtime.addBinding({name: 'tell'});
    await client.Page.addScriptToEvaluateOnNewDocument({source: 'window.tell("early " + location.pathname)'});
    const called = client.Runtime.bindingCalled();
    await go(client, `${SITE}/second`);
    is((await called).payload, 'early /second');
  }),
  'a debugger of scripts': () => withPage(async (client) => {
    await client.Debugger.enable();
    await go(client, `${SITE}/`);
    const paused = client.Debugger.paused();
    const answer = client.Runtime.evaluate({expression: 'let q = 20; debugger; q + 1'});
    const {callFrames} = await paused;
    is((await client.Debugger.evaluateOnCallFrame({callFrameId: callFrames[0].callFrameId, expression: 'q = 41'})).result.value, 41);
    await client.Debugger.resume();
    is((await answer).result.value, 42);
  }),
  'profiles: CPU, coverage, heap, performance': () => withPage(async (client) => {
    await client.Profiler.enable();
    await client.Profiler.startPreciseCoverage({callCount: true, detailed: true});
    await client.Profiler.start();
    await go(client, `${HERE}/unused`);
    const {result} = await client.Profiler.takePreciseCoverage();
    ok(result.some((s) => s.url === `${HERE}/unused`), 'coverage');
    ok((await client.Profiler.stop()).profile.nodes.length > 0, 'profile');
    let bytes = 0;
    client.HeapProfiler.addHeapSnapshotChunk(({chunk}) => (bytes += chunk.length));
    await client.HeapProfiler.takeHeapSnapshot();
    ok(bytes > 100000, `${bytes}`);
    await client.Performance.enable();
    ok((await client.Performance.getMetrics()).metrics.length > 10, 'metrics');
  }),
  'styles, snapshots, accessibility': () => withPage(async (client) => {
    await client.CSS.enable();
    await go(client, `${SITE}/styled`);
    const {computedStyle} = await client.CSS.getComputedStyleForNode({nodeId: await node(client, 'h1')});
    is(computedStyle.find((s) => s.name === 'color').value, 'rgb(1, 2, 3)');
    ok((await client.DOMSnapshot.captureSnapshot({computedStyles: []})).documents.length === 1, 'snapshot');
    ok((await client.Accessibility.getFullAXTree()).nodes.some((n) => n.role?.value === 'heading'), 'tree');
  }),
  'objects on the other side': () => withPage(async (client) => {
    await go(client, `${SITE}/`);
    const {result} = await client.Runtime.evaluate({expression: '({a: 1, b: [2]})'});
    const {result: own} = await client.Runtime.getProperties({objectId: result.objectId, ownProperties: true});
    is(own.map((p) => p.name).slice(0, 2), ['a', 'b']);
    is((await client.Runtime.callFunctionOn({objectId: result.objectId, functionDeclaration: 'function(n){return this.a+n}', arguments: [{value: 4}]})).result.value, 5);
    await client.Runtime.releaseObject({objectId: result.objectId});
    await refused(client.Runtime.getProperties({objectId: result.objectId}), /find object/);
  }),
  'emulation of a look, not of an identity': () => withPage(async (client) => {
    await client.Emulation.setDeviceMetricsOverride({width: 500, height: 400, deviceScaleFactor: 1, mobile: false});
    await client.Emulation.setEmulatedMedia({features: [{name: 'prefers-color-scheme', value: 'dark'}]});
    await client.Emulation.setUserAgentOverride({userAgent: 'Mine/1.0'});
    await go(client, `${HERE}/media`);
    is(await value(client, '[innerWidth, innerHeight, look()].join()'), '500,400,true,false,false');
    ok(!(await value(client, 'navigator.userAgent')).includes('Mine'), 'the agent');
    await client.Network.emulateNetworkConditions({offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1});
    is((await client.Page.navigate({url: `${HERE}/list`})).errorText, 'net::ERR_INTERNET_DISCONNECTED');
  }),
  'frames and their contexts': () => withPage(async (client) => {
    const contexts = [];
    client.Runtime.executionContextCreated(({context}) => contexts.push(context));
    await go(client, `${HERE}/nested`);
    const {frameTree} = await client.Page.getFrameTree();
    const deep = frameTree.childFrames[0].childFrames[0].frame;
    is(deep.name, 'deep');
    const {executionContextId} = await client.Page.createIsolatedWorld({frameId: deep.id});
    is((await client.Runtime.evaluate({expression: 'document.title', contextId: executionContextId})).result.value, 'Deep');
    ok(contexts.length >= 3, `${contexts.length}`);
  }),
  'frames and workers attached by themselves': () => withPage(async (client) => {
    const attached = [];
    client.Target.attachedToTarget(({sessionId, targetInfo}) => {
      attached.push(targetInfo.type);
      void client.send('Runtime.runIfWaitingForDebugger', {}, sessionId);
    });
    await client.Target.setAutoAttach({autoAttach: true, waitForDebuggerOnStart: true, flatten: true});
    await go(client, `${SITE}/worker`);
    for (let i = 0; i < 100 && attached.length === 0; i++) await new Promise((done) => setTimeout(done, 20));
    is(attached, ['worker']);
    await go(client, `${SITE2}/frames`);
  }),
  'a screencast': () => withPage(async (client) => {
    const frame = client.Page.screencastFrame();
    await client.Page.startScreencast({format: 'jpeg', quality: 30, everyNthFrame: 1});
    await go(client, `${SITE}/tall`);
    const {data, sessionId} = await frame;
    await client.Page.screencastFrameAck({sessionId});
    ok(data.length > 100, 'a frame');
    await client.Page.stopScreencast();
  }),
}, 2);
