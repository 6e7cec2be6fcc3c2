// playwright-mcp as an agent starts it, its --cdp-endpoint a lease's address: JSON-RPC over its standard input and output, unchanged.
import {spawn} from 'node:child_process';
import {createInterface} from 'node:readline';
import {existsSync, mkdtempSync, readFileSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {FLEET_TOKEN, FLEET_URL, SITE, gone, headers, is, lease, ok, refused, release, run} from './suite.mjs';
import {site} from './site.mjs';

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

// What agents do, tool call by tool call: an agent and a lease a lane, for all of it, as they work for hours.
const LANES = 3;
const {url: HERE} = await site();
const home = mkdtempSync(`${tmpdir()}/mcp-`);
const work = await Promise.all([...Array(LANES).keys()].map(async () => {
  const made = await lease();
  const agent = new Agent(home, '--cdp-endpoint', made.url, '--caps=vision,pdf,testing', '--output-dir', home);
  await agent.begin();
  const text = () => agent.text('browser_evaluate', {function: '() => document.title + "|" + document.body.innerText'});
  return {
    agent, made,
    go: (path) => agent.call('browser_navigate', {url: `${HERE}${path}`}),
    see: async (what) => ref(await agent.text('browser_snapshot'), what),
    has: async (what) => ok((await text()).includes(what), `${what} is not in ${await text()}`),
  };
}));
process.on('exit', () => {
  for (const {agent} of work) agent.child.kill();
  rmSync(home, {recursive: true, force: true});
});
// A script is given the lane's agent.
const agents = (scripts) => Object.fromEntries(Object.entries(scripts).map(([name, script]) => [name, (lane) => script(work[lane])]));

await run({
  ...agents({
    'navigate and read': async ({agent, go}) => {
      await go('/list');
      const shown = await agent.text('browser_snapshot');
      ok(/Page URL: .*\/list/.test(shown) && (shown.match(/listitem/g) ?? []).length === 12, shown);
    },
    'a form field by field': async ({agent, go, see, has}) => {
      await go('/login');
      await agent.call('browser_type', {...await see('textbox "User"'), text: 'ann'});
      await agent.call('browser_type', {...await see('textbox "Password"'), text: 's3cret', slowly: true});
      await agent.call('browser_select_option', {...await see('combobox'), values: ['blue']});
      await agent.call('browser_click', await see('checkbox'));
      await agent.call('browser_click', await see('button "Sign in"'));
      await has('POST user=ann&password=s3cret&stay=on&colour=blue');
    },
    'a form at once': async ({agent, go, has}) => {
      await go('/login');
      const shown = await agent.text('browser_snapshot');
      const field = (name, type, value) => ({name, type, value, ...ref(shown, name)});
      await agent.call('browser_fill_form', {fields: [field('textbox "User"', 'textbox', 'bob'), field('checkbox', 'checkbox', 'true'), field('combobox', 'combobox', 'red')]});
      await agent.call('browser_click', ref(shown, 'button "Sign in"'));
      await has('user=bob');
    },
    'type and submit, press keys': async ({agent, go, see, has}) => {
      await go('/login');
      await agent.call('browser_type', {...await see('textbox "User"'), text: 'eve', submit: true});
      await has('user=eve');
      await go('/keys');
      await agent.call('browser_click', await see('textbox'));
      await agent.call('browser_press_key', {key: 'ArrowLeft'});
      await has('ArrowLeft');
    },
    'back': async ({agent, go, has}) => {
      await go('/list');
      await go('/login');
      await agent.call('browser_navigate_back');
      await has('List|');
    },
    'wait for a text, for its end, for a time': async ({agent, go}) => {
      await go('/late');
      await agent.call('browser_wait_for', {text: 'late'});
      await agent.call('browser_wait_for', {time: 0.1});
      await agent.call('browser_evaluate', {function: '() => setTimeout(() => document.body.textContent = "over", 100)'});
      await agent.call('browser_wait_for', {textGone: 'late'});
    },
    'hover, double click, right click': async ({agent, go, see, has}) => {
      await go('/pointer');
      await agent.call('browser_evaluate', {function: '() => { pad.setAttribute("role", "button"); pad.setAttribute("aria-label", "pad"); }'});
      const pad = await see('button "pad"');
      await agent.call('browser_hover', pad);
      await agent.call('browser_click', {...pad, doubleClick: true});
      await agent.call('browser_click', {...pad, button: 'right'});
      await has('contextmenu2');
    },
    'drag and drop': async ({agent, go, has}) => {
      await go('/drag');
      await agent.call('browser_evaluate', {function: '() => { a.setAttribute("role", "button"); b.setAttribute("role", "group"); b.setAttribute("aria-label", "there"); }'});
      const shown = await agent.text('browser_snapshot');
      const [from, to] = [ref(shown, 'button "a"'), ref(shown, 'group "there"')];
      await agent.call('browser_drag', {startElement: 'a', startTarget: from.ref, startRef: from.ref, endElement: 'b', endTarget: to.ref, endRef: to.ref});
      await has('from a');
    },
    'tabs: new, list, select, close': async ({agent, go, has}) => {
      await go('/list');
      await agent.call('browser_tabs', {action: 'new', url: `${HERE}/login`});
      const listed = await agent.text('browser_tabs', {action: 'list'});
      ok(listed.includes('/list') && listed.includes('/login'), listed);
      await agent.call('browser_tabs', {action: 'select', index: 0});
      await has('row 3');
      await agent.call('browser_tabs', {action: 'close', index: 1});
    },
    'a popup becomes a tab': async ({agent, go, see}) => {
      await go('/opens');
      await agent.call('browser_click', await see('button "open"'));
      ok((await agent.text('browser_tabs', {action: 'list'})).includes('/deep'), 'the tab');
      await agent.call('browser_tabs', {action: 'close', index: 1});
    },
    'dialogs': async ({agent, has}) => {
      await agent.call('browser_navigate', {url: `${SITE}/dialog`});
      await agent.call('browser_click', ref(await agent.text('browser_snapshot'), 'button "p"'));
      await agent.call('browser_handle_dialog', {accept: true, promptText: 'Anna'});
      await has('Anna');
    },
    'console and network': async ({agent, go}) => {
      await agent.call('browser_navigate', {url: `${SITE}/console`});
      ok((await agent.text('browser_console_messages', {level: 'info'})).includes('one 2'), 'console');
      await go('/list');
      await agent.call('browser_evaluate', {function: '() => fetch("/data.json").then(r => r.text())'});
      ok((await agent.text('browser_network_requests', {static: false})).includes('/data.json'), 'network');
    },
    'pictures: page, full page, element': async ({agent, go}) => {
      await go('/canvas');
      for (const more of [{}, {fullPage: true}, {type: 'jpeg'}])
        ok((await agent.call('browser_take_screenshot', {scale: 'css', ...more})).some((c) => c.type === 'image' && c.data.length > 300), JSON.stringify(more));
    },
    'PDF': async ({agent, go}) => {
      await go('/print');
      await agent.call('browser_pdf_save');
      const [file] = readdirSync(home).filter((name) => name.endsWith('.pdf'));
      is(readFileSync(`${home}/${file}`).subarray(0, 4).toString(), '%PDF');
    },
    'size and media': async ({agent, go}) => {
      await agent.call('browser_resize', {width: 640, height: 480});
      await go('/media');
      ok((await agent.text('browser_evaluate', {function: '() => innerWidth + "x" + innerHeight'})).includes('640x480'), 'size');
      await agent.call('browser_emulate_media', {colorScheme: 'dark'});
      ok((await agent.text('browser_evaluate', {function: '() => look()'})).includes('true,false,false'), 'dark');
    },
    'the mouse by coordinates': async ({agent, go, has}) => {
      await go('/pointer');
      await agent.call('browser_mouse_click_xy', {element: 'pad', x: 60, y: 60});
      await agent.call('browser_mouse_move_xy', {element: 'pad', x: 80, y: 80});
      await agent.call('browser_mouse_drag_xy', {element: 'pad', startX: 30, startY: 30, endX: 90, endY: 90});
      await agent.call('browser_mouse_wheel', {deltaX: 0, deltaY: 50});
      await has('mousedown0 mouseup0');
    },
    'what it verifies': async ({agent, go}) => {
      await go('/login');
      await agent.call('browser_verify_element_visible', {role: 'button', accessibleName: 'Sign in'});
      await agent.call('browser_verify_text_visible', {text: 'Colour'});
      await refused(agent.call('browser_verify_text_visible', {text: 'no such text'}), /not/i);
    },
    'code of Playwright': async ({agent}) => {
      const said = await agent.text('browser_run_code_unsafe', {code: `async (page) => { await page.goto('${HERE}/list'); return page.locator('.row').count(); }`});
      ok(said.includes('12'), said);
    },
    'frames in frames': async ({agent, go, see}) => {
      await go('/nested');
      await agent.call('browser_click', await see('button "deep button"'));
      ok((await agent.text('browser_snapshot')).includes('done'), 'the frame');
    },
    'what is refused is said': async ({agent, has}) => {
      await refused(agent.call('browser_navigate', {url: 'file:///etc/passwd'}), /refused|blocked|Access to "file:"/i);
      await refused(agent.call('browser_navigate', {url: 'chrome://version'}), /refused|not let through|blocked/i);
      await has('');
    },
    'closed, and gone on with': async ({agent, go, has, made}) => {
      await agent.call('browser_close');
      await go('/list');
      await has('row 11');
      is((await fetch(`${FLEET_URL}/v1/leases/${made.id}`, {headers})).status, 200, 'the same lease');
    },
  }),
  'an agent that is begun and ended, on a lease and by discovery': async () => {
    const made = await lease();
    await session('--cdp-endpoint', made.url);
    await release(made);
    await gone(made);
    await session('--cdp-endpoint', FLEET_URL, '--cdp-header', `Authorization: Bearer ${FLEET_TOKEN}`);
  },
}, LANES);
