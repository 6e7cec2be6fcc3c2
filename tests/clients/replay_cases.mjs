// Flows that test_replay.mjs runs with @puppeteer/replay and with `fleet run`, on the pages of tests/site/cases/replay. A case:
// what it is about, its steps ({{SITE}} and {{OTHER}} are the addresses of two sites), and
//   fails    both are to fail
//   without  events that are not compared
//   frames   frames of another site are to have a process of their own
//   differs  the two are not to do the same, and browser/flow/README.md says why; {replay, fleet}: does each succeed?
const site = (page) => `{{SITE}}/${page}`;
const other = (page) => `{{OTHER}}/${page}`;
const go = (page) => ({type: 'navigate', url: site(page)});
const click = (sel, more = {}) => ({type: 'click', selectors: [sel], offsetX: 4, offsetY: 5, ...more});
const change = (sel, value, more = {}) => ({type: 'change', selectors: [sel], value, ...more});
const press = (...keys) => keys.flatMap((key) => [{type: 'keyDown', key}, {type: 'keyUp', key}]);
const chord = (held, key) => [{type: 'keyDown', key: held}, ...press(key), {type: 'keyUp', key: held}];
const wait = (sel, more = {}) => ({type: 'waitForElement', selectors: [sel], ...more});
const expression = (text, more = {}) => ({type: 'waitForExpression', expression: text, ...more});
const navigation = {assertedEvents: [{type: 'navigation', url: '', title: ''}]};
const soon = {timeout: 400};
const viewport = {type: 'setViewport', width: 800, height: 600, deviceScaleFactor: 1, isMobile: false, hasTouch: false,
  isLandscape: false};

export const cases = [
  // --- pointer ---
  {what: 'click, with the default button', steps: [go('all.html'), click('#one')]},
  {what: 'click with every button', steps: [go('all.html'),
    ...['primary', 'auxiliary', 'secondary', 'back', 'forward'].map((button) => click('#one', {button}))]},
  {what: 'offsets: within, on the border, of a turned box', steps: [go('all.html'),
    click('#target', {offsetX: 0, offsetY: 0}), click('#target', {offsetX: 99, offsetY: 59}),
    click('#target', {offsetX: 31.5, offsetY: 12.25}), click('#turned', {offsetX: 40, offsetY: 20})]},
  {what: 'a click of some duration', steps: [go('all.html'), click('#one', {duration: 120})]},
  {what: 'double clicks', steps: [go('all.html'), {type: 'doubleClick', selectors: ['#double'], offsetX: 4, offsetY: 4},
    {type: 'doubleClick', selectors: [['#one']], offsetX: 4, offsetY: 4, button: 'secondary'}]},
  {what: 'hover, then another', steps: [go('all.html'), {type: 'hover', selectors: ['#hover']},
    {type: 'hover', selectors: [['#one']]}]},
  {what: 'svg, a box in a parent without one, lines of text', steps: [go('all.html'), click('#path', {offsetX: 10, offsetY: 10}),
    click('#picture', {offsetX: 30, offsetY: 30}), click('#small'), click('#inline')]},
  {what: 'far below and to the right', steps: [viewport, go('all.html'), click('#far'), click('#right'), click('#one')]},
  {what: 'touch is a touch', differs: {replay: true, fleet: true}, steps: [go('all.html'), click('#one', {deviceType: 'touch'})]},
  {what: 'a pen is a pen', differs: {replay: true, fleet: true}, steps: [go('all.html'), click('#one', {deviceType: 'pen'})]},

  // --- keys ---
  {what: 'keys into fields', steps: [go('all.html'), click('#name'), ...press('a', 'KeyB', 'Digit3', ' ', '.', 'Backspace', 'Tab', 'x')]},
  {what: 'modifiers stay down', steps: [go('all.html'), click('#name'), {type: 'keyDown', key: 'Shift'}, ...press('q', 'KeyW', '1'),
    {type: 'keyUp', key: 'Shift'}, ...press('e'), {type: 'keyDown', key: 'Control'}, click('#one'), {type: 'keyUp', key: 'Control'}]},
  {what: 'chords', steps: [go('all.html'), click('#old'), ...chord('Control', 'a'), ...press('z'), ...chord('Alt', 'x'),
    ...chord('Meta', 'k')]},
  {what: 'keys that are no text', steps: [go('all.html'), click('#text'),
    ...press('Enter', 'ArrowLeft', 'Home', 'End', 'Delete', 'Escape', 'F5', 'PageDown', 'CapsLock', 'Insert')]},
  {what: 'keys of the number pad, left and right', steps: [go('all.html'), click('#name'),
    ...press('Numpad5', 'NumpadEnter', 'ShiftLeft', 'ControlRight', 'AltGraph', 'NumpadAdd', ';', 'A', '\r')]},
  {what: 'enter sends the form', steps: [go('all.html'), change('#name', 'x'), ...press('Enter')]},
  {what: 'keys on a link and a button', steps: [go('nav.html'), ...press('Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Tab', 'Enter', 'Space')]},

  // --- fields ---
  {what: 'text fields', steps: [go('all.html'), change('#name', 'Ada'), change('#mail', 'a@b.example'),
    change('#password', 's3cret'), change('#search', 'query'), change('#tel', '+49 30'), change('#url', 'x:y'),
    change('#text', 'two\nlines')]},
  {what: 'keys that replay takes from the number pad', differs: {replay: true, fleet: true}, steps: [go('all.html'), change('#name', '+-*/')]},
  {what: 'fields that hold something', steps: [go('all.html'), change('#old', 'new'), change('#part', 'abcd'), change('#number', '42')]},
  {what: 'a field is emptied, as with the keyboard', differs: {replay: true, fleet: true}, steps: [go('all.html'), change('#old', '')]},
  {what: 'the value is there already, the field gets the focus', differs: {replay: true, fleet: true}, steps: [go('all.html'), change('#old', 'abc')]},
  {what: 'letters that no key types', steps: [go('all.html'), change('#name', 'né€'), change('#most', 'abcdef')]},
  {what: 'long text, as if it were pasted', differs: {replay: true, fleet: true}, steps: [go('all.html'), change('#text', 'long words '.repeat(30))]},
  {what: 'date, time, colour, range', steps: [go('all.html'), change('#color', '#336699'), change('#date', '2026-03-04'),
    change('#time', '12:34'), change('#month', '2026-05'), change('#week', '2026-W07'), change('#local', '2026-03-04T05:06'),
    change('#range', '7')]},
  {what: 'a list', without: /^focus/, steps: [go('all.html'), change('#choice', 'b'), change('aria/Choice', 'a')]},
  {what: 'click a list, then change it', without: /^focus/, steps: [go('all.html'), click('#choice'), change('#choice', 'b')]},
  {what: 'a list of several', without: /^focus/, steps: [go('all.html'), change('#many', 'b')]},
  {what: 'a list that has no such value', fails: true, steps: [go('all.html'), change('#choice', 'zzz', soon)]},
  {what: 'boxes to tick, by value', steps: [go('all.html'), change('#tick', 'true'), change('#ticked', 'on'), change('#r2', 'true')]},
  {what: 'the value false unticks', differs: {replay: true, fleet: true}, steps: [go('all.html'), change('#ticked', 'false')]},
  {what: 'boxes to tick, by a click', steps: [go('all.html'), click('#tick', {offsetX: 2, offsetY: 2}), click('#r2', {offsetX: 2, offsetY: 2}),
    click('#tick-label', {offsetX: 30, offsetY: 5})]},
  {what: 'what is edited in place', steps: [go('all.html'), change('#rich', 'new words'), change('#plain', 'plain')]},
  {what: 'a field that is read only', differs: {replay: false, fleet: true}, steps: [go('all.html'), change('#locked', 'y', soon)]},
  {what: 'no field at all', steps: [go('all.html'), change('#one', 'x', soon)], fails: true},

  // --- scrolling ---
  {what: 'an element and the window', steps: [viewport, go('all.html'), {type: 'scroll', selectors: ['#box'], x: 30, y: 50},
    {type: 'scroll', x: 120, y: 340}, expression('scrollX === 120 && scrollY === 340'), {type: 'scroll', y: 10},
    expression('scrollX === 0 && scrollY === 10'), {type: 'scroll', selectors: [['#far']], y: 5}, expression('note(scrollY) || true')]},

  // --- waiting ---
  {what: 'late, moving, enabled later, shown later, drawn anew', steps: [go('late.html'), click('#late'), click('#moving'),
    click('#sleeper'), click('#hidden'), click('#anew')]},
  {what: 'what a box around it cuts off', steps: [go('late.html'), click('#cut')]},
  {what: 'what lies under something', differs: {replay: true, fleet: false}, steps: [go('late.html'), click('#covered', soon)]},
  {what: 'rows are counted', steps: [go('late.html'), click('#late'), click('#late'), wait('.row', {operator: '==', count: 2}),
    wait('.row', {operator: '>=', count: 2}), wait('.row', {operator: '<=', count: 2}), click('#late')]},
  {what: 'operator without count, count without operator', steps: [go('find.html'), wait('.item', {count: 2}),
    wait('#head', {operator: '=='}), click('#head')]},
  {what: 'too few rows', fails: true, steps: [go('late.html'), wait('.row', {count: 3, ...soon}), click('#late')]},
  {what: 'exactly two of three', fails: true, steps: [go('find.html'), wait('.item', {operator: '==', count: 2, ...soon}), click('#head')]},
  {what: 'none', steps: [go('find.html'), wait('.nothing', {operator: '==', count: 0}), wait('.nothing', {visible: false}), click('#head')]},
  {what: 'hidden elements count', steps: [go('find.html'), wait('#ghost'), wait('#ghost', {visible: true}), click('#head')]},
  {what: 'visible: false of what is there', fails: true, steps: [go('find.html'), wait('#head', {visible: false, ...soon})]},
  {what: 'attributes', steps: [go('late.html'), wait('#late', {attributes: {class: 'a b', id: 'late'}}), click('#late')]},
  {what: 'an attribute that is another', fails: true, steps: [go('late.html'), wait('#late', {attributes: {class: 'a'}, ...soon})]},
  {what: 'attributes, turned round', steps: [go('late.html'), wait('#late', {attributes: {class: 'a'}, visible: false}), click('#late')]},
  {what: 'properties', steps: [go('find.html'), wait('#head', {properties: {id: 'head', made: {by: {a: 'script'}, n: 3}}}),
    wait('#submit', {properties: {value: 'Value as text', type: 'submit', disabled: false}}), click('#head')]},
  {what: 'a property that is another', fails: true, steps: [go('find.html'), wait('#head', {properties: {made: {n: 4}}, ...soon})]},
  {what: 'an attribute of each of several', fails: true, steps: [go('find.html'), wait('.item', {attributes: {id: 'i1'}, ...soon})]},
  {what: 'expressions', steps: [go('late.html'), expression("document.getElementById('late') !== null"), expression('new Promise((r) => setTimeout(() => r(7), 50))'),
    expression('document.title === "Late"'), click('#late')]},
  {what: 'an expression that is never true', fails: true, steps: [go('late.html'), expression('window.nothing', soon)]},
  {what: 'nothing to click', fails: true, steps: [go('find.html'), click('#nowhere', soon), click('#head')]},
  {what: 'nothing but a hidden one', fails: true, steps: [go('find.html'), click('#ghost', soon)]},
  {what: 'disabled for good', fails: true, steps: [go('all.html'), click('#two', soon)]},

  // --- selectors ---
  ...[
    ['#twin', 'css'], ['ul > li:nth-child(2)', 'css with a combinator'], [['#head'], 'a chain of one'],
    ['aria/Close dialog', 'aria label'], ['aria/Given twice', 'aria labelledby'], ['aria/Acts as a button', 'a role in the page'],
    ['aria/Same name[role="link"]', 'aria of two, by role'], ['aria/Same name[role="button"]', 'aria of two, by the other role'],
    ['aria/[role="button"]', 'a role alone'], ['aria/A picture', 'alt text'], ['aria/Only alt', 'a button named by a picture'],
    ['aria/From title', 'a title'], ['aria/Wrapped', 'a label around'], ['aria/Your town', 'a placeholder'],
    ['aria/Two words', 'squeezed name'], ['aria/Value as text', 'a submit value'], ['aria/Twin', 'one of them hidden'],
    ['aria/Say "hi" [now]', 'quotes and brackets'], ['aria/In a slot', 'in a slot'],
    ['text/bold words', 'text'], ['text/Acts as', 'a part of the text'], ['text/Value as', 'text of a button\u2019s value'],
    ['text/Things to find', 'text of a heading'], ['text/Deep text', 'text below shadow roots'], ['text/Item', 'text of several'],
    ['xpath///*[@id="para"]/b', 'xpath'], ['xpath//html/body/ul/li[3]', 'absolute xpath'],
    ['pierce/#deep', 'pierce'], ['pierce/#inner2', 'pierce to a host'], ['pierce/ul > li', 'pierce without a shadow'],
    [['#outer', '#shallow'], 'into a shadow root'], [['#outer', '#inner', '#deep'], 'two roots down'],
    [['#outer2', 'aria/Shallow2'], 'aria within a root'], [['#outer', 'text/Shallow'], 'text within a root'],
    [['#dialog', 'aria/Close dialog'], 'within an element'],
    [['#dialog', 'button'], 'css within an element'],
    [['aria/Settings', 'button'], 'css below aria'],
  ].map(([selector, what]) => ({what, step: click(selector, {offsetX: 3, offsetY: 3})}))
    .reduce((groups, s, i) => (i % 6 ? groups[groups.length - 1].push(s) : groups.push([s]), groups), [])
    .map((group) => ({what: `selectors: ${group.map((s) => s.what).join('; ')}`, steps: [go('find.html'), ...group.map((s) => s.step)]})),
  ...[
    ['xpath///button[text()="Twin"]', 'the first is hidden'], [['#outer2', 'inner-part', 'aria/Deep button'], 'aria two roots down'],
    [['#outer', 'section inner-part', 'xpath///button'], 'xpath within a root'],
  ].map(([selector, what]) => ({what: `selector: ${what}`, differs: {replay: false, fleet: true}, steps: [go('find.html'), click(selector, soon)]})),
  {what: 'what is slotted is no part of the root', fails: true, steps: [go('find.html'), click(['#slotted', '#in-slot'], soon)]},
  {what: 'text has no name', fails: true, steps: [go('find.html'), click('aria/Item', soon)]},
  {what: 'alternatives, of which the last is there', steps: [go('find.html'),
    {type: 'click', selectors: [['aria/Nothing'], '#nothing', ['xpath///nothing'], ['#outer', '#shallow']], offsetX: 2, offsetY: 2}]},

  // --- frames ---
  {frames: true, what: 'frames by index', steps: [go('frames.html'), click('#in', {frame: [0]}), change('#field', 'words', {frame: [0]}),
    click('#low', {frame: [0]}), click('#leaf', {frame: [0, 0]}), click('#in-words', {frame: [2]}), click('#in-blank', {frame: [3]})]},
  {frames: true, what: 'a frame of another process', steps: [go('frames.html'), click('#in', {frame: [1]}), change('aria/Field', 'words', {frame: [1]}),
    click('#low', {frame: [1]}), click('#leaf', {frame: [1, 0]}), {type: 'scroll', y: 20, frame: [1]}]},
  {frames: true, what: 'a frame by its address', steps: [go('frames.html'), click('#in', {target: other('inner.html?other')}),
    change('#field', 'x', {target: other('inner.html?other')}), click('#leaf', {target: other('inner.html?other'), frame: [0]})]},
  {frames: true, what: 'waiting in frames', steps: [go('frames.html'), wait('#in', {frame: [1]}), expression('document.title === "Inner"', {frame: [1]}),
    {type: 'hover', selectors: ['#in'], frame: [0]}, {type: 'doubleClick', selectors: ['#in'], offsetX: 3, offsetY: 3, frame: [1]}]},
  {frames: true, what: 'a frame goes on', steps: [go('frames.html'), click('#on', {frame: [0], ...navigation}), click('#done', {frame: [0]})]},
  {frames: true, what: 'a frame of another process goes on', steps: [go('frames.html'), click('#on', {target: other('inner.html?other'), ...navigation}),
    click('#done', {frame: [1]})]},
  {frames: true, what: 'a frame that is not there', fails: true, steps: [go('frames.html'), click('#in', {frame: [7], ...soon})]},

  // --- pages ---
  {what: 'a link, asserted', steps: [go('nav.html'), click('#go', navigation), click('#done')]},
  {what: 'a link, not asserted', steps: [go('nav.html'), click('#go'), click('#done')]},
  {what: 'a link to another site', steps: [go('nav.html'), click('#there', navigation), click('#done')]},
  {what: 'a navigation that begins late', steps: [go('nav.html'), click('#soon', navigation), click('#done')]},
  {what: 'within the document', steps: [go('nav.html'), click('#hash', navigation), click('#push', navigation), click('#stay')]},
  {what: 'a form is sent', steps: [go('nav.html'), change('#q', 'some words'), click('#send', navigation), click('#done')]},
  {what: 'enter, asserted', steps: [go('nav.html'), change('#q', 'w'), {type: 'keyDown', key: 'Enter', ...navigation}, {type: 'keyUp', key: 'Enter'}, click('#done')]},
  {what: 'a navigation that does not come', fails: true, steps: [go('nav.html'), click('#stay', {...navigation, ...soon})]},
  {what: 'navigate, asserted', steps: [{...go('nav.html'), ...navigation}, {...go('second.html'), ...navigation}, click('#done')]},
  {what: 'a popup', steps: [go('nav.html'), click('#open'), click('#pop', {target: site('popup.html')}),
    change('#typed', 'abc', {target: site('popup.html')}), {type: 'close', target: site('popup.html')}, click('#stay')]},
  {what: 'a page in a tab, which closes itself', steps: [go('nav.html'), click('#blank'), click('#shut', {target: site('popup.html?blank')}), click('#stay')]},
  {what: 'a target that is not there', fails: true, steps: [go('nav.html'), click('#pop', {target: site('popup.html?none'), ...soon})]},
  {what: 'the size of the page', steps: [viewport, go('nav.html'), {...viewport, width: 500, height: 400},
    expression('window.sized === "500x400"')]},
  {what: 'a touch screen: replay loads the page anew', differs: {replay: true, fleet: true}, steps: [go('nav.html'),
    {...viewport, isMobile: true, hasTouch: true, width: 360, height: 640}, expression('navigator.maxTouchPoints > 0')]},
  {what: 'offline and slow', steps: [go('nav.html'), {type: 'emulateNetworkConditions', download: 0, upload: 0, latency: 0},
    expression('navigator.onLine === false'), {type: 'emulateNetworkConditions', download: 500000, upload: 500000, latency: 10},
    expression('navigator.onLine === true'), click('#go', navigation), click('#done')]},
  {what: 'dialogs', differs: {replay: false, fleet: true}, steps: [go('nav.html'), click('#ask', {timeout: 1500})]},
  {what: 'before a page is left', steps: [go('nav.html'), click('#guard'), go('second.html'), click('#done')]},
  {what: 'customStep', steps: [go('nav.html'), {type: 'customStep', name: 'x', parameters: {a: 1}}, click('#stay')]},
];
