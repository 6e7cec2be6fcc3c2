/* Looking for a block page or CAPTCHA: one evaluation in the page, and the table of core/op/block.
 * Done when a navigation has arrived, and when a step fails: a CAPTCHA may have come meanwhile. */
#include "browser/page/page_internal.h"

#include "core/op/block.h"

enum { LOOK_MS = 2000, LOOK_FRAMES_MAX = 50 };

/* Text nodes are walked up to 4 KiB instead of asking for innerText, which would lay out the whole
 * page. Of frames and of what the table's selectors find only what is shown counts: widgets are
 * held ready out of sight on many ordinary pages. */
static const char look_function[] =
    "(function(S){var d=document,x='',n,w,f=[],c=[],m=[],e,i,s=0;"
    "function v(e){var r=e.getBoundingClientRect();"
    "return r.width>1&&r.height>1&&r.bottom+scrollY>0&&r.right+scrollX>0&&"
    "e.checkVisibility({opacityProperty:true,visibilityProperty:true})}"
    "try{w=d.createTreeWalker(d.body||d.documentElement,4,{acceptNode:function(n){"
    "return /^(SCRIPT|STYLE|NOSCRIPT|TEMPLATE)$/.test(n.parentNode.nodeName)?2:1}});"
    "while(x.length<4096&&(n=w.nextNode()))if(n.data.trim())x+=n.data+' ';"
    "e=d.querySelectorAll('script[src]');for(i=0;i<e.length&&i<100;i++)c.push(e[i].src);"
    "e=d.querySelectorAll('iframe[src],frame[src]');"
    "for(i=0;i<e.length&&i<50;i++)if(v(e[i]))f.push(e[i].src);"
    "for(i=0;i<S.length;i++)try{e=d.querySelectorAll(S[i]);"
    "if([].slice.call(e,0,20).some(v))m.push(S[i])}catch(_){}"
    "s=performance.getEntriesByType('navigation')[0].responseStatus||0}catch(_){}"
    "return{t:d.title,r:d.readyState,x:x.slice(0,4096),f:f.join('\\n'),c:c.join('\\n'),m:m.join('"
    "\\n'),s:s}})(";

static const struct block_conf *conf_of(const struct page *p)
{
    struct gate *g = p->targets->opts.gate;

    return g != NULL ? gate_deps(g)->captcha : NULL;
}

void look_expression(const struct page *p, struct buf *out)
{
    buf_adds(out, look_function);
    block_selectors(conf_of(p), out);
    buf_addc(out, ')');
}

/* Of the page's own frames: DevTools tells of those in closed shadow roots as well. */
static void add_inner(const struct page *p, struct buf *out)
{
    struct frame *f = p->main;

    for (uint32_t i = 0; f != NULL && i < LOOK_FRAMES_MAX; i++) {
        struct frame *c = frame_child(f, i);

        if (c == NULL)
            return;
        buf_addf(out, "%s%s", i > 0 ? "\n" : "", c->url != NULL ? c->url : "");
    }
}

static struct str member(const struct json *v, const char *name)
{
    return str_from(json_str(json_get(v, name), ""));
}

const char *look_judge(const struct page *p, const struct json *v, int http_status)
{
    struct buf inner = BUF_INIT(BUF_MAX_FILE);
    struct block_page page = {
        .url = str_from(p->main != NULL && p->main->url != NULL ? p->main->url : ""),
        .title = member(v, "t"),
        .text = member(v, "x"),
        .frames = member(v, "f"),
        .scripts = member(v, "c"),
        .matched = member(v, "m"),
        .http_status = http_status != 0 ? http_status : (int)json_int(json_get(v, "s"), 0),
    };
    const char *name;

    add_inner(p, &inner);
    page.inner = buf_str(&inner);
    name = block_match(conf_of(p), &page);
    buf_deinit(&inner);
    return name;
}

/* --- by itself --- */

struct looking {
    struct page *page; /* referenced */
    page_look_fn *fn;
    void *arg;
};

static void looked(void *arg, enum status s, const struct json *value, const char *handle,
                   const struct err *e)
{
    struct looking *l = arg;

    (void)handle;
    (void)e;
    l->fn(l->arg, s, s == STATUS_OK ? look_judge(l->page, value, 0) : NULL);
    page_unref(l->page);
    free(l);
}

void page_look(struct page *p, page_look_fn *fn, void *arg)
{
    struct looking *l = xcalloc(1, sizeof *l);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct page_eval ev = {.world = PAGE_WORLD_MAIN,
                           .deadline_ms = loop_now_ms(p->targets->loop) + LOOK_MS};

    *l = (struct looking){p, fn, arg};
    page_ref(p);
    look_expression(p, &b);
    ev.source = buf_str(&b);
    (void)page_evaluate(p, NULL, &ev, looked, l);
    buf_deinit(&b);
}
