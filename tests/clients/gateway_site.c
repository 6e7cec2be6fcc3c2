#include "tests/clients/gateway_site.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/base/attr.h"

static atomic_uint documents;

static const struct page {
    const char *path, *type, *headers, *body;
} pages[] = {
    {"/", NULL, NULL,
     "<!doctype html><title>Home</title><h1 id=h>Welcome</h1><a id=next href=/second>second</a>"
     "<a id=pop target=_blank href=/second>popup</a><button id=b "
     "onclick=\"document.getElementById('out').textContent='clicked'\">press</button><input id=i>"
     "<select id=s><option value=a>A<option value=b>B</select><p id=out></p>"
     "<input id=f type=file><a id=dl href=/file.txt download>load</a>"
     "<script>document.getElementById('f').onchange=async e=>{const "
     "f=e.target.files[0];document.getElementById('out').textContent=f.name+':'+await "
     "f.text()}</script>"},
    {"/second", NULL, NULL,
     "<!doctype html><title>Second</title><h1>Second</h1><a id=home href=/>home</a>"},
    {"/frames", NULL, NULL,
     "<!doctype html><title>Frames</title><iframe id=same name=same src=/inner></iframe>"},
    {"/inner", NULL, NULL,
     "<!doctype html><title>Inner</title><p id=in>inside</p><button id=ib "
     "onclick=\"this.textContent='pressed'\">in</button>"},
    {"/worker", NULL, NULL,
     "<!doctype html><title>Worker</title><p id=w></p><script>const w=new "
     "Worker('/worker.js');w.onmessage=e=>document.getElementById('w').textContent=e.data</"
     "script>"},
    {"/worker.js", "text/javascript", NULL,
     "console.log('in the worker');postMessage(navigator.userAgent+'|'+navigator.language);"
     "self.answer=()=>42;"},
    {"/sw", NULL, NULL,
     "<!doctype html><title>SW</title><script>navigator.serviceWorker.register('/sw.js')</script>"},
    {"/sw.js", "text/javascript", NULL, "self.addEventListener('install',()=>self.skipWaiting());"},
    {"/dialog", NULL, NULL,
     "<!doctype html><title>Dialog</title><button id=a onclick=\"alert('hello')\">a</button>"
     "<button id=c onclick=\"this.textContent=confirm('sure?')\">c</button>"
     "<button id=p onclick=\"this.textContent=prompt('name?')\">p</button>"},
    {"/who", NULL, NULL,
     "<!doctype html><title>Who</title><script>window.first={ua:navigator.userAgent,lang:navigator."
     "language,tz:Intl.DateTimeFormat().resolvedOptions().timeZone,sw:screen.width,dpr:"
     "devicePixelRatio,platform:navigator.platform,cores:navigator.hardwareConcurrency}</script>"},
    {"/console", NULL, NULL,
     "<!doctype html><title>Console</title><script>console.log('one',2,{three:3});"
     "setTimeout(()=>{throw new Error('boom')},10)</script>"},
    {"/cookie", NULL, "Set-Cookie: seen=yes; Path=/\r\n",
     "<!doctype html><title>Cookie</title><p>set</p>"},
    {"/redirect", NULL, "Location: /second\r\n", ""},
    {"/file.txt", "application/octet-stream",
     "Content-Disposition: attachment; filename=\"file.txt\"\r\n", "the file\n"},
    {"/api", "application/json", "Access-Control-Allow-Origin: *\r\n", "{\"ok\":true}"},
    {"/style.css", "text/css", NULL, "h1{color:rgb(1,2,3)}"},
    {"/styled", NULL, NULL,
     "<!doctype html><title>Styled</title><link rel=stylesheet href=/style.css><h1>x</h1>"},
    {"/robots.txt", "text/plain", NULL, "User-agent: *\nAllow: /\n"},
    {"/form", NULL, NULL,
     "<!doctype html><title>Form</title><form action=/second><input name=q id=q><button "
     "id=go>go</button></form>"},
    {"/shadow", NULL, NULL,
     "<!doctype html><title>Shadow</title><div "
     "id=host></div><script>document.getElementById('host')"
     ".attachShadow({mode:'open'}).innerHTML='<button id=sb>deep</button>'</script>"},
    {"/tall", NULL, NULL,
     "<!doctype html><title>Tall</title><div style='height:3000px'>tall</div><p id=end>end</p>"},
};

static void dynamic(const struct httpd_request *q, struct httpd_reply *a)
{
    static _Thread_local char body[4096];
    char ua[512], cookie[512], language[256], hints[512];

    if (strncmp(q->path, "/headers", 8) == 0) {
        httpd_header(q, "user-agent", ua, sizeof ua);
        httpd_header(q, "accept-language", language, sizeof language);
        httpd_header(q, "sec-ch-ua-platform", hints, sizeof hints);
        snprintf(body, sizeof body,
                 "<!doctype html><title>Headers</title><pre id=ua>%s</pre><pre "
                 "id=lang>%s</pre><pre id=platform>%s</pre>",
                 ua, language, hints);
    } else if (strncmp(q->path, "/cookies", 8) == 0) {
        snprintf(body, sizeof body, "<!doctype html><title>Cookies</title><pre id=c>%s</pre>",
                 httpd_header(q, "cookie", cookie, sizeof cookie));
    } else if (strncmp(q->path, "/n/", 3) == 0) {
        snprintf(body, sizeof body, "<!doctype html><title>%s</title><h1>%s</h1>", q->path,
                 q->path);
    } else {
        a->status = 404;
        snprintf(body, sizeof body, "<!doctype html><title>404</title>");
    }
    a->body = body;
}

static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    size_t n = strcspn(q->path, "?");

    (void)arg;
    a->status = 200;
    if (strstr(q->path, ".js") == NULL && strstr(q->path, ".css") == NULL &&
        strcmp(q->path, "/api") != 0 && strcmp(q->path, "/favicon.ico") != 0)
        atomic_fetch_add(&documents, 1);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (strlen(pages[i].path) != n || strncmp(pages[i].path, q->path, n) != 0)
            continue;
        a->type = pages[i].type;
        a->headers = pages[i].headers;
        a->body = pages[i].body;
        if (strcmp(pages[i].path, "/redirect") == 0)
            a->status = 302;
        return;
    }
    dynamic(q, a);
}

struct httpd *gateway_site_start(void)
{
    atomic_store(&documents, 0);
    return httpd_start(NULL, 0, answer, NULL);
}

unsigned gateway_site_documents(const struct httpd *h)
{
    (void)h;
    return atomic_load(&documents);
}
