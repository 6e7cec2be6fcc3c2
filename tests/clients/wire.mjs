// A DevTools client of a hundred lines, for what the big ones would never send; and for the order in which
// others (chromedp, rod, chrome-remote-interface) look for a browser.
import {load} from '../support/npm.mjs';
import {withLease} from './suite.mjs';

const WebSocket = await load('ws'); // of puppeteer-core

export class Wire {
  static async open(url) {
    const wire = new Wire();
    wire.socket = new WebSocket(url, {perMessageDeflate: false});
    wire.calls = new Map();
    wire.events = [];
    wire.last = 0;
    wire.closed = new Promise((done) => wire.socket.addEventListener('close', (e) => done(e.code)));
    wire.socket.addEventListener('message', (e) => wire.take(JSON.parse(e.data.toString())));
    await new Promise((done, no) => {
      wire.socket.addEventListener('open', done);
      wire.socket.addEventListener('error', () => no(new Error(`${url}: not connected`)));
    });
    return wire;
  }
  take(message) {
    const call = this.calls.get(message.id);
    if (message.id === undefined || !call) this.events.push(message);
    else if (message.error) call.no(Object.assign(new Error(message.error.message), {code: message.error.code}));
    else call.done(message.result);
    this.calls.delete(message.id);
  }
  send(method, params, sessionId) {
    const id = ++this.last;
    const answer = new Promise((done, no) => this.calls.set(id, {done, no}));
    this.socket.send(JSON.stringify({id, method, params, sessionId}));
    return answer;
  }
  raw(text) {
    this.socket.send(text);
  }
  async event(method, fits = () => true) {
    for (let i = 0; i < 500; i++) {
      const found = this.events.find((e) => e.method === method && fits(e.params, e));
      if (found) return found;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error(`no ${method}`);
  }
  // A page of its own, attached.
  async page(url = 'about:blank', browserContextId) {
    const {targetId} = await this.send('Target.createTarget', {url, browserContextId});
    const {sessionId} = await this.send('Target.attachToTarget', {targetId, flatten: true});
    return {targetId, sessionId};
  }
  async evaluate(expression, sessionId) {
    const {result, exceptionDetails} = await this.send('Runtime.evaluate',
        {expression, returnByValue: true, awaitPromise: true}, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }
  async load(url, sessionId) {
    await this.send('Page.enable', {}, sessionId);
    this.events = this.events.filter((e) => e.method !== 'Page.loadEventFired');
    const answer = await this.send('Page.navigate', {url}, sessionId);
    if (!answer.errorText) await this.event('Page.loadEventFired', (_, e) => e.sessionId === sessionId);
    return answer;
  }
  close() {
    this.socket.close();
    return this.closed;
  }
}

// A page of a lease of its own, for the time of `fn`.
export const withPage = (fn, body) => withLease(async (made) => {
  const wire = await Wire.open(made.url);
  try {
    const {sessionId, targetId} = await wire.page();
    await fn(wire, sessionId, targetId, made);
  } finally {
    await wire.close();
  }
}, body);
