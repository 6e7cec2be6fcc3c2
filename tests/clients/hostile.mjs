// Clients that try to get out: each script must end in a refusal, with nothing gained.
import {Wire, withPage} from './wire.mjs';
import {FLEET_URL, SITE, SITE2, gone, headers, is, lease, ok, refused, release, run} from './suite.mjs';

const policy = /refused|not let through/;

await run({
  'files, the browser\'s pages and sources': () => withPage(async (wire, s) => {
    for (const url of ['file:///etc/passwd', 'FILE:///etc/passwd', ' file:///etc/passwd', 'fi\nle:///etc/passwd',
      'chrome://version', 'chrome-untrusted://x', 'devtools://devtools/bundled/inspector.html', 'view-source:http://127.0.0.1/',
      'about:about', 'javascript:alert(1)', 'filesystem:http://x/y', 'ftp://127.0.0.1/', '']) {
      await refused(wire.send('Page.navigate', {url}, s), policy);
      if (url !== '') await refused(wire.send('Target.createTarget', {url}), policy);
    }
    await wire.load(`${SITE}/`, s);
    await wire.evaluate(`location.href='file:///etc/passwd'; 1`, s).catch(() => {});
    await wire.evaluate(`window.open('file:///etc/passwd'); 1`, s).catch(() => {});
    await wire.evaluate(`new Promise(d=>{const f=document.createElement('iframe');f.src='file:///etc/passwd';f.onload=d;document.body.append(f);setTimeout(d,500)})`, s);
    ok(!(await wire.evaluate('document.documentElement.outerHTML', s)).includes('root:'), 'a file was shown');
    for (const t of (await wire.send('Target.getTargets')).targetInfos) ok(!t.url.startsWith('file:'), t.url);
  }),
  'twice the same key': () => withPage(async (wire, s) => {
    wire.raw(`{"id":700,"method":"Page.navigate","params":{"url":"about:blank","url":"file:///etc/passwd"},"sessionId":"${s}"}`);
    await wire.event(undefined, (_, e) => e.id === 700).catch(() => {});
    ok(!(await wire.evaluate('location.href', s)).startsWith('file:'), 'the second key counted');
  }),
  'the browser of others': () => withPage(async (wire, s) => {
    for (const method of ['Browser.crash', 'Browser.crashGpuProcess', 'SystemInfo.getInfo', 'SystemInfo.getProcessInfo',
      'Browser.getBrowserCommandLine', 'Browser.getHistograms', 'Target.exposeDevToolsProtocol', 'Tethering.bind',
      'Tracing.start', 'Target.setRemoteLocations', 'Extensions.loadUnpacked', 'PWA.install', 'Memory.simulatePressureNotification',
      'Network.loadNetworkResource', 'Cast.enable', 'FileSystem.getDirectory', 'Target.sendMessageToTarget', 'NoSuch.method',
      'Browser.executeBrowserCommand', 'Fetch.', 'Fleet.nothing']) {
      await refused(wire.send(method, {}), /not let through|wasn't found/);
      await refused(wire.send(method, {}, s), /not let through|wasn't found/);
    }
    await refused(wire.send('Fetch.enable', {}), /not let through/);
    await refused(wire.send('Tracing.start', {}, s), /a trace shows what all of them do; a server with isolation "process" lets it through/);
  }),
  'another member\'s targets and contexts': () => withPage(async (wire) => {
    const other = await lease();
    const theirs = await Wire.open(other.url);
    const page = await theirs.page();
    const {browserContextId} = await theirs.send('Target.createBrowserContext');
    is((await wire.send('Target.getTargets', {filter: [{}]})).targetInfos.filter((t) => t.targetId === page.targetId), []);
    await wire.send('Target.setDiscoverTargets', {discover: true, filter: [{}]});
    await wire.send('Target.setAutoAttach', {autoAttach: true, waitForDebuggerOnStart: true, flatten: true, filter: [{}]});
    const third = await theirs.page();
    ok(!JSON.stringify(wire.events).includes(third.targetId), 'told of another member\'s page');
    for (const [method, params] of [
      ['Target.attachToTarget', {targetId: page.targetId, flatten: true}], ['Target.closeTarget', {targetId: page.targetId}],
      ['Target.getTargetInfo', {targetId: page.targetId}], ['Target.activateTarget', {targetId: page.targetId}],
      ['Target.createTarget', {url: 'about:blank', browserContextId}], ['Target.disposeBrowserContext', {browserContextId}],
      ['Storage.getCookies', {browserContextId}], ['Storage.setCookies', {browserContextId, cookies: []}],
      ['Storage.clearCookies', {browserContextId}], ['Browser.grantPermissions', {browserContextId, permissions: []}],
      ['Browser.setDownloadBehavior', {browserContextId, behavior: 'allow', downloadPath: '/tmp'}],
      ['Target.detachFromTarget', {sessionId: page.sessionId}]])
      await refused(wire.send(method, params), /[Nn]o (target|session)|Failed to find|No session/);
    await refused(wire.send('Runtime.evaluate', {expression: '1'}, page.sessionId), /Session with given id not found/);
    is(await theirs.evaluate('1+1', third.sessionId), 2);
    await theirs.close();
    await release(other);
    await gone(other);
  }),
  'Browser.close ends nobody else': () => withPage(async (wire, s) => {
    const other = await lease();
    const theirs = await Wire.open(other.url);
    await theirs.send('Browser.close');
    await theirs.closed;
    await gone(other);
    is(await wire.evaluate('1+1', s), 2);
  }),
  'another identity': () => withPage(async (wire, s) => {
    await wire.load(`${SITE}/who`, s);
    const before = await wire.evaluate('first', s);
    await wire.send('Emulation.setUserAgentOverride', {userAgent: 'Mine/1.0', acceptLanguage: 'ja', platform: 'Mine'}, s);
    await wire.send('Network.setUserAgentOverride', {userAgent: 'Mine/1.0'}, s);
    await wire.send('Emulation.setTimezoneOverride', {timezoneId: 'Asia/Tokyo'}, s);
    await wire.send('Emulation.setLocaleOverride', {locale: 'ja-JP'}, s);
    await wire.send('Emulation.setHardwareConcurrencyOverride', {hardwareConcurrency: 99}, s);
    await wire.send('Emulation.setDeviceMetricsOverride', {width: 300, height: 200, deviceScaleFactor: 3, mobile: true, screenWidth: 10, screenHeight: 10}, s);
    await wire.load(`${SITE}/who`, s);
    is(await wire.evaluate('first', s), before);
    await wire.send('Emulation.clearDeviceMetricsOverride', {}, s);
    await wire.load(`${SITE}/who`, s);
    is(await wire.evaluate('first', s), before, 'after clear');
    await wire.send('Network.enable', {}, s);
    await wire.send('Network.setExtraHTTPHeaders', {headers: {'user-agent': 'Mine/1.0', 'Accept-Language': 'ja', 'Sec-CH-UA-Platform': '"Mine"'}}, s);
    await wire.load(`${SITE}/headers`, s);
    is(await wire.evaluate('document.body.innerText.includes("Mine") || document.getElementById("lang").textContent.startsWith("ja")', s), false);
  }),
  'a screen set by a session that went': () => withPage(async (wire, s, targetId) => {
    await wire.load(`${SITE}/who`, s);
    const before = await wire.evaluate('first', s);
    const {sessionId} = await wire.send('Target.attachToTarget', {targetId, flatten: true});
    await wire.send('Emulation.setDeviceMetricsOverride', {width: 300, height: 200, deviceScaleFactor: 1, mobile: false}, sessionId);
    await wire.send('Target.detachFromTarget', {sessionId});
    await wire.load(`${SITE}/who`, s);
    is(await wire.evaluate('first', s), before);
  }),
  'files of this machine into a page': () => withPage(async (wire, s) => {
    await wire.load(`${SITE}/`, s);
    const {root} = await wire.send('DOM.getDocument', {}, s);
    const {nodeId} = await wire.send('DOM.querySelector', {nodeId: root.nodeId, selector: '#f'}, s);
    await refused(wire.send('DOM.setFileInputFiles', {nodeId, files: ['/etc/passwd']}, s), /not a file of this lease/);
    await refused(wire.send('Input.dispatchDragEvent', {type: 'drop', x: 1, y: 1, data: {items: [], files: ['/etc/passwd'], dragOperationsMask: 1}}, s), /not a file of this lease/);
    is(await wire.evaluate('document.getElementById("f").files.length', s), 0);
  }),
  'the gate by way of Fetch': () => withPage(async (wire, s) => {
    await wire.send('Fetch.enable', {patterns: [{urlPattern: '*'}]}, s);
    void wire.send('Page.navigate', {url: `${SITE}/second`}, s).catch(() => {});
    const {params} = await wire.event('Fetch.requestPaused');
    await refused(wire.send('Fetch.continueRequest', {requestId: params.requestId, url: 'file:///etc/passwd'}, s), policy);
    await wire.send('Fetch.continueRequest', {requestId: params.requestId, url: `${SITE}/n/rewritten`}, s);
    for (let i = 0; i < 200 && (await wire.evaluate('document.title', s)) !== '/n/rewritten'; i++) ;
    await wire.send('Fetch.disable', {}, s);
    await wire.load(`${SITE}/second`, s);
    is(await wire.evaluate('document.title', s), 'Second');
  }),
  'a proxy of its own': () => withPage(async (wire) => {
    await refused(wire.send('Target.createBrowserContext', {proxyServer: 'http://127.0.0.1:1'}), /own proxy/);
  }),
  'a flood starves nobody': () => withPage(async (wire, s) => {
    const other = await lease();
    const theirs = await Wire.open(other.url);
    const page = await theirs.page();
    const text = JSON.stringify({id: 5, method: 'Runtime.evaluate', params: {expression: '1'}, sessionId: s});
    for (let i = 0; i < 20000; i++) wire.raw(text);
    const begun = Date.now();
    for (let i = 0; i < 20; i++) is(await theirs.evaluate(`${i}`, page.sessionId), i);
    ok(Date.now() - begun < 5000, `20 commands took ${Date.now() - begun} ms`);
    await theirs.close();
    await release(other);
    await gone(other);
  }),
  'too many contexts and sessions': () => withPage(async (wire) => {
    const made = [];
    for (let i = 0; i < 63; i++) made.push(wire.send('Target.createBrowserContext'));
    await Promise.all(made);
    await refused(wire.send('Target.createBrowserContext'), /at most/);
  }),
  'a paused page that nobody lets go': async () => {
    const made = await lease({grace_ms: 100});
    const wire = await Wire.open(made.url);
    await wire.send('Target.setAutoAttach', {autoAttach: true, waitForDebuggerOnStart: true, flatten: true});
    await wire.send('Target.createTarget', {url: 'about:blank'});
    await wire.close();
    await gone(made);
  },
  'a page that hangs does not keep the lease': async () => {
    const made = await lease();
    const wire = await Wire.open(made.url);
    const {sessionId} = await wire.page();
    void wire.send('Runtime.evaluate', {expression: 'for(;;);'}, sessionId).catch(() => {});
    await new Promise((done) => setTimeout(done, 100));
    await release(made);
    await gone(made);
    await wire.closed;
  },
  'another lease by guessing': async () => {
    const made = await lease();
    const guess = made.url.slice(0, -1) + (made.url.endsWith('0') ? '1' : '0');
    await refused(Wire.open(guess), /not connected/);
    is((await fetch(`${FLEET_URL}/v1/leases/${made.id}`)).status, 403);
    await release(made);
    await gone(made);
  },
});
