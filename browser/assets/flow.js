/* What a flow does inside a document. Runs in Fleet's isolated world, installed once a document
 * by browser/page/query.c, which calls run(spec, ...handles). One call waits, acts and answers,
 * so that a step costs one round trip. Selectors are Chrome DevTools Recorder's; what an element
 * must be before it is acted on is Puppeteer's rule: visible, at rest for two frames, enabled,
 * in view; and it must be what a pointer meets at its point. */
(() => {
    'use strict';

    /* --- text of elements, for people --- */

    const cut = (s, n) => (s.length > n ? s.slice(0, n - 1) + '…' : s);
    const squeeze = (s) => s.replace(/\s+/g, ' ').trim();

    /* Not instanceof: nodes of frames have other constructors. */
    const isElement = (n) => !!n && n.nodeType === 1;
    const isShadow = (n) => !!n && n.nodeType === 11 && !!n.host;
    const viewOf = (el) => el.ownerDocument.defaultView || window;
    const styleOf = (el) => viewOf(el).getComputedStyle(el);

    function describe(el) {
        if (!isElement(el)) return el ? el.nodeName.toLowerCase() : 'nothing';
        let s = '<' + el.localName;
        if (el.id) s += ' id=' + cut(el.id, 40);
        const cls = squeeze(el.getAttribute('class') || '');
        if (cls) s += ' class="' + cut(cls, 40) + '"';
        return s + '>';
    }

    /* --- the tree as it is shown: through shadow roots and frames of the same process --- */

    const shadowOf = (el) => (isElement(el) ? el.shadowRoot : null);
    const isFrame = (el) => el.localName === 'iframe' || el.localName === 'frame';

    function insideOf(el) {
        if (shadowOf(el)) return el.shadowRoot;
        if (isElement(el) && isFrame(el)) {
            try {
                return el.contentDocument || el;
            } catch {
                return el;
            }
        }
        return el;
    }

    const parentOf = (n) => n.assignedSlot || n.parentNode || (isShadow(n) ? n.host : null);

    function isWithin(n, el) {
        for (; n; n = parentOf(n)) if (n === el) return true;
        return false;
    }

    /* --- selectors --- */

    const VALUELESS = new Set(['checkbox', 'image', 'radio']);

    const isTextless = (el) =>
        el.localName === 'script' ||
        el.localName === 'style' ||
        (el.ownerDocument.head || {}) === el;

    function hasValue(el) {
        return (
            el.localName === 'select' ||
            el.localName === 'textarea' ||
            (el.localName === 'input' && !VALUELESS.has(el.type))
        );
    }

    /* The text of an element and all below it, open shadow roots included; cached for one
     * search. */
    function textOf(root, cache) {
        let t = cache.get(root);
        if (t !== undefined) return t;
        t = '';
        if (isElement(root) && hasValue(root)) {
            t = String(root.value);
        } else if (!isElement(root) || !isTextless(root)) {
            for (let c = root.firstChild; c; c = c.nextSibling) {
                if (c.nodeType === 3) t += c.data;
                else if (c.nodeType === 1) t += textOf(c, cache);
            }
            if (shadowOf(root)) t += textOf(root.shadowRoot, cache);
        }
        cache.set(root, t);
        return t;
    }

    /* The deepest elements that hold the text, also of those that are slotted into a component. */
    function byText(root, text, cache, out) {
        if (!textOf(root, cache).includes(text) && !shadowOf(root)) return false;
        let found = false;
        const within = (r) => {
            for (const c of r.children || [])
                if (!isTextless(c) && byText(c, text, cache, out)) found = true;
        };
        within(root);
        if (shadowOf(root)) within(root.shadowRoot);
        if (found) return true;
        if (!isElement(root) || isTextless(root) || !textOf(root, cache).includes(text))
            return false;
        out.push(root);
        return true;
    }

    function byPierce(root, css, out) {
        if (root.nodeType === 9) root = root.documentElement;
        const walk = (r) => {
            for (const el of r.querySelectorAll('*')) {
                if (el.matches(css)) out.push(el);
                if (el.shadowRoot) walk(el.shadowRoot);
            }
        };
        if (!root) return;
        if (isElement(root) && root === root.ownerDocument.documentElement && root.matches(css))
            out.push(root);
        if (shadowOf(root)) walk(root.shadowRoot);
        walk(root);
    }

    function evaluateXPath(expr, context, out) {
        const doc = context.ownerDocument || context;
        const it = doc.evaluate(expr, context, null, 4);
        for (let n = it.iterateNext(); n; n = it.iterateNext()) out.push(n);
    }

    /* A shadow root is no context for XPath: its children are. */
    function byXPath(root, expr, out) {
        if (!isShadow(root)) {
            evaluateXPath(expr, root, out);
            return;
        }
        const rest = expr.startsWith('//') ? expr.slice(2) : null;
        for (const c of root.children) {
            if (rest !== null) evaluateXPath('self::' + rest, c, out);
            evaluateXPath(rest !== null ? './/' + rest : expr, c, out);
        }
    }

    function queryPart(root, part) {
        const out = [];
        if (part.startsWith('xpath/')) byXPath(root, part.slice(6), out);
        else if (part.startsWith('text/')) byText(root, part.slice(5), new Map(), out);
        else if (part.startsWith('pierce/')) byPierce(root, part.slice(7), out);
        else if (root.querySelectorAll) out.push(...root.querySelectorAll(part));
        return out
            .map((n) => (n.nodeType === 3 ? n.parentElement : n))
            .filter((n) => n && n.nodeType === 1);
    }

    const isAria = (part) => part.startsWith('aria/');

    /* Elements of the chain parts[from..] within `roots`; an aria/ part stops it: `at` says
     * which. */
    function walk(parts, from, roots) {
        let els = roots;
        for (let i = from; i < parts.length; i++) {
            if (isAria(parts[i])) return { at: i, els };
            els = [...new Set(els.flatMap((r) => queryPart(r, parts[i])))];
            if (i + 1 < parts.length) els = els.map(insideOf);
        }
        return { at: parts.length, els };
    }

    /* Where aria/ parts of a chain were to be looked for, by alternative. The accessibility tree
     * is always searched from a document: custom elements and shadow roots need not be in it. */
    const scopes = new Map();

    function scopeOf(spec, k, part) {
        if (part <= 0) return null;
        const before = spec.sel[k].slice(0, part);
        return before.some(isAria) ? scopes.get(k) : walk(before, 0, [document]).els.map(insideOf);
    }

    /* Elements of the k-th alternative; for one with an aria/ part spec.got says what the
     * accessibility tree gave: [alternative, index of its next part, elements]. */
    function elementsOf(spec, k) {
        const parts = spec.sel[k];
        const got = spec.got && spec.got.find((g) => g[0] === k);
        if (got) {
            const scope = scopeOf(spec, k, got[1] - 1);
            const live = got[2].filter(
                (e) => e.isConnected && (!scope || scope.some((s) => isWithin(e, s))),
            );
            return walk(parts, got[1], got[1] >= parts.length ? live : live.map(insideOf)).els;
        }
        if (parts.some(isAria)) return [];
        return walk(parts, 0, [document]).els;
    }

    /* A frame on the way of a chain that this script cannot look into, in words; null: none. */
    function foreignIn(spec, k) {
        const parts = spec.sel[k];
        for (let n = 1; n < parts.length && !isAria(parts[n - 1]); n++) {
            const el = walk(parts.slice(0, n), 0, [document]).els.find(
                (e) => isFrame(e) && insideOf(e) === e,
            );
            if (el) return describe(el) + ' is of another origin: "frame_url" leads into it';
        }
        return null;
    }

    /* --- what an element is like --- */

    const firstRect = (list) => [...list].find((r) => r.width > 0 && r.height > 0) || null;

    /* The first box with an area; of an element that has none of its own (display: contents,
     * only floats within), that of what is in it. */
    function boxOf(el) {
        const own = firstRect(el.getClientRects());
        if (own || styleOf(el).display === 'none') return own;
        if (el.localName === 'area' || styleOf(el).display === 'contents') {
            const range = el.ownerDocument.createRange();
            range.selectNodeContents(el);
            return firstRect(range.getClientRects());
        }
        for (const c of [...el.children].slice(0, 20)) {
            const r = firstRect(c.getClientRects());
            if (r) return r;
        }
        return null;
    }

    function hiddenBecause(el) {
        const style = styleOf(el);
        if (style.visibility !== 'visible') return 'visibility: ' + style.visibility;
        if (boxOf(el)) return null;
        for (let n = el; n; n = parentOf(n))
            if (isElement(n) && styleOf(n).display === 'none')
                return 'display: none' + (n === el ? '' : ' of ' + describe(n));
        return 'without a box';
    }

    const isDisabled = (el) => el.matches(':disabled');

    /* The part of a box that its own frame shows. */
    function clipped(r, view) {
        const x0 = Math.max(r.left, 0),
            y0 = Math.max(r.top, 0);
        const x1 = Math.min(r.right, view.innerWidth),
            y1 = Math.min(r.bottom, view.innerHeight);
        return x1 - x0 >= 1 && y1 - y0 >= 1
            ? { left: x0, top: y0, width: x1 - x0, height: y1 - y0 }
            : null;
    }

    const isInView = (p, view) =>
        p.x >= 0 && p.y >= 0 && p.x < view.innerWidth && p.y < view.innerHeight;

    /* Where to click, best first, in the viewport of the element's own frame. */
    function pointsOf(el, spec) {
        const r = boxOf(el);
        const view = viewOf(el);
        const c = clipped(r, view) || r;
        const points = [{ x: c.left + c.width / 2, y: c.top + c.height / 2 }];
        if (spec.ox >= 0 && spec.oy >= 0 && spec.ox <= r.width && spec.oy <= r.height)
            points.unshift({ x: r.left + spec.ox, y: r.top + spec.oy });
        return points.filter((p) => isInView(p, view));
    }

    function hitAt(p, doc) {
        let e = doc.elementFromPoint(p.x, p.y);
        while (e && e.shadowRoot) {
            const inner = e.shadowRoot.elementFromPoint(p.x, p.y);
            if (!inner || inner === e) break;
            e = inner;
        }
        return e;
    }

    /* Does a box around `el` cut it off at the point? What is there is then the page behind. */
    function isCutOff(el, p) {
        for (let n = parentOf(el); n; n = parentOf(n)) {
            if (!isElement(n) || n === n.ownerDocument.body) continue;
            const style = styleOf(n);
            if (style.overflowX === 'visible' && style.overflowY === 'visible') continue;
            const r = n.getBoundingClientRect();
            if (p.x < r.left || p.y < r.top || p.x >= r.right || p.y >= r.bottom)
                return n !== n.ownerDocument.documentElement;
        }
        return false;
    }

    /* Would a click on `hit` be one on `el`? Also when the pointer goes through `el` to what it
     * lies in (pointer-events, rounded corners, lines of text with a gap), or to its label. */
    function isHit(hit, el, p) {
        if (!hit) return false;
        if (isWithin(hit, el)) return true;
        if (isWithin(el, hit) && hit !== hit.ownerDocument.documentElement)
            return !isCutOff(el, p);
        const label = hit.closest && hit.closest('label');
        if (label && label.control === el) return true;
        if (el.localName === 'label' && el.control && isWithin(hit, el.control)) return true;
        if (el.localName === 'area' && hit.localName === 'img') return true;
        const own = el.closest('a,button,label,summary,[role=button]');
        return !!own && isWithin(hit, own);
    }

    /* What lies over `el` at the point of its frame: null when nothing does, also not over the
     * frames around it; `at` becomes the point in this document's viewport. */
    function coverOf(el, p, at) {
        const hit = hitAt(p, el.ownerDocument);
        at.x = p.x;
        at.y = p.y;
        if (!isHit(hit, el, p)) return describe(hit);
        for (let view = viewOf(el); view !== window; view = view.parent) {
            const owner = view.frameElement;
            const r = owner.getBoundingClientRect();
            const style = styleOf(owner);
            at.x += r.left + owner.clientLeft + parseFloat(style.paddingLeft);
            at.y += r.top + owner.clientTop + parseFloat(style.paddingTop);
            const outer = hitAt(at, owner.ownerDocument);
            if (outer !== owner) return describe(outer);
        }
        return null;
    }

    /* --- waiting --- */

    const frame = () =>
        new Promise((done) => {
            const id = requestAnimationFrame(() => done());
            setTimeout(() => {
                cancelAnimationFrame(id);
                done();
            }, 80);
        });
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));

    /* Asks look() until its answer is final or `ms` are over; the last answer. */
    async function poll(ms, look) {
        const end = performance.now() + ms;
        for (let round = 0; ; round++) {
            const r = look();
            const left = end - performance.now();
            if (r.ok || r.final || left <= 0) return r;
            if (r.soon) await frame();
            else await pause(Math.min(left, round < 10 ? 20 : 100));
        }
    }

    /* --- finding the one element to act on --- */

    const same = (a, b) =>
        a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;

    class Finder {
        constructor(spec) {
            this.spec = spec;
            this.seen = new WeakMap(); /* element -> { rect, frames at rest ... } */
        }

        stateOf(el) {
            let s = this.seen.get(el);
            if (!s)
                this.seen.set(
                    el,
                    (s = { rect: null, rest: 0, moves: 0, scrolled: 0, point: null, cover: null }),
                );
            return s;
        }

        /* Moves it into view; each time to another place, out from under bars at the top or
         * bottom, and at last to the middle. */
        scroll(el, s) {
            const places = [
                ['center', 0],
                ['start', 0.25],
                ['start', 0.7],
                ['end', 0],
                ['start', 0],
                ['center', 0],
            ];
            if (s.scrolled >= places.length) return;
            const [block, share] = places[s.scrolled++];
            el.scrollIntoView({ block, inline: 'center', behavior: 'instant' });
            if (share > 0) scrollBy({ top: -innerHeight * share, behavior: 'instant' });
            s.rest = s.moves = 0;
            s.rect = null;
        }

        isAtRest(el, s) {
            const r = el.getBoundingClientRect();
            if (s.rect && same(r, s.rect)) s.rest++;
            else ((s.rest = 0), s.moves++);
            s.rect = r;
            return s.rest >= 2;
        }

        /* null: ready, with s.point; otherwise the reason. */
        fault(el) {
            const need = this.spec.need;
            if (need === 'any') return null;
            const s = this.stateOf(el);
            const hidden = hiddenBecause(el);
            if (hidden) {
                s.rest = 0;
                return 'not visible (' + hidden + ')';
            }
            if (need === 'box') return null;
            if (window !== window.top && !s.shown) {
                el.scrollIntoViewIfNeeded(true); /* scrolls the frames around this one as well */
                s.shown = true;
            }
            if (pointsOf(el, this.spec).length === 0) this.scroll(el, s);
            const points = pointsOf(el, this.spec);
            if (!this.isAtRest(el, s)) return s.moves > 3 ? 'moving' : s.cover || 'not at rest';
            if ((need === 'click' || need === 'fill') && isDisabled(el)) return 'disabled';
            if (points.length === 0) return 'outside of the viewport';
            if (need === 'fill' || need === 'scroll') return null;
            const at = { x: 0, y: 0 };
            s.cover = null;
            for (const p of points) {
                const over = coverOf(el, p, at);
                if (over === null) {
                    s.point = at;
                    return null;
                }
                s.cover = s.cover || 'covered by ' + over;
            }
            this.scroll(el, s);
            return s.cover;
        }

        /* One round over all alternatives, in order: the first element that is ready. */
        look() {
            const why = [];
            let soon = false;
            for (let k = 0; k < this.spec.sel.length; k++) {
                let els;
                try {
                    els = elementsOf(this.spec, k);
                } catch (e) {
                    why.push({ k, n: 0, why: String(e.message || e), bad: true });
                    continue;
                }
                const r = this.among(els);
                if (r.el) return { ok: true, k, el: r.el, n: els.length };
                if (r.near) soon = true;
                why.push({ k, n: els.length, why: (!els.length && foreignIn(this.spec, k)) || r.why });
            }
            return { ok: false, soon, final: why.length > 0 && why.every((w) => w.bad), why };
        }

        /* The first that is shown is meant, unless another of them is ready before it. */
        among(els) {
            let first = null;
            let hidden = null;
            for (const el of els.slice(0, 200)) {
                const why = this.fault(el);
                if (why === null) return { el };
                if (why.startsWith('not visible')) hidden = hidden || why;
                else {
                    first = why;
                    break;
                }
            }
            if (first) return { near: /^(not at rest|moving|covered)/.test(first), why: first };
            if (els.length === 0) return { why: 'none' };
            return {
                why: els.length > 1 ? 'none visible, the first is ' + hidden.slice(4) : hidden,
            };
        }
    }

    let held = null; /* the element of the last find, for what follows on it */

    function answerOf(el, r, finder) {
        const p = finder.stateOf(el).point;
        return {
            ok: true,
            k: r.k,
            what: describe(el),
            x: p ? p.x : 0,
            y: p ? p.y : 0,
            w: innerWidth,
            h: innerHeight,
        };
    }

    /* Changes of the page's content since a find with spec.watch. */
    let watch = null;

    function startWatch() {
        const w = { changes: 0, at: 0 };
        w.observer = new MutationObserver((list) => {
            w.changes += list.length;
            w.at = performance.now();
        });
        w.observer.observe(document, { subtree: true, childList: true, characterData: true });
        if (watch) watch.observer.disconnect();
        watch = w;
    }

    /* Until the content has changed and come to rest, or the time is over. */
    async function rested(spec) {
        const w = watch;
        if (!w) return { ok: true };
        const end = performance.now() + spec.most;
        while (performance.now() < end && !(w.changes > 0 && performance.now() - w.at > spec.quiet))
            await pause(25);
        w.observer.disconnect();
        watch = null;
        return { ok: true, changes: w.changes };
    }

    async function find(spec) {
        const finder = new Finder(spec);
        const r = await poll(spec.ms, () => finder.look());
        if (!r.ok)
            return {
                ok: false,
                why: r.why.map(({ k, n, why, bad }) => ({ k, n, why, bad })),
                final: r.final,
            };
        held = r.el;
        if (spec.watch) startWatch();
        const answer = answerOf(r.el, r, finder);
        if (spec.act) Object.assign(answer, await actions[spec.act](r.el, spec, finder));
        return answer;
    }

    /* --- acting --- */

    const fire = (el, ...types) => {
        for (const t of types)
            el.dispatchEvent(new Event(t, { bubbles: true, composed: t === 'input' }));
    };

    const TYPEABLE = new Set(['text', 'url', 'tel', 'search', 'password', 'number', 'email']);
    const CHECKABLE = new Set(['checkbox', 'radio']);

    function kindOf(el) {
        if (el.localName === 'select') return 'select';
        if (el.localName === 'textarea') return 'text';
        if (el.localName === 'input') {
            if (CHECKABLE.has(el.type)) return 'check';
            if (el.type === 'file') return 'file';
            return TYPEABLE.has(el.type) ? 'text' : 'value';
        }
        if (['checkbox', 'radio', 'switch'].includes(el.getAttribute('role'))) return 'check';
        return el.isContentEditable ? 'editable' : 'none';
    }

    /* A label stands for its control, and a host or wrapper for the only field in it. */
    function fieldOf(el) {
        if (kindOf(el) !== 'none') return el;
        if (el.localName === 'label' && el.control) return el.control;
        const found = [];
        byPierce(el, 'input:not([type=hidden]),textarea,select', found);
        return found.length === 1 ? found[0] : el;
    }

    function choose(el, value) {
        const options = [...el.options];
        const wanted =
            options.find((o) => o.value === value) ||
            options.find((o) => squeeze(o.label || o.text) === squeeze(value));
        if (!wanted) {
            const have = options
                .slice(0, 8)
                .map((o) => JSON.stringify(o.value))
                .join(', ');
            return {
                retry: true,
                why: 'no option ' + JSON.stringify(value) + ' among ' + (have || 'none'),
            };
        }
        el.focus();
        if (!el.multiple) el.selectedIndex = wanted.index;
        else for (const o of options) o.selected = o === wanted;
        fire(el, 'input', 'change');
        return { done: true };
    }

    function setValue(el, value) {
        el.focus();
        el.value = value;
        if (el.value !== value && value !== '')
            return {
                why:
                    'the ' +
                    (el.type || el.localName) +
                    ' field does not take ' +
                    JSON.stringify(value),
            };
        fire(el, 'input', 'change');
        return { done: true };
    }

    function caretToEnd(el) {
        try {
            el.setSelectionRange(el.value.length, el.value.length);
        } catch {
            const v = el.value; /* number and email fields have no selection */
            el.value = '';
            el.value = v;
        }
    }

    function select(el, toEnd) {
        const sel = el.ownerDocument.getSelection();
        const range = el.ownerDocument.createRange();
        range.selectNodeContents(el);
        if (toEnd) range.collapse(false);
        sel.removeAllRanges();
        sel.addRange(range);
    }

    /* What is to be typed so that the field has the value: the rest of it when it begins with
     * what is there, otherwise all of it over what is selected. */
    function typing(el, value) {
        const editable = kindOf(el) === 'editable';
        const now = editable ? el.innerText.replace(/\n$/, '') : el.value;
        el.focus();
        if (now === value) return { done: true };
        if (!editable && el.readOnly) return setValue(el, value);
        if (now !== '' && value.startsWith(now)) {
            if (editable) select(el, true);
            else caretToEnd(el);
            return { type: value.slice(now.length) };
        }
        if (now !== '') {
            if (editable) select(el, false);
            else el.select();
        }
        return { type: value, erase: value === '' };
    }

    function isChecked(el) {
        if (el.indeterminate || el.getAttribute('aria-checked') === 'mixed') return null;
        return el.checked === true || el.getAttribute('aria-checked') === 'true';
    }

    const OFF = new Set(['', 'false', 'off', '0', 'no', 'unchecked']);

    const actions = {
        async fill(outer, spec) {
            const el = fieldOf(outer);
            const kind = kindOf(el);
            held = el;
            if (kind === 'select') {
                const r = await poll(spec.ms, () => {
                    const c = choose(el, spec.value);
                    return c.done ? { ok: true } : { ok: false, why: c.why };
                });
                return r.ok ? { done: true } : { fault: r.why };
            }
            if (kind === 'check')
                return isChecked(el) === !OFF.has(spec.value.toLowerCase())
                    ? { done: true }
                    : { click: true };
            if (kind === 'file')
                return { fault: 'a file field takes no text, use a step "upload" with "files"' };
            if (kind === 'none')
                return { fault: describe(el) + ' is no field that can be filled in' };
            const r = kind === 'value' ? setValue(el, spec.value) : typing(el, spec.value);
            return r.why ? { fault: r.why } : r;
        },
        scroll(el, spec) {
            el.scrollTop = spec.y || 0;
            el.scrollLeft = spec.x || 0;
            return {};
        },
    };

    /* After text was inserted at once, without key events. */
    function changed() {
        if (held) fire(held, 'change');
        return { ok: true };
    }

    /* Where to click the element that fill found. */
    async function findHeld(spec) {
        const el = held;
        const shown = hiddenBecause(el) && el.labels && el.labels.length > 0 ? el.labels[0] : el;
        const finder = new Finder(Object.assign({}, spec, { sel: [[]], got: [[0, 0, [shown]]] }));
        const r = await poll(spec.ms, () => finder.look());
        held = el;
        return r.ok ? answerOf(shown, r, finder) : { ok: false, why: r.why };
    }

    /* --- waitForElement --- */

    const COMPARE = { '>=': (a, b) => a >= b, '==': (a, b) => a === b, '<=': (a, b) => a <= b };

    function isDeepMatch(want, have) {
        if (want === have) return true;
        if (want === null || typeof want !== 'object' || have === null || have === undefined)
            return false;
        if (typeof have !== 'object' && typeof have !== 'function') return false;
        return Object.keys(want).every((k) => isDeepMatch(want[k], have[k]));
    }

    function misfit(el, spec) {
        for (const [name, want] of Object.entries(spec.attributes || {})) {
            const have = el.getAttribute(name);
            if (have !== want)
                return (
                    'attribute ' +
                    name +
                    ' of ' +
                    describe(el) +
                    ' is ' +
                    (have === null ? 'absent' : JSON.stringify(cut(have, 60)))
                );
        }
        for (const [name, want] of Object.entries(spec.properties || {})) {
            if (!isDeepMatch(want, el[name])) {
                const have = el[name];
                const text =
                    have === null || typeof have !== 'object'
                        ? String(have)
                        : Object.prototype.toString.call(have);
                return 'property ' + name + ' of ' + describe(el) + ' is ' + cut(text, 60);
            }
        }
        if (spec.text !== undefined) {
            const have = textFor(el);
            if (!have.includes(squeeze(spec.text)))
                return 'the text of ' + describe(el) + ' is ' + JSON.stringify(cut(have, 80));
        }
        return null;
    }

    const textFor = (el) =>
        squeeze(
            hasValue(el)
                ? String(el.value)
                : el.innerText !== undefined
                  ? el.innerText
                  : el.textContent || '',
        );

    function lookCount(spec) {
        let els = [];
        let bad = [];
        let last = 0;
        for (let k = 0; k < spec.sel.length && els.length === 0; k++) {
            last = k;
            try {
                els = elementsOf(spec, k);
                if (spec.shown) els = els.filter((e) => !hiddenBecause(e));
            } catch (e) {
                bad.push({ k, n: 0, why: String(e.message || e), bad: true });
            }
        }
        if (bad.length === spec.sel.length && bad.length > 0)
            return { ok: false, final: true, why: bad };
        const found = (expected) => [
            { k: last, n: 0, why: els.length + ' found, expected ' + expected },
        ];
        const counted = COMPARE[spec.operator](els.length, spec.count);
        let why = counted ? null : found(spec.operator + ' ' + spec.count);
        if (counted && spec.any) {
            const faults = els.map((e) => misfit(e, spec));
            if (els.length > 0 && faults.every((f) => f)) why = faults[0];
        } else if (counted) {
            for (const el of els) if ((why = misfit(el, spec))) break;
        }
        return {
            ok: (why === null) === spec.visible,
            n: els.length,
            why: why || found('this not to hold (visible: false)'),
        };
    }

    const count = (spec) => poll(spec.ms, () => lookCount(spec));

    /* --- extract --- */

    const NUMBER =
        /[-+−]?(?:\d{1,3}(?:[ \u00a0\u202f'’.,]\d{3})+(?!\d)|\d+)(?:[.,]\d+)?(?:[eE][-+]?\d+)?/;

    /* The first number in a text. The last of "." and "," is the decimal point, unless it is one
     * of several of its kind or stands before exactly three digits as a separator of thousands
     * would. */
    function numberIn(text) {
        const m = NUMBER.exec(text);
        if (!m) return undefined;
        let s = m[0].replace(/−/g, '-').replace(/[ \u00a0\u202f'’]/g, '');
        const dots = (s.match(/\./g) || []).length;
        const commas = (s.match(/,/g) || []).length;
        if (dots && commas) {
            const last = s.lastIndexOf('.') > s.lastIndexOf(',') ? '.' : ',';
            s = s
                .split(last === '.' ? ',' : '.')
                .join('')
                .replace(',', '.');
        } else if (commas > 1) s = s.split(',').join('');
        else if (dots > 1) s = s.split('.').join('');
        else if (commas === 1)
            s = /^[-+]?[1-9]\d{0,2},\d{3}$/.test(s) ? s.replace(',', '') : s.replace(',', '.');
        const v = Number(s);
        return Number.isFinite(v) ? v : undefined;
    }

    const TRUE = new Set(['true', 'yes', 'on', '1', 'checked', 'y']);
    const FALSE = new Set(['', 'false', 'no', 'off', '0', 'unchecked', 'n', 'null', 'undefined']);

    function booleanOf(raw) {
        if (typeof raw === 'boolean') return raw;
        const s = squeeze(String(raw)).toLowerCase();
        return TRUE.has(s) ? true : FALSE.has(s) ? false : undefined;
    }

    function dateOf(text) {
        const s = squeeze(text);
        if (/^\d{4}-\d{2}-\d{2}$/.test(s)) return s;
        const t = Date.parse(s);
        if (Number.isNaN(t)) return undefined;
        if (/\d:\d/.test(s)) return new Date(t).toISOString();
        const d = new Date(t),
            two = (n) => String(n).padStart(2, '0');
        return d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate());
    }

    const CONVERT = {
        text: (raw) => squeeze(String(raw)),
        raw: (raw) => String(raw),
        html: (raw) => String(raw),
        number: (raw) => (typeof raw === 'number' ? raw : numberIn(String(raw))),
        integer: (raw) => {
            const v = typeof raw === 'number' ? raw : numberIn(String(raw));
            return v === undefined || !Number.isInteger(v) ? undefined : v;
        },
        boolean: booleanOf,
        url: (raw) => {
            try {
                return new URL(String(raw).trim(), document.baseURI).href;
            } catch {
                return undefined;
            }
        },
        json: (raw) => {
            if (typeof raw === 'object') return raw;
            try {
                return JSON.parse(String(raw));
            } catch {
                return undefined;
            }
        },
        date: (raw) => dateOf(String(raw)),
    };

    const LINKS = ['href', 'src', 'action', 'data'];

    function rawOf(el, f) {
        if (!(el instanceof Element)) return el.nodeValue;
        if (f.attribute !== undefined) return el.getAttribute(f.attribute);
        if (f.property !== undefined)
            return f.property
                .split('.')
                .reduce((o, k) => (o === null || o === undefined ? o : o[k]), el);
        if (f.type === 'html') return el.innerHTML;
        if (f.type === 'url') {
            const name = LINKS.find((a) => el.hasAttribute(a));
            return name ? el.getAttribute(name) : el.textContent;
        }
        if (f.type === 'boolean' && el.localName === 'input' && CHECKABLE.has(el.type))
            return el.checked;
        if (f.type === 'date' && el.hasAttribute('datetime')) return el.getAttribute('datetime');
        if (el.localName === 'meta') return el.getAttribute('content');
        if (hasValue(el)) return el.value;
        if (f.type === 'json' || el.innerText === undefined) return el.textContent;
        return el.innerText;
    }

    /* All nodes of a field within a record: an empty selector is the record itself. */
    function nodesOf(root, parts) {
        if (parts.length === 0 || (parts.length === 1 && parts[0] === '')) return [root];
        if (parts[0].startsWith('xpath/') && parts.length === 1) {
            const out = [];
            let expr = parts[0].slice(6);
            if (root !== document && expr.startsWith('//')) expr = '.' + expr;
            byXPath(root, expr, out);
            return out;
        }
        const from = shadowOf(root) ? root.shadowRoot : root;
        return walk(parts, 0, [from]).els;
    }

    /* { v } or { why }. */
    function valueOf(node, f) {
        let raw = rawOf(node, f);
        if (raw === null || raw === undefined) {
            if (f.type === 'boolean') return { v: false };
            return {
                why:
                    f.attribute !== undefined
                        ? 'no attribute ' + f.attribute
                        : 'nothing in property ' + f.property,
            };
        }
        if (node.nodeType !== 1 && node.nodeType !== undefined && f.type === 'text')
            raw = String(raw);
        if (f.type === 'boolean' && f.attribute !== undefined && raw === '') return { v: true };
        const v = CONVERT[f.type](raw);
        return v === undefined
            ? { why: JSON.stringify(cut(squeeze(String(raw)), 60)) + ' is no ' + f.type }
            : { v };
    }

    function fieldValue(root, f) {
        let nodes = [];
        for (const parts of f.sel) {
            nodes = nodesOf(root, parts);
            if (nodes.length > 0) break;
        }
        if (f.many) {
            const out = [];
            for (const n of nodes) {
                const r = valueOf(n, f);
                if (r.why === undefined) out.push(r.v);
                else if (f.required) return r;
            }
            return out.length === 0 && f.required ? { why: 'no element' } : { v: out };
        }
        if (nodes.length === 0) return { why: 'no element' };
        return valueOf(nodes[0], f);
    }

    function recordOf(root, fields, faults, label) {
        const rec = {};
        for (const f of fields) {
            if (f.fields) {
                const nested = nodesOf(root, f.sel[0]).map((n, i) =>
                    recordOf(n, f.fields, faults, label + f.name + (f.many ? '[' + i + '].' : '.')),
                );
                if (!f.many && nested.length === 0 && f.required)
                    faults.push({ field: label + f.name, why: 'no element' });
                rec[f.name] = f.many ? nested : nested.length > 0 ? nested[0] : null;
                continue;
            }
            const r = fieldValue(root, f);
            if (r.why === undefined) rec[f.name] = r.v;
            else if (f.default !== undefined) rec[f.name] = f.default;
            else if (f.required) faults.push({ field: label + f.name, why: r.why });
            else rec[f.name] = null;
        }
        return rec;
    }

    function rootsOf(spec, bad) {
        for (let k = 0; k < spec.sel.length; k++) {
            try {
                const els = elementsOf(spec, k);
                if (els.length > 0) return els;
            } catch (e) {
                bad.push({ k, n: 0, why: String(e.message || e), bad: true });
            }
        }
        return [];
    }

    const isEmpty = (v) =>
        v === null ||
        v === undefined ||
        (Array.isArray(v)
            ? v.length === 0
            : typeof v === 'object' && Object.values(v).every(isEmpty));

    const lacks = (spec, n, why) => ({
        ok: false,
        why: spec.sel.length > 0 ? spec.sel.map((_, k) => ({ k, n, why })) : why,
    });

    function lookExtract(spec) {
        const bad = [];
        const roots = spec.sel.length > 0 ? rootsOf(spec, bad) : [document];
        if (bad.length > 0 && bad.length === spec.sel.length)
            return { ok: false, final: true, why: bad };
        if (roots.length < spec.min)
            return lacks(
                spec,
                roots.length,
                roots.length === 0 ? 'none' : 'at least ' + spec.min + ' expected',
            );
        const faults = [];
        const take = roots.slice(0, spec.list ? spec.max : 1);
        const records = take.map((r, i) => {
            const label = spec.list ? '[' + i + '].' : '';
            if (spec.fields.length > 0) return recordOf(r, spec.fields, faults, label);
            const v = valueOf(r, spec);
            if (v.why !== undefined && spec.min > 0)
                faults.push({ field: label || 'value', why: v.why });
            return v.why === undefined ? v.v : null;
        });
        if (faults.length > 0) return { ok: false, faults: faults.slice(0, 5) };
        if (spec.min > 0 && records.every(isEmpty))
            /* the page is not done yet */
            return lacks(
                spec,
                roots.length,
                'no field has a value: ' + spec.fields.map((f) => f.name).join(', '),
            );
        return { ok: true, data: spec.list ? records : records.length > 0 ? records[0] : null };
    }

    const extract = (spec) => poll(spec.ms, () => lookExtract(spec));

    /* --- the door --- */

    /* For aria/ parts: the documents in which the accessibility tree is to be searched. */
    let roots = [];
    function ariaRoots(spec) {
        const parts = spec.sel[spec.k];
        const got = spec.got && spec.got.find((g) => g[0] === spec.k);
        const r = got ? walk(parts, got[1], got[2].map(insideOf)) : walk(parts, 0, [document]);
        const els = r.els.map(insideOf);
        scopes.set(spec.k, els);
        roots = [...new Set(els.map((n) => (n.nodeType === 9 ? n : n.ownerDocument)))].slice(0, 50);
        return { ok: true, n: roots.length, at: r.at };
    }

    const doors = {
        find,
        held: findHeld,
        count,
        extract,
        changed,
        ariaRoots,
        rested,
        scrollWindow: (spec) => (
            window.scroll({ left: spec.x || 0, top: spec.y || 0, behavior: 'instant' }),
            { ok: true }
        ),
        size: () => ({ ok: true, w: innerWidth, h: innerHeight }),
    };

    return {
        run(spec, ...handles) {
            let at = 0;
            if (spec.got)
                for (const g of spec.got)
                    ((g[2] = handles.slice(at, at + g[2])), (at += g[2].length));
            return doors[spec.do](spec);
        },
        root: (i) => roots[i],
        element: () => held,
    };
})();
