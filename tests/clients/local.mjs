// Addresses of this machine, where the configuration does not allow them.
import {Wire} from './wire.mjs';
import {FLEET_URL, SITE, SITE2, gone, lease, ok, release, run} from './suite.mjs';

await run({
  'by every way': async () => {
    const made = await lease();
    const wire = await Wire.open(made.url);
    const {sessionId} = await wire.page();
    const port = new URL(SITE).port;
    await wire.send('Page.enable', {}, sessionId);
    for (const url of [`${SITE}/`, `${SITE2}/`, `${FLEET_URL}/json/version`, `http://127.1:${port}/`, `http://2130706433:${port}/`,
      `http://0.0.0.0:${port}/`, `http://[::1]:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`, 'http://169.254.169.254/latest/meta-data/']) {
      const answer = await wire.send('Page.navigate', {url}, sessionId);
      ok(/net::ERR/.test(answer.errorText ?? ''), `${url}: ${JSON.stringify(answer)}`);
    }
    // What it is answered by is the member's forwarder; that nothing came through is seen at the site.
    await wire.evaluate(`fetch('${SITE}/api', {mode: 'no-cors'}).then(() => 1, () => 0)`, sessionId);
    const host = SITE.slice(7);
    const soon = (code) => wire.evaluate(`Promise.race([new Promise(d => setTimeout(d, 700)), new Promise(d => { ${code} })]).then(() => 1)`, sessionId);
    await Promise.all([
      soon(`fetch('http://169.254.169.254/latest/', {mode: 'no-cors'}).then(d, d)`),
      soon(`const w = new WebSocket('ws://${host}/'); w.onclose = w.onerror = d`),
      soon(`const e = new EventSource('${SITE}/'); e.onerror = d`),
      soon(`const i = new Image(); i.onload = i.onerror = d; i.src = '${SITE2}/x.png'`),
      soon(`const w = new Worker(URL.createObjectURL(new Blob(["try{importScripts('${SITE}/worker.js')}catch{}postMessage(1)"]))); w.onmessage = w.onerror = d`),
      soon(`navigator.sendBeacon('${SITE}/beacon', 'x')`),
      soon(`document.head.innerHTML = '<link rel=prefetch href=${SITE}/p><link rel=preconnect href=${SITE}><link rel=dns-prefetch href=//localhost>'`),
    ]);
    await wire.evaluate(`document.body.innerHTML = '<form id=f method=post action=${SITE}/form></form>'; f.submit(); 1`, sessionId);
    await new Promise((done) => setTimeout(done, 200));
    await wire.close();
    await release(made);
    await gone(made);
  },
});
