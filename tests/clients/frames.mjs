// Bytes that are no WebSocket's: each breaks a rule of RFC 6455 on a socket of its own, is answered with the close
// frame that says which kind of rule (§7.4.1), and then by the end of the connection. Another client of the same
// lease goes on all the while.
import net from 'node:net';
import {randomBytes} from 'node:crypto';
import {FLEET_URL, gone, is, lease, ok, release, run} from './suite.mjs';
import {Wire} from './wire.mjs';

const PROTOCOL = 1002, INVALID = 1007, TOO_LARGE = 1009;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const text = (s) => Buffer.from(s);
const ask = text('{"id":1,"method":"Browser.getVersion"}');

// The head of a client's frame: first byte, how long it says it is, whether it says that it is masked.
function head(first, n, {masked = true, wide = 0} = {}) {
  const bit = masked ? 0x80 : 0;
  if (wide === 0 && n < 126) return Buffer.from([first, bit | Number(n)]);
  const out = Buffer.alloc(wide === 64 || n > 65535 ? 10 : 4);
  out[0] = first;
  out[1] = bit | (out.length === 10 ? 127 : 126);
  if (out.length === 10) out.writeBigUInt64BE(BigInt(n), 2);
  else out.writeUInt16BE(Number(n), 2);
  return out;
}
function frame(first, payload, opts = {}) {
  const mask = Buffer.from([1, 2, 3, 4]);
  if (opts.masked === false) return Buffer.concat([head(first, payload.length, opts), payload]);
  return Buffer.concat([head(first, payload.length, opts), mask, payload.map((b, i) => b ^ mask[i % 4])]);
}
const close = (code, reason = Buffer.alloc(0)) => Buffer.concat([Buffer.from([code >> 8, code & 255]), reason]);

class Raw {
  static async open(url) {
    const u = new URL(url), raw = new Raw();
    raw.bytes = Buffer.alloc(0);
    raw.over = false;
    raw.socket = net.connect(Number(u.port), u.hostname);
    raw.socket.on('data', (d) => (raw.bytes = Buffer.concat([raw.bytes, d])));
    raw.socket.on('close', () => (raw.over = true)).on('error', () => (raw.over = true));
    raw.socket.write(`GET ${u.pathname} HTTP/1.1\r\nHost: ${u.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
    for (let i = 0; i < 500 && raw.bytes.indexOf('\r\n\r\n') < 0; i++) await pause(10);
    ok(raw.bytes.toString('latin1').startsWith('HTTP/1.1 101'), 'no handshake');
    return raw;
  }
  // The frames that came so far: {op, payload}.
  frames() {
    const all = [], b = this.bytes;
    for (let at = b.indexOf('\r\n\r\n') + 4; at + 2 <= b.length;) {
      const small = b[at + 1] & 127, skip = small === 127 ? 10 : small === 126 ? 4 : 2;
      if (at + skip > b.length) break;
      const n = small === 127 ? Number(b.readBigUInt64BE(at + 2)) : small === 126 ? b.readUInt16BE(at + 2) : small;
      if (at + skip + n > b.length) break;
      all.push({op: b[at] & 15, payload: b.subarray(at + skip, at + skip + n)});
      at += skip + n;
    }
    return all;
  }
  // The code of the server's close frame, once the connection has ended.
  async closed(what) {
    for (let i = 0; i < 700 && !this.over; i++) await pause(10);
    ok(this.over, `${what}: the connection stays open`);
    const last = this.frames().filter((f) => f.op === 8);
    ok(last.length === 1, `${what}: ${last.length} close frames`);
    return last[0].payload.length >= 2 ? last[0].payload.readUInt16BE(0) : 1005;
  }
}

async function each(cases) {
  const made = await lease();
  const wire = await Wire.open(made.url);
  const {sessionId} = await wire.page();
  try {
    await Promise.all(Object.entries(cases).map(async ([what, [bytes, code]]) => {
      const raw = await Raw.open(made.url);
      for (const b of [bytes].flat()) raw.socket.write(b);
      is(await raw.closed(what), code, what);
      is(await wire.evaluate('6*7', sessionId), 42, what);
    }));
    is(await wire.evaluate('1+1', sessionId), 2);
  } finally {
    await wire.close();
    await release(made);
    await gone(made);
  }
}

await run({
  'opcodes that mean nothing': () => each(Object.fromEntries([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((op) =>
    [`opcode ${op}`, [frame(0x80 | op, text('x')), PROTOCOL]]))),
  'reserved bits that nobody agreed on': () => each(Object.fromEntries([0x40, 0x20, 0x10, 0x70].flatMap((bits) => [
    [`text with ${bits}`, [frame(0x81 | bits, ask), PROTOCOL]],
    [`ping with ${bits}`, [frame(0x89 | bits, text('p')), PROTOCOL]]]))),
  'frames without a mask': () => each({
    text: [frame(0x81, ask, {masked: false}), PROTOCOL],
    ping: [frame(0x89, text('p'), {masked: false}), PROTOCOL],
    'after one with': [[frame(0x81, ask), frame(0x81, ask, {masked: false})], PROTOCOL],
  }),
  'control frames in parts, or too large': () => each({
    'a ping that goes on': [frame(0x09, text('p')), PROTOCOL],
    'a close that goes on': [frame(0x08, close(1000)), PROTOCOL],
    'a ping of 126 bytes': [frame(0x89, Buffer.alloc(126)), PROTOCOL],
    'a pong of 126 bytes': [frame(0x8a, Buffer.alloc(126)), PROTOCOL],
    'a close of 200 bytes': [frame(0x88, close(1000, Buffer.alloc(198, 'x'))), PROTOCOL],
    'a ping that says it has 2^40 bytes': [Buffer.concat([head(0x89, 2 ** 40), Buffer.alloc(8)]), PROTOCOL],
  }),
  'parts of messages that do not fit': () => each({
    'a continuation of nothing': [frame(0x80, ask), PROTOCOL],
    'a first part of one of nothing': [frame(0x00, ask), PROTOCOL],
    'a message within a message': [[frame(0x01, text('{')), frame(0x81, ask)], PROTOCOL],
    'a beginning within a message': [[frame(0x01, text('{')), frame(0x02, text('x'))], PROTOCOL],
    'one that goes on after its end': [[frame(0x01, ask.subarray(0, 9)), frame(0x80, ask.subarray(9)), frame(0x80, text('x'))], PROTOCOL],
  }),
  'text that is not UTF-8': () => each({
    'a byte that never is': [frame(0x81, Buffer.from([0x7b, 0xff, 0x7d])), INVALID],
    'an overlong slash': [frame(0x81, Buffer.from([0xc0, 0xaf])), INVALID],
    'half of a surrogate pair': [frame(0x81, Buffer.from([0xed, 0xa0, 0x80])), INVALID],
    'past the last character': [frame(0x81, Buffer.from([0xf4, 0x90, 0x80, 0x80])), INVALID],
    'a character that is cut': [frame(0x81, Buffer.from([0x78, 0xe2, 0x82])), INVALID],
    'in the second of two parts': [[frame(0x01, text('{"x":"')), frame(0x80, Buffer.from([0xff, 0x22, 0x7d]))], INVALID],
  }),
  'lengths that are not': () => each({
    '2^40 bytes to come': [Buffer.concat([head(0x81, 2 ** 40), Buffer.alloc(4), text('{')]), TOO_LARGE],
    '2^62 bytes to come': [Buffer.concat([head(0x81, 2n ** 62n), Buffer.alloc(4), text('{')]), TOO_LARGE],
    'the highest bit set': [Buffer.concat([head(0x81, 2n ** 63n), Buffer.alloc(4), text('{')]), PROTOCOL],
    'all bits set': [Buffer.concat([head(0x81, 2n ** 64n - 1n), Buffer.alloc(4), text('{')]), PROTOCOL],
    '16 bits for a small one': [frame(0x81, ask, {wide: 16}), PROTOCOL],
    '64 bits for a small one': [frame(0x81, ask, {wide: 64}), PROTOCOL],
  }),
  'closes that say nothing': () => each({
    'half a code': [frame(0x88, Buffer.from([3])), PROTOCOL],
    'a code of 999': [frame(0x88, close(999)), PROTOCOL],
    'a code that is never sent': [frame(0x88, close(1005)), PROTOCOL],
    'another one': [frame(0x88, close(1006)), PROTOCOL],
    'a code that is nobody\'s': [frame(0x88, close(2999)), PROTOCOL],
    'a code of 5000': [frame(0x88, close(5000)), PROTOCOL],
    'a reason that is not UTF-8': [frame(0x88, close(1000, Buffer.from([0xff]))), INVALID],
    'a good one is answered in kind': [frame(0x88, close(1000, text('bye'))), 1000],
    'one of a program\'s own': [frame(0x88, close(4321)), 4321],
    'one without a code': [frame(0x88, Buffer.alloc(0)), 1005],
  }),
  'noise': async () => {
    const made = await lease();
    const wire = await Wire.open(made.url);
    let seed = 1;
    const noise = () => Buffer.from([...Array(200)].map(() => (seed = (seed * 48271) % 2147483647) >> 8 & 255));
    for (let round = 0; round < 3; round++)
      await Promise.all([...Array(10)].map(async () => {
        const raw = await Raw.open(made.url);
        for (let i = 0; i < 20 && !raw.over; i++) raw.socket.write(noise());
        await raw.closed('noise');
      }));
    ok((await wire.send('Browser.getVersion')).product, 'the lease goes on');
    await wire.close();
    await release(made);
    await gone(made);
  },
});
