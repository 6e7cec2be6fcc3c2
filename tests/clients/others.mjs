// The order in which other clients look for a browser and what they send first, as plain HTTP and
// WebSocket; and what holds for any client.
import {Wire} from './wire.mjs';
import {FLEET_TOKEN, FLEET_URL, SITE, gone, headers, is, lease, ok, refused, release, run} from './suite.mjs';

const get = async (path, more = {}) => {
  const answer = await fetch(`${FLEET_URL}${path}`, {headers, ...more});
  return {status: answer.status, body: await answer.json().catch(() => null)};
};
const ws = FLEET_URL.replace('http', 'ws');

async function withWire(fn, body) {
  const made = await lease(body);
  const wire = await Wire.open(made.url);
  try {
    await fn(wire, made);
  } finally {
    await wire.close();
    await release(made);
    await gone(made);
  }
}

await run({
  'discovery with and without a slash': async () => {
    for (const path of ['/json/version', '/json/version/']) {
      const {status, body} = await get(path);
      is(status, 200);
      ok(/^Chrome\/\d+/.test(body.Browser), body.Browser);
      ok(body.webSocketDebuggerUrl.startsWith(`${ws}/devtools/browser/`), body.webSocketDebuggerUrl);
    }
    is((await get('/json/list')).body, []);
    is((await get('/json/protocol')).body.version.major, '1');
  },
  'discovery under the lease': async () => {
    const made = await lease();
    const path = new URL(made.url).pathname;
    is((await get(`${path}/json/version/`, {headers: {}})).body.webSocketDebuggerUrl, made.url);
    const {body} = await get(`${path}/json/list`, {headers: {}});
    is(body.map((t) => [t.type, t.url]), [['page', 'about:blank']]);
    await release(made);
    await gone(made);
  },
  'no token, no lease': async () => {
    for (const path of ['/json/version', '/v1/leases', '/json/list'])
      is((await get(path, {headers: {}})).status, 403, path);
    is((await get('/v1/leases', {headers: {authorization: 'Bearer wrong'}})).status, 403);
    await refused(Wire.open(`${ws}/`), /not connected/);
    await refused(Wire.open(`${ws}/devtools/browser/00000000000000000000000000000000`), /not connected/);
  },
  'a token in the query, a lease as long as the socket': async () => {
    is((await get(`/json/version?token=${FLEET_TOKEN}`, {headers: {}})).status, 200);
    const before = (await get('/v1/leases')).body.leases.length;
    const wire = await Wire.open(`${ws}/?token=${FLEET_TOKEN}&timeout=20000`);
    ok((await wire.send('Browser.getVersion')).product.includes('Chrome/'), 'version');
    is((await get('/v1/leases')).body.leases.length, before + 1);
    await wire.close();
    for (let i = 0; i < 100 && (await get('/v1/leases')).body.leases.length > before; i++) ;
    is((await get('/v1/leases')).body.leases.length, before);
  },
  'a ticket is used once, for one lease': async () => {
    const {webSocketDebuggerUrl} = (await get('/json/version')).body;
    const one = await Wire.open(webSocketDebuggerUrl);
    await one.page();
    const two = await Wire.open(webSocketDebuggerUrl);
    is((await two.send('Target.getTargets')).targetInfos.length, 2, 'the same lease');
    await one.send('Browser.close');
    await two.closed;
  },
  'the host is the request\'s': async () => {
    const {body} = await get('/json/version', {headers: {...headers, 'x-forwarded-host': 'browsers.example.org', 'x-forwarded-proto': 'https'}});
    ok(body.webSocketDebuggerUrl.startsWith('wss://browsers.example.org/devtools/browser/'), body.webSocketDebuggerUrl);
  },
  'what a lease is asked with': async () => {
    const wrong = await fetch(`${FLEET_URL}/v1/leases`, {method: 'POST', headers, body: '{"ttl":5}'});
    is(wrong.status, 400);
    const {error} = await wrong.json();
    ok(/ttl_ms/.test(error.message), error.message);
    const made = await lease({ttl_ms: 60000, idle_ms: 20000, grace_ms: 1000});
    is([made.idle_ms, made.grace_ms, made.state], [20000, 1000, 'ready']);
    ok(new Date(made.expires) - Date.now() < 61000, made.expires);
    await release(made);
    await gone(made);
  },
  'a rate of its own, never above the server\'s': async () => {
    const post = async (limits) => {
      const answer = await fetch(`${FLEET_URL}/v1/leases`, {method: 'POST', headers, body: JSON.stringify({limits})});
      return {status: answer.status, ...await answer.json()};
    };
    const fast = await post({max_requests: 1001});
    is([fast.status, fast.error.code], [400, 'INVALID']);
    is(fast.error.message, 'lease: /limits: found 1001 requests in 1000 ms, expected at most this server\'s 1000 in 1000 ms: a lease may be slower, not faster');
    is((await post({max_requests: 2, window_ms: 1})).status, 400);
    for (const none of [{}, {window_ms: 5}, {max_requests: 0}, {max_requests: -1}, {max_requests: 'x'}, {max_requests: 1, window_ms: 0}])
      is((await post(none)).status, 400, JSON.stringify(none));
    const usual = await lease(), slow = await post({max_requests: 2, window_ms: 200});
    is([usual.limits, slow.limits], [{max_requests: 1000, window_ms: 1000}, {max_requests: 2, window_ms: 200}]);
    const wire = await Wire.open(slow.url), other = await Wire.open(usual.url);
    const pages = await Promise.all([...Array(6)].map(() => wire.page()));
    const begun = Date.now();
    await Promise.all(pages.map((p, i) => wire.load(`${SITE}/n/${i}`, p.sessionId)));
    ok(Date.now() - begun >= 400, `six pages came in ${Date.now() - begun} ms`); // a bucket of 2, then 4 more at 2 in 200 ms
    await wire.load(`${SITE}/n/7`, pages[0].sessionId);
    const {sessionId} = await other.page();
    for (let i = 0; i < 3; i++) await other.load(`${SITE}/n/${i}`, sessionId); // the other lease has the server's
    await Promise.all([wire.close(), other.close()]);
    for (const made of [slow, usual]) {
      await release(made);
      await gone(made);
    }
  },
  'all members in use': async () => {
    const held = [];
    for (;;) {
      const answer = await fetch(`${FLEET_URL}/v1/leases`, {method: 'POST', headers});
      const body = await answer.json();
      if (answer.status !== 201) {
        is([answer.status, body.error.code], [409, 'BUSY']);
        break;
      }
      held.push(body);
    }
    is(new Set(held.map((h) => h.identity)).size, held.length, 'members');
    for (const made of held) {
      await release(made);
      await gone(made);
    }
  },
  'the lease ends when nobody comes back': async () => {
    const made = await lease({grace_ms: 200});
    const wire = await Wire.open(made.url);
    await wire.send('Browser.getVersion');
    await wire.close();
    await gone(made);
  },
  'the lease ends at its time': async () => {
    const made = await lease({ttl_ms: 1000});
    const wire = await Wire.open(made.url);
    await wire.closed;
    await gone(made);
  },
  'chromedp: discover, create, attach, no waiting': () => withWire(async (wire) => {
    await wire.send('Target.setDiscoverTargets', {discover: true});
    const {targetId} = await wire.send('Target.createTarget', {url: 'about:blank'});
    await wire.event('Target.targetCreated', (p) => p.targetInfo.targetId === targetId);
    const {sessionId} = await wire.send('Target.attachToTarget', {targetId, flatten: true});
    await wire.event('Target.attachedToTarget', (p) => p.sessionId === sessionId);
    for (const domain of ['Log', 'Runtime', 'Inspector', 'Page', 'DOM', 'CSS', 'Network'])
      await wire.send(`${domain}.enable`, {}, sessionId);
    await wire.send('Target.setAutoAttach', {autoAttach: true, waitForDebuggerOnStart: false, flatten: true}, sessionId);
    await wire.load(`${SITE}/`, sessionId);
    is(await wire.evaluate('document.title', sessionId), 'Home');
    await wire.send('Target.closeTarget', {targetId});
    await wire.event('Target.targetDestroyed', (p) => p.targetId === targetId);
  }),
  'rod: auto attach without waiting, targets by id': () => withWire(async (wire) => {
    await wire.send('Target.setDiscoverTargets', {discover: true});
    const {targetInfos} = await wire.send('Target.getTargets');
    const page = targetInfos.find((t) => t.type === 'page');
    const {sessionId} = await wire.send('Target.attachToTarget', {targetId: page.targetId, flatten: true});
    const {targetInfo} = await wire.send('Target.getTargetInfo', {targetId: page.targetId});
    is(targetInfo.attached, true);
    const {browserContextId} = await wire.send('Target.createBrowserContext');
    const other = await wire.page('about:blank', browserContextId);
    await wire.load(`${SITE}/cookie`, other.sessionId);
    await wire.load(`${SITE}/cookies`, sessionId);
    is(await wire.evaluate('document.getElementById("c").textContent', sessionId), '');
    await wire.send('Target.disposeBrowserContext', {browserContextId});
    is((await wire.send('Target.getBrowserContexts')).browserContextIds, []);
  }),
  'chrome-remote-interface: a page\'s own socket': async () => {
    const made = await lease();
    const {body} = await get(`${new URL(made.url).pathname}/json`);
    const wire = await Wire.open(body[0].webSocketDebuggerUrl);
    await wire.send('Page.enable');
    await wire.send('Page.navigate', {url: `${SITE}/second`});
    await wire.event('Page.loadEventFired');
    is(await wire.evaluate('document.title'), 'Second');
    await refused(wire.send('Target.createTarget', {url: 'file:///etc/passwd'}), /refused/);
    await wire.close();
    await release(made);
    await gone(made);
  },
  'a page made with its address': () => withWire(async (wire) => {
    const {sessionId} = await wire.page(`${SITE}/who`);
    for (let i = 0; i < 100 && (await wire.evaluate('document.title', sessionId)) !== 'Who'; i++) ;
    ok(!/Headless/.test(await wire.evaluate('first.ua', sessionId)), 'the identity was there');
  }),
  'what is no message': () => withWire(async (wire) => {
    wire.raw('nonsense');
    is((await wire.event(undefined, (_, e) => e.error?.code === -32700)).id, undefined);
    wire.raw('{"id":901}');
    await wire.event(undefined, (_, e) => e.id === 901 && e.error.code === -32600);
    wire.raw('{"id":902,"method":"Page.enable","sessionId":"ABCDEF"}');
    await wire.event(undefined, (_, e) => e.id === 902 && e.error.code === -32001);
    wire.raw('{"id":903,"method":"Target.getTargets","params":{"filter":[}}');
    await wire.event(undefined, (_, e) => e.error?.code === -32700);
    is((await wire.send('Target.getTargets')).targetInfos.length, 1);
  }),
  'Fleet.handoff and its end': () => withWire(async (wire, made) => {
    const {handoffId} = await wire.send('Fleet.handoff', {instructions: 'sign in, please', timeout: 5000});
    is((await wire.send('Fleet.status')).handoff, handoffId);
    const answer = await fetch(`${FLEET_URL}/v1/leases/${made.id}/handoff`,
        {method: 'POST', headers, body: '{"success":true,"reason":"done"}'});
    is(answer.status, 204);
    const {params} = await wire.event('Fleet.handoffComplete');
    is([params.handoffId, params.success, params.reason], [handoffId, true, 'done']);
  }),
  'a big answer and a big question': () => withWire(async (wire) => {
    const {sessionId} = await wire.page();
    const n = 8 * 1024 * 1024;
    is((await wire.evaluate(`'x'.repeat(${n})`, sessionId)).length, n);
    is(await wire.evaluate(`'${'y'.repeat(n)}'.length`, sessionId), n);
  }),
});
