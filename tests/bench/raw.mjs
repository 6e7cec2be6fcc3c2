// The least that a driver can ask of Chromium, over the DevTools pipe: what it reaches is the floor of the machine, with no identity, proxy,
// gate or receipt. A fresh page is made with its URL while paused, so that it loads no blank page first.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

class Pipe {
    constructor(executablePath, args) {
        this.profile = mkdtempSync(join(tmpdir(), 'raw-'));
        this.child = spawn(executablePath, [...args, '--remote-debugging-pipe', `--user-data-dir=${this.profile}`], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
        this.answers = new Map();
        this.sessions = new Map(); // of targets: an id, or who waits for it
        this.loads = new Map();
        this.n = 0;
        let rest = '';
        this.child.stdio[4].setEncoding('utf8');
        this.child.stdio[4].on('data', (d) => {
            const parts = (rest + d).split('\0');
            rest = parts.pop();
            for (const p of parts)
                this.heard(JSON.parse(p));
        });
    }
    send(method, params = {}, sessionId = undefined) {
        const id = ++this.n;
        this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
        return new Promise((ok, fail) => this.answers.set(id, (m) => (m.error ? fail(new Error(`${method}: ${m.error.message}`)) : ok(m.result))));
    }
    heard(m) {
        if (m.id) {
            this.answers.get(m.id)(m);
            this.answers.delete(m.id);
        } else if (m.method === 'Target.attachedToTarget') {
            const waiting = this.sessions.get(m.params.targetInfo.targetId);
            if (waiting)
                waiting(m.params.sessionId);
            else
                this.sessions.set(m.params.targetInfo.targetId, m.params.sessionId);
        } else if (m.method === 'Fetch.requestPaused') {
            this.send('Fetch.continueRequest', { requestId: m.params.requestId });
        } else if (m.method === 'Page.loadEventFired') {
            this.loads.get(m.sessionId)?.();
        }
    }
    async page(url, browserContextId) {
        const { targetId } = await this.send('Target.createTarget', { url, browserContextId });
        const id = this.sessions.get(targetId) ?? await new Promise((ok) => this.sessions.set(targetId, ok));
        const loaded = this.loaded(id);
        this.send('Page.enable', {}, id);
        this.send('Runtime.runIfWaitingForDebugger', {}, id);
        await loaded;
        return id;
    }
    loaded(session) {
        return new Promise((ok) => this.loads.set(session, ok));
    }
    async evaluate(session, expression) {
        return (await this.send('Runtime.evaluate', { returnByValue: true, expression }, session)).result.value;
    }
    async close() {
        const over = new Promise((ok) => this.child.on('exit', ok));
        this.send('Browser.close').catch(() => {});
        await over;
        rmSync(this.profile, { recursive: true, force: true });
    }
}

/** `held`: each document is held until it is let go, as a gate has to. */
export async function raw(executablePath, args, extract, held) {
    const full = executablePath.endsWith('chromium') ? ['--headless=new', '--disable-features=WebUIReloadButton,WebUIOmniboxPopup,WebUIOmniboxAimPopup'] : [];
    const browser = new Pipe(executablePath.replace(/^\/usr\/bin\/(chromium)/, '/usr/lib/chromium/$1'), [...args, ...full]);
    const expression = `(${extract})()`;
    await browser.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true });
    if (held)
        await browser.send('Fetch.enable', { patterns: ['Request', 'Response'].map((requestStage) => ({ resourceType: 'Document', requestStage })) });
    return { browser, fresh: async (url) => {
        const { browserContextId } = await browser.send('Target.createBrowserContext');
        const out = await browser.evaluate(await browser.page(url, browserContextId), expression);
        await browser.send('Target.disposeBrowserContext', { browserContextId });
        return out;
    }, kept: async (url, w, pages) => {
        if (pages[w]) {
            const loaded = browser.loaded(pages[w]);
            await browser.send('Page.navigate', { url }, pages[w]);
            await loaded;
        } else {
            pages[w] = await browser.page(url, (await browser.send('Target.createBrowserContext')).browserContextId);
        }
        return browser.evaluate(pages[w], expression);
    } };
}
