// An instance that is stopped reads nothing. Its client floods; the gateway takes what has its place in the
// pipe and in line, no more, and the client of another instance goes on. When it runs again, all is answered.
import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {is, lease, ok, run} from './suite.mjs';
import {Wire} from './wire.mjs';

const MESSAGES = 160, BYTES = 512 * 1024, MORE_KIB = 64 * 1024;
const tree = () => execFileSync('ps', ['-eo', 'pid=,ppid=,args='], {encoding: 'utf8'}).trim().split('\n').map((line) => {
  const [, pid, parent, args] = line.match(/^\s*(\d+)\s+(\d+)\s+(.*)$/);
  return {pid: Number(pid), parent: Number(parent), args};
});
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Browsers (not their helpers) below the process that runs the gateway.
function browsers() {
  const all = tree(), mine = new Set([process.ppid]);
  for (let n = 0; n !== mine.size;) {
    n = mine.size;
    for (const p of all) if (mine.has(p.parent)) mine.add(p.pid);
  }
  return all.filter((p) => mine.has(p.pid) && /--remote-debugging-pipe/.test(p.args) && !/--type=/.test(p.args)
    && /^\S*(chrom|headless)/.test(p.args)).map((p) => p.pid);
}
const resident = () => Number(readFileSync(`/proc/${process.ppid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);

await run({
  'a client of a stopped instance waits for itself': async () => {
    const wires = await Promise.all([1, 2].map(async () => Wire.open((await lease()).url)));
    const all = browsers();
    ok(all.length >= 2, `${all.length} browsers`);
    process.kill(all[0], 'SIGSTOP');
    try {
      const states = await Promise.all(wires.map((w) => Promise.race([w.send('Browser.getVersion').then(() => 'runs'), pause(1500)])));
      const stuck = states.indexOf(undefined);
      ok(stuck >= 0 && states.includes('runs'), `states ${states}`);
      const other = wires[1 - stuck], before = resident();
      const answers = [];
      for (let i = 0; i < MESSAGES; i++)
        answers.push(wires[stuck].send('Storage.setCookies', {cookies: [], x: 'x'.repeat(BYTES)}));
      for (let i = 0; i < 20; i++) {
        ok((await other.send('Browser.getVersion')).product !== '', 'the other goes on');
        await pause(50);
      }
      const grown = resident() - before;
      ok(grown < MORE_KIB, `the gateway grew by ${grown} KiB for ${MESSAGES * BYTES / 1024} KiB`);
      process.kill(all[0], 'SIGCONT');
      is((await Promise.all(answers)).length, MESSAGES, 'answers');
    } finally {
      process.kill(all[0], 'SIGCONT');
      wires.forEach((w) => w.close());
    }
  },
});
