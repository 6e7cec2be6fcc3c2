// playwright-mcp as an agent starts it, its --cdp-endpoint a lease's address: JSON-RPC over its standard input and output, unchanged.
import {spawn} from 'node:child_process';
import {createInterface} from 'node:readline';
import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {FLEET_TOKEN, FLEET_URL, SITE, gone, is, lease, ok, release, run} from './suite.mjs';

const program = `${process.env.FLEET_NPM}/node_modules/@playwright/mcp/cli.js`;

class Agent {
  /** `dir`: what it takes for its home, where it leaves a cache. */
  constructor(dir, ...args) {
    const env = {...process.env, HOME: dir, XDG_CACHE_HOME: dir, TMPDIR: dir};
    this.child = spawn(process.execPath, [program, ...args], {env, stdio: ['pipe', 'pipe', 'inherit']});
    this.calls = new Map();
    this.last = 0;
    createInterface({input: this.child.stdout}).on('line', (line) => {
      const message = JSON.parse(line);
      this.calls.get(message.id)?.(message);
    });
  }
  ask(method, params) {
    const id = ++this.last;
    this.child.stdin.write(`${JSON.stringify({jsonrpc: '2.0', id, method, params})}\n`);
    return new Promise((done) => this.calls.set(id, done));
  }
  async begin() {
    const {result} = await this.ask('initialize', {protocolVersion: '2025-03-26', capabilities: {}, clientInfo: {name: 'test', version: '1'}});
    this.child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
    return result;
  }
  async call(name, args = {}) {
    const {result, error} = await this.ask('tools/call', {name, arguments: args});
    if (error || result.isError) throw new Error(`${name}: ${JSON.stringify(error ?? result.content).slice(0, 600)}`);
    return result.content;
  }
  async text(name, args) {
    return (await this.call(name, args)).map((c) => c.text ?? '').join('\n');
  }
  end() {
    const over = new Promise((done) => this.child.once('exit', done));
    this.child.stdin.end();
    return over;
  }
}
const ref = (snapshot, what) => {
  const line = snapshot.split('\n').find((l) => l.includes(what));
  ok(line !== undefined, `no ${what} in ${snapshot}`);
  return {element: what, target: line.match(/\[ref=(\w+)\]/)[1], ref: line.match(/\[ref=(\w+)\]/)[1]};
};
const page = `data:text/html,${encodeURIComponent(`<title>Form</title><label>Name <input id=n></label><button onclick="document.title='Hello '+n.value">Greet</button>`)}`;

async function session(...args) {
  const dir = mkdtempSync(`${tmpdir()}/mcp-`);
  const agent = new Agent(dir, ...args, '--output-dir', dir);
  try {
    is((await agent.begin()).serverInfo.name.length > 0, true);
    ok((await agent.ask('tools/list', {})).result.tools.length > 10, 'tools');
    await agent.call('browser_navigate', {url: `${SITE}/`});
    await agent.call('browser_navigate', {url: page});
    const shown = await agent.text('browser_snapshot');
    await agent.call('browser_type', {...ref(shown, '- textbox'), text: 'Ada'});
    await agent.call('browser_click', ref(shown, '- button'));
    ok((await agent.text('browser_evaluate', {function: '() => document.title'})).includes('Hello Ada'), 'the title');
    ok((await agent.call('browser_take_screenshot', {})).some((c) => c.type === 'image' && c.data.length > 500), 'an image');
    await agent.call('browser_tabs', {action: 'new'});
    await agent.call('browser_close');
  } finally {
    await agent.end();
    rmSync(dir, {recursive: true, force: true});
  }
}

if (!existsSync(program)) {
  console.log('# no @playwright/mcp');
  process.exit(1);
}
await run({
  'an agent on a lease': async () => {
    const made = await lease();
    await session('--cdp-endpoint', made.url);
    await release(made);
    await gone(made);
  },
  'an agent that discovers': () => session('--cdp-endpoint', FLEET_URL, '--cdp-header', `Authorization: Bearer ${FLEET_TOKEN}`),
});
