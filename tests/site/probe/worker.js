// A worker of any kind: /probe/worker.js?n=NAME&b=BASE&v=VISIT&nest=1
'use strict';
const q = new URL(location.href).searchParams, base = q.get('b'), visit = q.get('v');
importScripts(base + '/probe/probe.js');
probe(q.get('n'), base, visit);
if (q.get('nest')) {
  new Worker(`${location.origin}/probe/worker.js?n=${q.get('n')}-nested&b=${base}&v=${visit}`);
  fetch(`${base}/probe/seen?k=worker-fetch&v=${visit}`, {mode: 'no-cors'});
}
if (self.registration) {
  self.addEventListener('install', e => e.waitUntil(fetch(`${base}/probe/seen?k=service-fetch&v=${visit}`, {mode: 'no-cors'})));
}
