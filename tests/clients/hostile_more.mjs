// Clients that try harder: broken frames and messages, handles and ids of others, addresses by detours, commands that would undo the gate.
import net from 'node:net';
import {randomBytes} from 'node:crypto';
import {load} from '../support/npm.mjs';
import {Wire, withPage} from './wire.mjs';
import {FLEET_TOKEN, FLEET_URL, SITE, is, ok, refused, run} from './suite.mjs';
import {site} from './site.mjs';

const WebSocket = await load('ws');
const {url: HERE, asked} = await site();
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Two leases: what the first one tries must not touch the second.
const withTwo = (fn) => withPage(async (mine, s) => withPage(async (theirs, t, target, made) => {
  await theirs.load(`${HERE}/set`, t);
  await fn({wire: mine, s}, {wire: theirs, s: t, target, made});
  is(await theirs.evaluate('document.title', t), 'Set', 'the other one\'s page');
  is((await theirs.send('Storage.getCookies')).cookies.length, 2, 'the other one\'s cookies');
}));

// A WebSocket by hand: frames as no library would send them.
async function raw(url) {
  const u = new URL(url);
  const socket = net.connect(Number(u.port), u.hostname);
  const seen = {text: '', over: false};
  socket.on('data', (d) => (seen.text += d.toString('latin1'))).on('close', () => (seen.over = true)).on('error', () => (seen.over = true));
  socket.write(`GET ${u.pathname} HTTP/1.1\r\nHost: ${u.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
  for (let i = 0; i < 200 && !seen.text.includes('\r\n\r\n'); i++) await pause(10);
  ok(seen.text.startsWith('HTTP/1.1 101'), seen.text);
  return {socket, seen, frame: (first, payload) => {
    const body = Buffer.from(payload), mask = Buffer.from([1, 2, 3, 4]);
    const n = body.length < 126 ? Buffer.from([body.length]) : Buffer.from([126, body.length >> 8, body.length & 255]);
    n[0] |= 128;
    socket.write(Buffer.concat([Buffer.from([first]), n, mask, body.map((b, i) => b ^ mask[i % 4])]));
  }};
}
async function ends({socket, seen}, what) {
  const closed = () => seen.over || seen.text.slice(seen.text.indexOf('\r\n\r\n') + 4).startsWith('\x88'); // a close frame
  for (let i = 0; i < 300 && !closed(); i++) await pause(10);
  socket.destroy();
  ok(closed(), `${what}: the socket is still open`);
}
const ask = (id, method, params = {}, sessionId = undefined) => JSON.stringify({id, method, params, sessionId});

await run({
  'frames that break the rules of WebSocket': () => withPage(async (wire, s, _, made) => {
    for (const [what, send] of Object.entries({
      'a ping of 126 bytes': (r) => r.frame(0x89, Buffer.alloc(126)),
      'binary': (r) => r.frame(0x82, ask(1, 'Browser.getVersion')),
      'a continuation of nothing': (r) => r.frame(0x80, '{}'),
    })) {
      const r = await raw(made.url);
      send(r);
      await ends(r, what);
      is(await wire.evaluate('1+1', s), 2, what);
    }
  }),
  'half a message, byte by byte, and never the rest': () => withPage(async (wire, s, _, made) => {
    const odd = await raw(made.url);
    odd.frame(0x81, Buffer.from('{"id":1,"method":"Browser.getVersion","params":{"x":"\xff\xfe"}}', 'latin1')); // no UTF-8
    for (let i = 0; i < 300 && !odd.seen.text.includes('-32700') && !odd.seen.over; i++) await pause(10);
    ok(!odd.seen.text.includes('"product"'), 'taken for a message');
    odd.socket.destroy();
    const r = await raw(made.url);
    const text = ask(7, 'Browser.getVersion');
    for (const c of text.slice(0, 10)) r.frame(c === text[0] ? 0x01 : 0x00, c);
    r.socket.write(Buffer.from([0x81, 0xfe])); // a header that is cut
    is(await wire.evaluate('6*7', s), 42);
    r.socket.destroy();
    const whole = await raw(made.url);
    whole.frame(0x01, text.slice(0, 9));
    whole.frame(0x89, 'ping');
    whole.frame(0x80, text.slice(9));
    for (let i = 0; i < 300 && !whole.seen.text.includes('"id":7'); i++) await pause(10);
    ok(whole.seen.text.includes('"product":"'), 'in three frames');
    whole.socket.destroy();
  }),
  'messages that are none': () => withPage(async (wire, s) => {
    let id = 5000;
    for (const text of ['', ' ', 'null', '[]', '1', '"x"', '{', '{"id":1}', '{"id":"1","method":"Browser.getVersion"}', '{"id":-1,"method":"Browser.getVersion"}',
      '{"id":1e300,"method":"Browser.getVersion"}', '{"method":"Browser.getVersion"}', '{"id":1,"method":""}', '{"id":1,"method":5}', '{"id":1,"method":"Page"}',
      '{"id":1,"method":"Page.navigate\\u0000","params":{"url":"file:///"}}', '{"id":1,"method":"Page.nav\\"igate"}', '{"id":1,"method":"..\\/..\\/x"}',
      `{"id":1,"method":"${'A'.repeat(5000)}.b"}`, '{"id":1,"method":"Target.getTargets","params":[]}', '{"id":1,"method":"Target.getTargets","params":"x"}',
      `{"id":1,"method":"Page.enable","sessionId":"${'B'.repeat(5000)}"}`, '{"id":1,"method":"Page.enable","sessionId":{}}', `${'['.repeat(20000)}`,
      `{"id":1,"method":"Runtime.evaluate","params":${'{"a":'.repeat(3000)}1${'}'.repeat(3000)},"sessionId":"${s}"}`, '{"id":1,"method":"Target.getTargets"}}', '\u0000']) {
      wire.raw(text);
      wire.raw(ask(++id, 'Browser.getVersion'));
      await wire.event(undefined, (_, e) => e.id === id && e.result !== undefined).catch(() => { throw new Error(`nothing goes on after ${text.slice(0, 60)}`); });
    }
  }),
  'a message of 150 MiB': () => withPage(async (wire, s, _, made) => {
    const big = new WebSocket(made.url, {perMessageDeflate: false, maxPayload: 1 << 20});
    big.on('error', () => {});
    await new Promise((done) => big.once('open', done));
    const closed = new Promise((done) => big.once('close', done));
    const part = 'x'.repeat(1 << 20);
    big.send(`{"id":1,"method":"Runtime.evaluate","params":{"expression":"`, {fin: false});
    for (let i = 0; i < 150 && big.readyState === 1; i++) await new Promise((done) => big.send(part, {fin: false}, () => done()));
    await closed;
    is(await wire.evaluate('1+1', s), 2);
  }),
  'the browser target within the browser target': () => withTwo(async ({wire}, other) => {
    let session;
    for (let i = 0; i < 5; i++) ({sessionId: session} = await wire.send('Target.attachToBrowserTarget', {}, session));
    const {targetInfos} = await wire.send('Target.getTargets', {filter: [{}]}, session);
    ok(targetInfos.every((t) => t.targetId !== other.target), 'another one\'s page');
    for (const [method, params] of [['Browser.crash', {}], ['SystemInfo.getInfo', {}], ['Fetch.enable', {}], ['Fetch.disable', {}], ['Tracing.start', {}],
      ['Target.exposeDevToolsProtocol', {targetId: other.target}], ['Network.enable', {}], ['Page.navigate', {url: 'about:blank'}]])
      await refused(wire.send(method, params, session), /not let through/);
    await refused(wire.send('Target.attachToTarget', {targetId: other.target, flatten: true}, session), /No target/);
    await wire.send('Target.detachFromTarget', {sessionId: session}, undefined);
    await refused(wire.send('Target.getTargets', {}, session), /not found/);
  }),
  'bindings to the protocol, sessions that are not flat': () => withPage(async (wire, s, targetId) => {
    for (const params of [{targetId}, {targetId, bindingName: 'cdp', inheritPermissions: true}])
      for (const session of [undefined, s]) await refused(wire.send('Target.exposeDevToolsProtocol', params, session), /not let through/);
    is(await wire.evaluate('typeof window.cdp', s), 'undefined');
    await refused(wire.send('Target.attachToTarget', {targetId, flatten: false}), /flat/);
    await refused(wire.send('Target.sendMessageToTarget', {targetId, message: '{}'}), /not let through/);
    await refused(wire.send('Target.setAutoAttach', {autoAttach: true, waitForDebuggerOnStart: false, flatten: false}), /flat/);
    await refused(wire.send('Target.autoAttachRelated', {targetId, waitForDebuggerOnStart: false}), /not let through/);
  }),
  'streams, bodies, frames and nodes of others': () => withTwo(async ({wire, s}, other) => {
    const {stream} = await other.wire.send('Page.printToPDF', {transferMode: 'ReturnAsStream'}, other.s);
    for (const handle of [stream, '1', '2', '3', 'blob:1', '/etc/passwd', '../1'])
      await refused(wire.send('IO.read', {handle}, s), /handle|Invalid|Read failed/i);
    await other.wire.send('Network.enable', {}, other.s);
    await other.wire.load(`${HERE}/set`, other.s);
    const {params} = await other.wire.event('Network.responseReceived');
    await wire.send('Network.enable', {}, s);
    await refused(wire.send('Network.getResponseBody', {requestId: params.requestId}, s), /No resource/);
    for (const [method, p] of [['Page.createIsolatedWorld', {}], ['Page.setDocumentContent', {html: 'x'}], ['Page.getResourceContent', {url: `${HERE}/set`}],
      ['DOM.getFrameOwner', {}], ['Page.navigate', {url: `${HERE}/list`}], ['Storage.getStorageKeyForFrame', {}]])
      await refused(wire.send(method, {...p, frameId: other.target}, s), /./);
    ok((await other.wire.send('IO.read', {handle: stream}, other.s)).data.length > 100, 'its own stream');
  }),
  'storage and permissions of other contexts': () => withTwo(async ({wire, s}, other) => {
    const {browserContextId} = (await other.wire.send('Target.getTargetInfo', {targetId: other.target})).targetInfo;
    for (const method of ['Storage.getCookies', 'Storage.clearCookies', 'Browser.resetPermissions', 'Browser.grantPermissions', 'Browser.setDownloadBehavior',
      'Target.disposeBrowserContext', 'Target.createTarget'])
      await refused(wire.send(method, {browserContextId, permissions: ['geolocation'], behavior: 'allow', downloadPath: '/', url: 'about:blank'}), /Failed to find/);
    await refused(wire.send('Browser.setPermission', {browserContextId, permission: {name: 'geolocation'}, setting: 'granted'}), /Failed to find/);
    await refused(wire.send('Browser.cancelDownload', {browserContextId, guid: 'x'}), /Failed to find/);
    for (const method of ['Storage.getCookies', 'Storage.clearCookies', 'Storage.setCookies'])
      await refused(wire.send(method, {browserContextId, cookies: [{name: 'a', value: 'mine', url: HERE}]}, s), /./);
    await wire.load(`${HERE}/`, s);
    await wire.send('Network.clearBrowserCookies', {}, s);
    await wire.send('Storage.clearDataForOrigin', {origin: HERE, storageTypes: 'all'}, s);
    await wire.send('Storage.clearDataForOrigin', {origin: '*', storageTypes: 'all'}, s).catch(() => {});
    is((await wire.send('Network.getCookies', {urls: [HERE]}, s)).cookies, []);
    is((await wire.send('Network.getAllCookies', {}, s).catch(() => ({cookies: []}))).cookies, []);
  }),
  'addresses by detours': () => withPage(async (wire, s) => {
    for (const url of ['view-source:file:///etc/passwd', 'blob:file:///x', 'data:text/html,<script>location="file:///etc/passwd"</script>', 'feed:file:///etc/passwd',
      'jar:file:///etc/passwd', 'chrome-search://x', 'chrome-extension://x/y', 'isolated-app://x', 'about:srcdoc/../', 'ABOUT:VERSION', '\u0001file:///etc/passwd', 'http:\\\\file:///etc', 'filesystem:file:///x',
      'intent://x', 'ws://127.0.0.1/', 'content://x', 'externalfile:x', 'about:crash', 'about:gpu']) {
      const answer = await wire.send('Page.navigate', {url}, s).catch((e) => ({refused: e.message}));
      ok(answer.refused || answer.errorText || url.startsWith('data:') || url.startsWith('blob:') || url.startsWith('http:'), `${url}: ${JSON.stringify(answer)}`);
    }
    const by = {
      anchor: `a=document.createElement("a");a.href=U;document.body.append(a);a.click()`,
      meta: `document.head.innerHTML="<meta http-equiv=refresh content='0;url="+U+"'>"`,
      open: `window.open(U)`, replace: `location.replace(U)`, form: `f=document.createElement("form");f.action=U;document.body.append(f);f.submit()`,
      frame: `f=document.createElement("iframe");f.src=U;document.body.append(f)`, object: `o=document.createElement("object");o.data=U;document.body.append(o)`,
      blob: `location=URL.createObjectURL(new Blob(["<iframe src='"+U+"'></iframe>"],{type:"text/html"}))`,
    };
    for (const url of ['file:///etc/passwd', 'chrome://version/', 'view-source:file:///etc/passwd'])
      for (const how of Object.values(by)) {
        await wire.send('Page.navigate', {url: `${HERE}/`}, s);
        await wire.send('Runtime.evaluate', {expression: `{const U=${JSON.stringify(url)};${how.replace(/^(\w)=/, 'let $1=')}}`}, s);
      }
    await pause(100);
    for (const t of (await wire.send('Target.getTargets')).targetInfos) ok(!/^(file|chrome|view-source|devtools):/.test(t.url), t.url);
    const {frameTree} = await wire.send('Page.getFrameTree', {}, s);
    ok(!JSON.stringify(frameTree).match(/"url":"(file|view-source):/), JSON.stringify(frameTree));
  }),
  'a server that leads to a file': () => withPage(async (wire, s) => {
    const text = (await wire.send('Page.navigate', {url: `${HERE}/to?file:///etc/passwd`}, s)).errorText;
    ok(/net::ERR/.test(text ?? ''), `${text}`);
    ok(!(await wire.evaluate('document.documentElement.outerHTML', s)).includes('root:'), 'a file');
    is(await wire.evaluate(`fetch('${HERE}/to?file:///etc/passwd').then(()=>1,()=>0)`, s), 0);
    await wire.load(`${HERE}/`, s);
    is(await wire.evaluate(`fetch('file:///etc/passwd').then(()=>1,()=>0)`, s), 0);
    is(await wire.evaluate(`new Promise(d=>{const w=new XMLHttpRequest();w.onload=()=>d(w.responseText.length);w.onerror=()=>d(0);w.open('GET','file:///etc/passwd');w.send()})`, s), 0);
  }),
  'the gate\'s own held requests': () => withPage(async (wire, s) => {
    await wire.send('Fetch.enable', {patterns: [{urlPattern: 'http://nowhere/*'}]}, s);
    void wire.send('Page.navigate', {url: `${HERE}/slow`}, s).catch(() => {});
    for (let i = 0; i < 60; i++) {
      const requestId = `interception-job-${i}.0`;
      for (const [method, params] of [['Fetch.continueRequest', {requestId, url: `${HERE}/stolen`}], ['Fetch.fulfillRequest', {requestId, responseCode: 200}], ['Fetch.failRequest', {requestId, errorReason: 'Failed'}]])
        await refused(wire.send(method, params, s), /Invalid/);
    }
    for (const method of ['Fetch.disable', 'Fetch.enable', 'Network.setBypassServiceWorker', 'Network.setRequestInterception', 'Network.setExtraHTTPHeaders', 'Network.emulateNetworkConditions'])
      await refused(wire.send(method, {bypass: true, patterns: [], headers: {}, offline: true}), /not let through/);
    await wire.send('Network.setBypassServiceWorker', {bypass: true}, s);
    await wire.send('Page.setBypassCSP', {enabled: true}, s);
    ok(!asked.some((a) => a.includes('stolen')), 'a held request was led elsewhere');
  }),
  'all that clears, and who one is then': () => withPage(async (wire, s) => {
    await wire.load(`${SITE}/who`, s);
    const before = await wire.evaluate('first', s);
    for (const [method, params] of [['Emulation.clearDeviceMetricsOverride', {}], ['Emulation.clearGeolocationOverride', {}], ['Emulation.clearIdleOverride', {}], ['Emulation.resetPageScaleFactor', {}],
      ['Emulation.setTimezoneOverride', {timezoneId: ''}], ['Emulation.setLocaleOverride', {}], ['Emulation.setUserAgentOverride', {userAgent: ''}], ['Network.setUserAgentOverride', {userAgent: ''}],
      ['Network.disable', {}], ['Page.disable', {}], ['Runtime.disable', {}], ['Network.setExtraHTTPHeaders', {headers: {'user-agent': '', 'sec-ch-ua': ''}}], ['Emulation.setAutomationOverride', {enabled: true}],
      ['Page.removeScriptToEvaluateOnNewDocument', {identifier: '1'}], ['Page.removeScriptToEvaluateOnNewDocument', {identifier: '2'}], ['Emulation.setDisabledImageTypes', {imageTypes: []}],
      ['Page.resetNavigationHistory', {}], ['Page.setWebLifecycleState', {state: 'active'}], ['Emulation.setEmulatedMedia', {features: []}]])
      await wire.send(method, params, s).catch(() => {});
    await wire.send('Page.enable', {}, s);
    await wire.load(`${SITE}/who`, s);
    is(await wire.evaluate('first', s), before);
    await wire.load(`${HERE}/echo-headers`, s);
    is(JSON.parse(await wire.evaluate('document.body.innerText', s))['user-agent'], before.ua);
    is(await wire.evaluate('new Worker(URL.createObjectURL(new Blob(["postMessage(navigator.userAgent)"]))) && new Promise(d=>{const w=new Worker(URL.createObjectURL(new Blob(["postMessage(navigator.userAgent)"])));w.onmessage=e=>d(e.data)})', s), before.ua);
    is(await wire.evaluate('navigator.webdriver', s), false);
  }),
  'headers by way of Fetch, cookies of other sites': () => withPage(async (wire, s) => {
    await wire.send('Fetch.enable', {}, s);
    const going = wire.load(`${HERE}/echo-headers`, s);
    const {params} = await wire.event('Fetch.requestPaused');
    await wire.send('Fetch.continueRequest', {requestId: params.requestId, headers: [{name: 'User-Agent', value: 'Mine/1.0'}, {name: 'USER-AGENT', value: 'Mine/2.0'}, {name: 'accept-language', value: 'xx'},
      {name: 'Sec-CH-UA', value: '"Mine"'}, {name: 'Host', value: 'elsewhere'}, {name: 'x-mine', value: '1'}]}, s).catch(() =>
      wire.send('Fetch.continueRequest', {requestId: params.requestId}, s));
    await going;
    const seen = await wire.evaluate('document.body.innerText', s);
    ok(!/Mine\/|"xx"|\\"Mine/.test(seen), seen);
  }),
  'tickets, leases and tokens by guessing': () => withPage(async (_, __, ___, made) => {
    for (const path of ['/devtools/browser/', '/devtools/browser/..', '/devtools/browser/%00', '/devtools/browser/*', `/devtools/browser/${'0'.repeat(32)}`, `/devtools/browser/${made.id}/../../v1/leases`,
      '/devtools/page/x', '/devtools/../v1/leases', '//v1/leases', '/v1/leases/', '/v1/leases?token=', `/v1/leases?token=${FLEET_TOKEN.slice(0, -1)}`]) {
      const answer = await fetch(`${FLEET_URL}${path}`);
      ok([400, 401, 403, 404, 405, 426].includes(answer.status), `${path}: ${answer.status}`);
      ok(!(await answer.text()).includes(made.id), path);
    }
    await refused(Wire.open(made.url.replace(made.id, made.id.toUpperCase().replace(/[0-9]/, 'F'))), /not connected/);
  }),
  'sockets that open and go, two hundred of them': () => withPage(async (wire, s, _, made) => {
    const all = Array.from({length: 200}, () => new WebSocket(made.url));
    all.forEach((w) => w.on('error', () => {}).on('open', () => w.terminate()));
    for (let i = 0; i < 10; i++) is(await wire.evaluate(`${i}`, s), i);
    await pause(300);
    all.forEach((w) => w.terminate());
    const last = await Wire.open(made.url);
    ok((await last.send('Browser.getVersion')).product, 'there is room again');
    await last.close();
  }),
  'a client that never reads': () => withPage(async (wire, s, _, made) => {
    const r = await raw(made.url);
    r.socket.pause();
    for (let i = 1; i < 400; i++) r.frame(0x81, ask(i, 'Runtime.evaluate', {expression: "'x'.repeat(1e6)"}, undefined));
    for (let i = 1; i < 400; i++) r.frame(0x81, ask(i, 'Target.getTargets'));
    for (let i = 0; i < 20; i++) is(await wire.evaluate(`${i}`, s), i);
    r.socket.destroy();
  }),
  'pages without end, workers, dialogs, popups': () => withPage(async (wire, s) => {
    await wire.load(`${HERE}/`, s);
    await wire.evaluate(`for (let i = 0; i < 50; i++) window.open('about:blank'); 1`, s);
    await wire.evaluate(`for (let i = 0; i < 20; i++) new Worker(URL.createObjectURL(new Blob(['for(;;);']))); 1`, s);
    void wire.send('Runtime.evaluate', {expression: `for (;;) alert('x')`}, s).catch(() => {});
    await pause(200);
    ok((await wire.send('Browser.getVersion')).product, 'the browser is there');
  }),
});
