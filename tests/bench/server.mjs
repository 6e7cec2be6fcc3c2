// The article pages of tests/site/news for the bench, from memory, on 127.0.0.1. Prints {"port":N}, and a line of JSON with the time of each
// beacon that a page sends when it has loaded (only pages under /first/ do). Documents are asked for each time; styles, scripts and images may be
// cached, as on the sites that people visit: a fresh context has an empty cache, a kept one does not.
import { createServer } from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2];
const files = new Map();
const types = { html: 'text/html; charset=utf-8', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
function take(dir, prefix) {
    for (const f of readdirSync(join(root, dir), { withFileTypes: true })) {
        if (f.isDirectory())
            take(join(dir, f.name), `${prefix}${f.name}/`);
        else
            files.set(prefix + f.name, { type: types[f.name.split('.').pop()], body: readFileSync(join(root, dir, f.name)) });
    }
}
take('news', '/');
take('shared', '/shared/');
const beacon = "<script>addEventListener('load', () => navigator.sendBeacon('/loaded'))</script></body>";

createServer((req, res) => {
    const path = req.url.split('?')[0];
    if (path === '/loaded') {
        console.log(JSON.stringify({ loaded: Date.now() }));
        res.writeHead(204).end();
        return;
    }
    const first = path.startsWith('/first/');
    const name = first ? path.replace('/first/', '/article/') : path;
    const file = files.get(name) ?? files.get(`${name}.html`);
    if (!file) {
        res.writeHead(404).end();
        return;
    }
    const body = first ? Buffer.from(String(file.body).replace('</body>', beacon)) : file.body;
    res.writeHead(200, { 'content-type': file.type, 'content-length': body.length, 'cache-control': file.type.startsWith('text/html') ? 'no-cache' : 'public, max-age=3600' }).end(body);
}).listen(0, '127.0.0.1', function () {
    console.log(JSON.stringify({ port: this.address().port }));
});
setInterval(() => process.ppid === 1 && process.exit(), 1000); // whoever started it was killed
