// What an identity shows that no DevTools command and no switch can set: names of the GPU, a work
// area in the dense tier, navigator's values in workers, and noise. Runs first in every realm, with
// the identity's values; `site` is the host of the top-level document where the realm itself cannot
// know it (workers), else "".
//
// It may come twice to one realm (service workers attach twice, a popup's first global survives its
// first navigation): Function.prototype.toString knows the secret, and no property tells. Every
// wrapper's source has the secret in it, so that toString of any realm of this identity prints a
// wrapper of any other as the native function it stands for.
//
// Noise is bounded: at most the lowest bit of one pixel in eight or so, only opaque ones at edges,
// only on canvases of 32x32 to 4 megapixels, and on those with 2D contexts only after text was
// drawn: what programs compute in pixels stays exact. The same canvas reads the same every time.
(function (v, site) {
  'use strict';
  const {apply, defineProperty, getOwnPropertyDescriptor: descriptor, getPrototypeOf} = Reflect;
  const g = globalThis, toString = Function.prototype.toString, secret = v.secret;
  if (apply(toString, toString, [secret]) === secret) return;

  // --- wrappers ---
  const call = (f, self, args) => {
    try {
      return apply(f, self, args);
    } catch (e) {
      clean(e);
      throw e;
    }
  };
  // The lines of a stack that are this script's.
  const indexOf = String.prototype.indexOf, split = String.prototype.split;
  const join = Array.prototype.join, test = RegExp.prototype.test;
  const clean = e => {
    const d = e !== null && typeof e === 'object' ? descriptor(e, 'stack') : undefined;
    if (!d || typeof e.stack !== 'string') return;
    const lines = apply(split, e.stack, ['\n']), kept = [];
    for (let i = 0; i < lines.length; i++)
      if (apply(indexOf, lines[i], [secret]) < 0) kept[kept.length] = lines[i];
    e.stack = apply(join, kept, ['\n']);
  };
  const native = name => `function ${name}() { [native code] }`;
  const dress = (f, from) => {
    defineProperty(f, 'length', {value: from.length, writable: false, enumerable: false, configurable: true});
    defineProperty(f, 'name', {value: from.name, writable: false, enumerable: false, configurable: true});
    return f;
  };
  const method = (owner, name, make) => {
    const d = owner && descriptor(owner, name);
    if (!d || typeof d.value !== 'function') return;
    const f = d.value, body = make(f);
    const w = {m(...args) { return '@SECRET@', body(this, args); }}.m;
    d.value = dress(w, f);
    defineProperty(owner, name, d);
  };
  const getter = (owner, name, value) => {
    const d = owner && descriptor(owner, name);
    if (!d || !d.get) return;
    const f = d.get;
    const w = {get m() { return '@SECRET@', call(f, this, []), value; }};
    d.get = dress(descriptor(w, 'm').get, f);
    defineProperty(owner, name, d);
  };
  method(Function.prototype, 'toString', f => (self, args) => {
    if (args.length === 1 && args[0] === secret) return secret;
    const text = call(f, self, []);
    return apply(indexOf, text, ["'@SECRET@'"]) < 0 ? text : native(self.name);
  });

  // --- values ---
  const nav = g.navigator, navProto = nav && getPrototypeOf(nav);
  for (const name in v.navigator)
    if (name in nav && nav[name] !== v.navigator[name]) getter(navProto, name, v.navigator[name]);
  if (v.screen && g.screen && g.window === g) {
    for (const name in v.screen)
      if (screen[name] !== v.screen[name]) getter(getPrototypeOf(screen), name, v.screen[name]);
    for (const name in v.window)
      if (g[name] !== v.window[name]) getter(g, name, v.window[name]);
  }
  // A pop-up hides its opener's tab, whose window then seems to have no bars.
  if (v.bars && g.document && g.parent === g) {
    const d = descriptor(g, 'outerHeight'), f = d.get, inner = descriptor(g, 'innerHeight').get;
    const w = {get m() { '@SECRET@'; const n = call(f, this, []); return n === apply(inner, g, []) ? n + v.bars : n; }};
    d.get = dress(descriptor(w, 'm').get, f);
    defineProperty(g, 'outerHeight', d);
  }
  const webgl = [g.WebGLRenderingContext, g.WebGL2RenderingContext];
  if (v.gpu)
    for (const type of webgl)
      method(type && type.prototype, 'getParameter', f => (self, args) => {
        const r = call(f, self, args);
        return r === null ? r : args[0] === 0x9245 ? v.gpu[0] : args[0] === 0x9246 ? v.gpu[1] : r;
      });
  // A pop-up on about:blank can be read before any command reaches it. Only the count of processors
  // comes by command alone; the rest it has by switch or from its opener.
  if (g.document)
    method(g, 'open', f => (self, args) => {
      const w = call(f, self, args);
      try {
        const other = w.navigator;
        if (other.hardwareConcurrency !== nav.hardwareConcurrency)
          getter(getPrototypeOf(other), 'hardwareConcurrency', nav.hardwareConcurrency);
      } catch (e) {} // null, or another origin's
      return w;
    });
  if (!v.noise) return;

  // --- noise: a hash of the identity, the top-level site and the place ---
  const hostOf = origin => {
    const at = apply(indexOf, origin, ['://']);
    const host = at < 0 ? '' : apply(split, origin, ['/'])[2];
    return apply(split, host, [':'])[0];
  };
  // Never a worker's own place: asked before its script is there, it crashes the process (156).
  const top = g.document && location.ancestorOrigins;
  const host = site || hostOf(top && top.length ? top[top.length - 1] : g.document && g.origin || '');
  const labels = apply(split, host, ['.']), last = labels[labels.length - 1];
  const name = last >= '0' && last <= '999' ? host : (labels[labels.length - 2] || '') + '.' + last;
  const imul = Math.imul, charCode = String.prototype.charCodeAt;
  const hash = text => {
    let h = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) h = imul(h ^ apply(charCode, text, [i]), 0x01000193);
    return h >>> 0;
  };
  const seed = hash(v.noise + '/' + name);
  const mix = n => {
    n = imul(n ^ (n >>> 16), 0x45d9f3b);
    n = imul(n ^ (n >>> 16), 0x45d9f3b);
    return (n ^ (n >>> 16)) >>> 0;
  };
  // The pixel's bits of noise, 0: none.
  const at = (x, y) => {
    const h = mix(seed ^ imul(x + 1, 0x9e3779b1) ^ imul(y + 1, 0x85ebca77));
    return (h & 7) === 0 ? 8 | h >>> 4 & 7 : 0;
  };
  const fits = (w, h) => w >= 32 && h >= 32 && w * h <= 4194304;
  // RGBA rows of w pixels; the first is at x0, y0 of the canvas, `up`: rows go upwards.
  const spoil = (d, w, h, x0, y0, up) => {
    for (let y = 0; y < h; y++)
      for (let x = 1; x < w; x++) {
        const i = 4 * (y * w + x);
        if (d[i + 3] !== 255 || d[i - 1] !== 255) continue;
        if (d[i] >> 1 === d[i - 4] >> 1 && d[i + 1] >> 1 === d[i - 3] >> 1 && d[i + 2] >> 1 === d[i - 2] >> 1)
          continue;
        const n = at(x0 + x, up ? y0 - y : y0 + y);
        if (n === 0) continue;
        d[i] = d[i] & 254 | n & 1;
        d[i + 1] = d[i + 1] & 254 | n >> 1 & 1;
        d[i + 2] = d[i + 2] & 254 | n >> 2 & 1;
      }
    return d;
  };

  // --- canvas ---
  const marked = new WeakSet(), has = WeakSet.prototype.has, add = WeakSet.prototype.add;
  const contexts = [g.CanvasRenderingContext2D, g.OffscreenCanvasRenderingContext2D];
  const imageData = g.ImageData && descriptor(ImageData.prototype, 'data').get;
  const pixels = new WeakMap(); // native methods of each kind of context
  for (const type of contexts) {
    const p = type && type.prototype;
    if (!p) continue;
    const canvasOf = descriptor(p, 'canvas').get, read = p.getImageData;
    const own = {read, write: p.putImageData, draw: p.drawImage};
    pixels.set(type, own);
    for (const text of ['fillText', 'strokeText'])
      method(p, text, f => (self, args) => {
        const r = call(f, self, args);
        apply(add, marked, [apply(canvasOf, self, [])]);
        return r;
      });
    method(p, 'drawImage', f => (self, args) => {
      const r = call(f, self, args);
      if (typeof args[0] === 'object' && apply(has, marked, [args[0]])) apply(add, marked, [apply(canvasOf, self, [])]);
      return r;
    });
    // One column more on the left, so that a part reads as it does in the whole.
    method(p, 'getImageData', f => (self, args) => {
      const r = call(f, self, args), canvas = apply(canvasOf, self, []);
      const w = r.width, h = r.height, x = args[0] | 0, y = args[1] | 0;
      if (!fits(canvas.width, canvas.height) || !apply(has, marked, [canvas]) || args[2] < 0 || args[3] < 0) return r;
      const data = apply(imageData, r, []);
      if (!(data instanceof Uint8ClampedArray)) return r;
      if (x === 0) {
        spoil(data, w, h, 0, y, false);
        return r;
      }
      const wide = apply(f, self, [x - 1, y, w + 1, h]), from = spoil(apply(imageData, wide, []), w + 1, h, x - 1, y, false);
      for (let row = 0; row < h; row++)
        for (let i = 0; i < 4 * w; i++) data[4 * row * w + i] = from[4 * (row * (w + 1) + 1) + i];
      return r;
    });
  }
  // A copy of the canvas with its noise, or the canvas itself.
  const isGl = new WeakSet();
  const copyOf = (canvas, make, type, context) => {
    const own = pixels.get(type), w = canvas.width, h = canvas.height;
    if (!own || !fits(w, h) || !(apply(has, marked, [canvas]) || apply(has, isGl, [canvas]))) return canvas;
    const copy = make(w, h), c = apply(context, copy, ['2d', {willReadFrequently: true}]);
    apply(own.draw, c, [canvas, 0, 0]);
    const r = apply(own.read, c, [0, 0, w, h]);
    spoil(apply(imageData, r, []), w, h, 0, 0, false);
    apply(own.write, c, [r, 0, 0]);
    return copy;
  };
  const encoders = (type, names, make, contextType) => {
    if (!type) return;
    const context = type.prototype.getContext;
    method(type.prototype, 'getContext', f => (self, args) => {
      const r = call(f, self, args);
      if (r && apply(test, /webgl/, [args[0]])) apply(add, isGl, [self]);
      return r;
    });
    for (const name of names)
      method(type.prototype, name, f => (self, args) => {
        let from = self;
        try {
          from = copyOf(self, make, contextType, context);
        } catch (e) {} // not a canvas, tainted or handed over: the native one says so
        return call(f, from, args);
      });
  };
  const create = g.document && document.createElement;
  encoders(g.HTMLCanvasElement, ['toDataURL', 'toBlob'], (w, h) => {
    const c = apply(create, document, ['canvas']);
    c.width = w;
    c.height = h;
    return c;
  }, g.CanvasRenderingContext2D);
  const Offscreen = g.OffscreenCanvas;
  encoders(Offscreen, ['convertToBlob'], (w, h) => new Offscreen(w, h), g.OffscreenCanvasRenderingContext2D);

  // --- WebGL: what is read from the canvas itself; what programs draw aside for their own use stays ---
  for (const type of webgl) {
    const p = type && type.prototype;
    if (!p) continue;
    const parameter = p.getParameter;
    method(p, 'readPixels', f => (self, args) => {
      const r = call(f, self, args), [x, y, w, h, format, kind, d] = args;
      if (format === 0x1908 && kind === 0x1401 && d instanceof Uint8Array && !args[7] && fits(w, h) &&
          w * h * 4 <= d.length && apply(parameter, self, [0x8ca6]) === null)
        spoil(d, w, h, x, self.drawingBufferHeight - 1 - y, true);
      return r;
    });
  }

  // --- audio: one part in ten million ---
  const touched = new WeakSet();
  const shift = i => 1 + ((mix(seed ^ i) & 0xff) - 128) * 1e-9;
  const waver = d => {
    for (let i = 0; i < d.length; i += 16) d[i] *= shift(i);
  };
  const Buffer = g.AudioBuffer && AudioBuffer.prototype;
  if (Buffer) {
    const channel = Buffer.getChannelData, lengthOf = descriptor(Buffer, 'length').get;
    const channels = descriptor(Buffer, 'numberOfChannels').get;
    const prepare = self => {
      try {
        if (apply(has, touched, [self]) || apply(lengthOf, self, []) > 4194304) return;
        apply(add, touched, [self]);
        for (let i = 0; i < apply(channels, self, []); i++) waver(apply(channel, self, [i]));
      } catch (e) {} // not a buffer: the native one says so
    };
    for (const name of ['getChannelData', 'copyFromChannel'])
      method(Buffer, name, f => (self, args) => {
        prepare(self);
        return call(f, self, args);
      });
  }
  const Analyser = g.AnalyserNode && AnalyserNode.prototype;
  for (const name of ['getFloatFrequencyData', 'getFloatTimeDomainData'])
    method(Analyser, name, f => (self, args) => {
      const r = call(f, self, args);
      waver(args[0]);
      return r;
    });
});
