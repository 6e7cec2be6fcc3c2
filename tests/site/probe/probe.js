// What one realm sees, told to the server: probe(name, base, visit). Runs in windows, frames and
// workers of every kind. Values are texts under fixed names; what a realm has not is left out.
(function (g) {
  'use strict';
  const put = (v, name, f) => {
    try {
      const x = f();
      if (x !== undefined) v[name] = typeof x === 'string' ? x : JSON.stringify(x);
    } catch (e) {
      v[name] = 'error ' + e.name;
    }
  };
  const hash = bytes => {
    let h = 0x811c9dc5;
    for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i], 0x01000193);
    return (h >>> 0).toString(16);
  };

  // All that can be read at once. `w`: the realm's global, which may be another's.
  function now(w) {
    const v = {}, n = w.navigator, date = new w.Date(0);
    for (const name of ['userAgent', 'appVersion', 'platform', 'language', 'languages', 'hardwareConcurrency', 'deviceMemory'])
      put(v, name, () => n[name]);
    put(v, 'brands', () => n.userAgentData && n.userAgentData.brands.map(b => b.brand + '/' + b.version).join());
    put(v, 'uaMobile', () => n.userAgentData && n.userAgentData.mobile);
    put(v, 'uaPlatform', () => n.userAgentData && n.userAgentData.platform);
    put(v, 'timeZone', () => new w.Intl.DateTimeFormat().resolvedOptions().timeZone);
    put(v, 'offsets', () => [new w.Date(2026, 0, 1).getTimezoneOffset(), new w.Date(2026, 6, 1).getTimezoneOffset()].join());
    put(v, 'locale', () => new w.Intl.DateTimeFormat().resolvedOptions().locale);
    put(v, 'number', () => w.Number(1234567.5).toLocaleString());
    put(v, 'epoch', () => date.toString().replace(/\(.*/, ''));
    if (!w.document) return v;
    put(v, 'webdriver', () => n.webdriver);
    put(v, 'touchPoints', () => n.maxTouchPoints);
    put(v, 'screen', () => [w.screen.width, w.screen.height].join('x'));
    put(v, 'avail', () => [w.screen.availLeft, w.screen.availTop, w.screen.availWidth, w.screen.availHeight].join());
    put(v, 'depth', () => w.screen.colorDepth);
    put(v, 'dpr', () => w.devicePixelRatio);
    const m = q => w.matchMedia(q).matches;
    put(v, 'media', () => ['(pointer:fine)', '(pointer:coarse)', '(hover:hover)', '(any-pointer:fine)', '(any-hover:hover)'].map(q => m(q) ? 1 : 0).join(''));
    put(v, 'deviceWidth', () => m(`(device-width:${w.screen.width}px) and (device-height:${w.screen.height}px)`));
    put(v, 'resolution', () => m(`(resolution:${w.devicePixelRatio}dppx)`));
    put(v, 'touchEvents', () => 'ontouchstart' in w);
    put(v, 'plugins', () => n.plugins.length);
    put(v, 'pdf', () => n.pdfViewerEnabled);
    put(v, 'chrome', () => typeof w.chrome);
    put(v, 'lastModified', () => { // no Last-Modified: now, in the zone of the document
      const t = new w.Date(w.document.lastModified).getTime();
      return Math.abs(t - Date.now()) < 600000;
    });
    return v;
  }

  function draw(c) {
    const x = c.getContext('2d');
    x.fillStyle = '#f60';
    x.fillRect(100, 1, 62, 20);
    x.fillStyle = '#069';
    x.font = '14px sans-serif';
    x.fillText('Cwm fjordbank glyphs vext quiz, 0123456789', 2, 15);
    x.fillStyle = 'rgba(102,204,0,0.7)';
    x.font = '18px serif';
    x.fillText('Cwm fjordbank glyphs vext quiz', 4, 45);
    return x;
  }

  function gl(v, make) {
    const c = make(128, 128).getContext('webgl');
    if (!c) return;
    const e = c.getExtension('WEBGL_debug_renderer_info');
    put(v, 'gl', () => e && c.getParameter(e.UNMASKED_VENDOR_WEBGL) + ' | ' + c.getParameter(e.UNMASKED_RENDERER_WEBGL));
    const sh = (t, s) => {
      const o = c.createShader(t);
      c.shaderSource(o, s);
      c.compileShader(o);
      return o;
    };
    const p = c.createProgram();
    c.attachShader(p, sh(c.VERTEX_SHADER, 'attribute vec2 a;varying vec2 b;void main(){b=a;gl_Position=vec4(a,0,1);}'));
    c.attachShader(p, sh(c.FRAGMENT_SHADER, 'precision mediump float;varying vec2 b;void main(){gl_FragColor=vec4(b*.5+.5,sin(b.x*9.),1);}'));
    c.linkProgram(p);
    c.useProgram(p);
    c.bindBuffer(c.ARRAY_BUFFER, c.createBuffer());
    c.bufferData(c.ARRAY_BUFFER, new Float32Array([-.9, -.8, .9, -.7, 0, .9]), c.STATIC_DRAW);
    c.enableVertexAttribArray(0);
    c.vertexAttribPointer(0, 2, c.FLOAT, false, 0, 0);
    c.drawArrays(c.TRIANGLES, 0, 3);
    const d = new Uint8Array(128 * 128 * 4);
    c.readPixels(0, 0, 128, 128, c.RGBA, c.UNSIGNED_BYTE, d);
    put(v, 'glPixels', () => hash(d));
  }

  async function later(w, v) {
    const n = w.navigator;
    if (n.userAgentData)
      try {
        const h = await n.userAgentData.getHighEntropyValues(['architecture', 'bitness', 'model', 'platformVersion', 'fullVersionList', 'formFactors', 'wow64']);
        put(v, 'high', () => [h.architecture, h.bitness, h.model, h.platformVersion, h.wow64, (h.formFactors || []).join('+')].join('/'));
        put(v, 'fullVersions', () => h.fullVersionList.map(b => b.brand + '/' + b.version).join());
      } catch (e) {
        v.high = 'error ' + e.name;
      }
    if (w.OffscreenCanvas) {
      put(v, 'offscreen', () => hash(draw(new w.OffscreenCanvas(300, 60)).getImageData(0, 0, 300, 60).data));
      gl(v, (x, y) => new w.OffscreenCanvas(x, y));
    }
    if (!w.document) return v;
    put(v, 'canvas', () => {
      const c = w.document.createElement('canvas');
      c.width = 300;
      c.height = 60;
      draw(c);
      const u = c.toDataURL();
      return u === c.toDataURL() ? hash(Array.from(u, s => s.charCodeAt(0))) : 'unstable';
    });
    if (w.OfflineAudioContext) {
      const a = new w.OfflineAudioContext(1, 5000, 44100), o = a.createOscillator(), k = a.createDynamicsCompressor();
      o.type = 'triangle';
      o.frequency.value = 10000;
      o.connect(k);
      k.connect(a.destination);
      o.start(0);
      const b = await a.startRendering(), d = b.getChannelData(0);
      put(v, 'audio', () => hash(new Uint8Array(d.buffer, d.byteOffset, d.byteLength)));
    }
    return v;
  }

  g.probe = async function (name, base, visit, w, first) {
    const v = first || now(w || g);
    await later(w || g, v);
    v.again = JSON.stringify(Object.entries(now(w || g)).filter(([k, x]) => v[k] !== x));
    await fetch(`${base}/r?v=${visit}&n=${name}`, {method: 'POST', mode: 'no-cors', body: JSON.stringify(v)});
  };
  g.probeNow = now;
})(globalThis);
