// A site for what the C one has not: WebSockets, server-sent events, basic authentication, bodies, slow answers. On a port of its own.
import {createServer} from 'node:http';
import {load_named} from '../support/npm.mjs';

const {WebSocketServer} = await load_named('ws');
const html = (title, body) => ({type: 'text/html', body: `<!doctype html><title>${title}</title>${body}`});
const script = (body) => ({type: 'text/javascript', body});

const fixed = {
  '/': html('Site', '<h1>Site</h1><a href="/login">login</a>'),
  '/login': html('Login', `<form method=post action=/posted><label>User <input name=user></label><label>Password <input name=password type=password>
    </label><label><input type=checkbox name=stay> stay</label><label>Colour <select name=colour><option>red<option>blue</select></label><button>Sign in</button></form>`),
  '/drag': html('Drag', `<div id=a draggable=true style="width:80px;height:40px;background:red">a</div><div id=b style="margin-top:60px;width:200px;height:90px;background:blue"></div>
    <script>a.ondragstart=e=>e.dataTransfer.setData('text/plain','from a');b.ondragover=e=>e.preventDefault();b.ondrop=e=>{e.preventDefault();b.textContent=e.dataTransfer.getData('text/plain')}</script>`),
  '/pointer': html('Pointer', `<div id=pad style="width:300px;height:200px;background:#eee"></div><pre id=log></pre><script>
    for(const t of ['mousedown','mouseup','click','dblclick','contextmenu','wheel'])pad.addEventListener(t,e=>{log.textContent+=t+e.button+' ';e.preventDefault()});
    pad.addEventListener('touchstart',()=>log.textContent+='touch ')</script>`),
  '/keys': html('Keys', `<textarea id=t autofocus></textarea><pre id=log></pre><script>t.onkeydown=e=>log.textContent+=(e.ctrlKey?'C-':'')+(e.shiftKey?'S-':'')+e.key+' '</script>`),
  '/media': html('Media', `<p id=m></p><script>const q=s=>matchMedia(s).matches;
    window.look=()=>[q('(prefers-color-scheme: dark)'),q('print'),q('(prefers-reduced-motion: reduce)')].join()</script>`),
  '/geo': html('Geo', `<script>window.where=()=>new Promise((y,n)=>navigator.geolocation.getCurrentPosition(p=>y([p.coords.latitude,p.coords.longitude]),e=>n(e.message)))</script>`),
  '/chooser': html('Chooser', `<button id=pick onclick="f.click()">pick</button><input id=f type=file multiple hidden onchange="o.textContent=[...f.files].map(x=>x.name).join()"><p id=o></p>`),
  '/nested': html('Nested', '<iframe name=outer src=/outer></iframe>'),
  '/outer': html('Outer', '<p>outer</p><iframe name=deep src=/deep></iframe>'),
  '/deep': html('Deep', '<button onclick="this.textContent=\'done\'">deep button</button><input placeholder=words>'),
  '/late': html('Late', '<div id=l></div><script>setTimeout(()=>l.innerHTML="<button>late</button>",300)</script>'),
  '/list': html('List', `<ul>${[...Array(12).keys()].map((i) => `<li class=row data-n=${i}>row ${i}</li>`).join('')}</ul>`),
  '/unused': html('Coverage', '<style>.never{color:red} p{color:green}</style><p>x</p><script>function never(){return 1}function used(){return 2}used()</script>'),
  '/ws': html('Socket', '<p id=w></p><script>const s=new WebSocket(`ws://${location.host}/echo`);s.onopen=()=>s.send("hello");s.onmessage=e=>{w.textContent=e.data}</script>'),
  '/sse': html('Events', '<p id=e></p><script>new EventSource("/events").onmessage=m=>e.textContent=m.data</script>'),
  '/sw': html('Worker', '<script>navigator.serviceWorker.register("/sw.js").then(()=>navigator.serviceWorker.ready).then(()=>document.title="Ready")</script>'),
  '/sw.js': script(`self.addEventListener('install',()=>self.skipWaiting());self.addEventListener('activate',e=>e.waitUntil(clients.claim()));
    self.addEventListener('fetch',e=>{if(e.request.url.endsWith('/from-worker'))e.respondWith(new Response('of the worker'))})`),
  '/shared': html('Shared', '<p id=s></p><script>const w=new SharedWorker("/shared.js");w.port.onmessage=e=>s.textContent=e.data;w.port.start()</script>'),
  '/shared.js': script('onconnect=e=>e.ports[0].postMessage("shared "+navigator.userAgent)'),
  '/storage': html('Storage', '<script>localStorage.setItem("k","v");sessionStorage.setItem("s","1")</script>'),
  '/spa': html('App', `<a id=go href=#>go</a><script>go.onclick=e=>{e.preventDefault();history.pushState({},'','/spa/two');document.title='Two'}</script>`),
  '/opens': html('Opens', '<button onclick="window.open(\'/deep\',\'x\',\'width=300,height=200\')">open</button><a target=_blank rel=noopener href=/list>list</a>'),
  '/unload': html('Unload', '<input id=i><script>onbeforeunload=e=>{e.preventDefault();e.returnValue="stay"}</script>'),
  '/canvas': html('Canvas', '<canvas id=c width=60 height=40></canvas><script>c.getContext("2d").fillRect(0,0,60,40)</script>'),
  '/print': html('Print', '<style>@page{size:A5}h1{break-after:page}</style><h1>one</h1><h1>two</h1>'),
  '/moved': {status: 302, headers: {location: '/moved-again'}},
  '/moved-again': {status: 301, headers: {location: '/list'}},
  '/missing': {status: 404, ...html('Missing', '<h1>404</h1>')},
  '/broken': {status: 500, ...html('Broken', '<h1>500</h1>')},
  '/slow': {delay: 400, ...html('Slow', '<h1>slow</h1>')},
  '/data.json': {type: 'application/json', body: '{"items":[1,2,3]}'},
  '/report.csv': {type: 'text/csv', headers: {'content-disposition': 'attachment; filename="report.csv"'}, body: 'a,b\n1,2\n'},
};

const dynamic = {
  '/posted': (q, body) => html('Posted', `<pre id=p>${q.method} ${body}</pre>`),
  '/echo-headers': (q) => ({type: 'application/json', body: JSON.stringify(q.headers)}),
  '/private': (q) => q.headers.authorization === `Basic ${Buffer.from('ann:secret').toString('base64')}` ? html('Private', '<h1>in</h1>')
    : {status: 401, headers: {'www-authenticate': 'Basic realm=x'}, ...html('Who', '<h1>401</h1>')},
  '/to': (q) => ({status: 302, headers: {location: q.url.split('?')[1]}}),
  '/set': () => ({headers: {'set-cookie': ['a=1; Path=/', 'b=2; Path=/; HttpOnly']}, ...html('Set', '')}),
};

const answer = (q, a, body) => {
  const path = new URL(q.url, 'http://x').pathname;
  if (path === '/events') {
    a.writeHead(200, {'content-type': 'text/event-stream'}).write('data: tick\n\n');
    return;
  }
  const r = dynamic[path]?.(q, body) ?? fixed[path.startsWith('/spa/') ? '/spa' : path] ?? {...html(path, `<h1>${path}</h1>`)};
  setTimeout(() => a.writeHead(r.status ?? 200, {'content-type': r.type ?? 'text/html', ...r.headers}).end(r.body ?? ''), r.delay ?? 0);
};

// Returns the site's address; it is there as long as the script.
export async function site() {
  const asked = [];
  const server = createServer((q, a) => {
    const parts = [];
    asked.push(`${q.method} ${q.url}`);
    q.on('data', (part) => parts.push(part)).on('end', () => answer(q, a, Buffer.concat(parts).toString()));
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  new WebSocketServer({server}).on('connection', (s) => s.on('message', (m) => s.send(`echo ${m}`)));
  return {url: `http://127.0.0.1:${server.address().port}`, asked};
}
