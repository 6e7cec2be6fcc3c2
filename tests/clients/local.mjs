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
    await wire.close();
    await release(made);
    await gone(made);
  },
});
