// One peer does one campaign and prints what it measured as one line of JSON. Started by pages.mjs, which takes CPU and memory from outside.
//
//   node peer.mjs PEER MODE BINARY TASKS IN_FLIGHT URL...
//
// PEER: puppeteer | cluster | playwright | raw | held (raw, each document held until it is let go)   MODE: fresh (a browser context per task) | kept (a page per worker) | first (one page, then the end)
// A task visits the article, waits for load, and takes title, five links and the length of the text.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { raw } from './raw.mjs';

const require = createRequire(resolve(process.env.FLEET_NPM) + '/');
const [peer, mode, executablePath, tasksText, inFlightText, ...urls] = process.argv.slice(2);
const tasks = Number(tasksText);
const inFlight = Number(inFlightText);
const args = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
if (process.getuid() === 0)
    args.push('--no-sandbox'); // the peers cannot start Chromium with its sandbox as root; Fleet does

const proxy = process.env.BENCH_PROXY; // with BENCH_USER and BENCH_PASSWORD
const login = { username: process.env.BENCH_USER, password: process.env.BENCH_PASSWORD };

const extract = () => ({
    title: document.title,
    links: [...document.links].slice(0, 5).map((a) => a.href),
    length: document.body.innerText.length,
});

const times = [];
function check(out) {
    if (!out.title || out.links.length !== 5 || out.length < 20000)
        throw new Error(`wrong page: ${JSON.stringify(out)}`);
}
async function timed(work) {
    const t0 = performance.now();
    check(await work());
    times.push(performance.now() - t0);
}
async function workers(each) {
    let next = 0;
    await Promise.all(Array.from({ length: inFlight }, async (_, w) => {
        while (next < tasks)
            await each(urls[next++ % urls.length], w);
    }));
}

const peers = {
    raw: () => raw(executablePath, args, extract, false),
    held: () => raw(executablePath, args, extract, true),
    async puppeteer() {
        const puppeteer = require('puppeteer-core');
        const browser = await puppeteer.launch({ executablePath, args, pipe: true, headless: mode === 'shell' ? 'shell' : true });
        const visit = async (page, url) => {
            await page.goto(url, { waitUntil: 'load' });
            return page.evaluate(extract);
        };
        return { browser, fresh: async (url) => {
            const context = await browser.createBrowserContext(proxy ? { proxyServer: proxy, proxyBypassList: ['<-loopback>'] } : {});
            const page = await context.newPage();
            if (proxy)
                await page.authenticate(login);
            const out = await visit(page, url);
            await context.close();
            return out;
        }, kept: async (url, w, pages) => {
            pages[w] ??= await browser.newPage();
            return visit(pages[w], url);
        } };
    },
    async playwright() {
        const { chromium } = require('playwright-core');
        const browser = await chromium.launch({ executablePath, args });
        const visit = async (page, url) => {
            await page.goto(url, { waitUntil: 'load' });
            return page.evaluate(extract);
        };
        return { browser, fresh: async (url) => {
            const context = await browser.newContext({ viewport: { width: 800, height: 600 }, ...(proxy ? { proxy: { server: proxy, ...login } } : {}) });
            const page = await context.newPage();
            const out = await visit(page, url);
            await context.close();
            return out;
        }, kept: async (url, w, pages) => {
            pages[w] ??= await (await browser.newContext({ viewport: { width: 800, height: 600 } })).newPage();
            return visit(pages[w], url);
        } };
    },
};

async function cluster() {
    const { Cluster } = require('puppeteer-cluster');
    const c = await Cluster.launch({
        concurrency: mode === 'kept' ? Cluster.CONCURRENCY_PAGE : Cluster.CONCURRENCY_CONTEXT,
        maxConcurrency: inFlight,
        puppeteer: require('puppeteer-core'),
        puppeteerOptions: { executablePath, args: proxy ? [...args, `--proxy-server=${proxy}`, '--proxy-bypass-list=<-loopback>'] : args, pipe: true },
        timeout: 60000,
    });
    let failure;
    c.on('taskerror', (e) => { failure = e; });
    const t0 = performance.now();
    for (let i = 0; i < tasks; i++)
        c.queue(urls[i % urls.length], ({ page, data: url }) => timed(async () => {
            if (proxy)
                await page.authenticate(login);
            await page.goto(url, { waitUntil: 'load' });
            return page.evaluate(extract);
        }));
    await c.idle();
    const seconds = (performance.now() - t0) / 1000;
    await c.close();
    if (failure)
        throw failure;
    return seconds;
}

async function plain() {
    const { browser, fresh, kept } = await peers[peer]();
    const pages = [];
    const t0 = performance.now();
    await workers((url, w) => timed(() => (mode === 'kept' ? kept(url, w, pages) : fresh(url))));
    const seconds = (performance.now() - t0) / 1000;
    await browser.close();
    return seconds;
}

const seconds = peer === 'cluster' ? await cluster() : await plain();
times.sort((a, b) => a - b);
const q = (p) => times[Math.min(times.length - 1, Math.floor(times.length * p))];
console.log(JSON.stringify({ tasks: times.length, seconds, p50: q(0.5), p95: q(0.95), p99: q(0.99) }));
