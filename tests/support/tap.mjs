// Tests in JavaScript report as the C ones do: TAP on standard output, read by tests/support/runner.
//     import {test, skip, done} from '../support/tap.mjs';
//     await test('opens a page', async () => { ... assert ... });
//     done();
let number = 0;
let failed = 0;

class Skip extends Error {}

export function skip(reason) {
  throw new Skip(reason);
}

export async function test(name, run, timeoutMs = 30000) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${timeoutMs} ms`)), timeoutMs);
  });
  number++;
  try {
    await Promise.race([run(), deadline]);
    console.log(`ok ${number} - ${name}`);
  } catch (e) {
    if (e instanceof Skip) {
      console.log(`ok ${number} - ${name} # SKIP ${e.message}`);
    } else {
      failed++;
      console.log(`not ok ${number} - ${name}`);
      console.log(`# ${String(e.stack ?? e).replaceAll('\n', '\n# ')}`);
    }
  } finally {
    clearTimeout(timer);
  }
}

// Ends the program, also when something still keeps node's loop alive.
export function done() {
  console.log(`1..${number}`);
  process.exit(failed ? 1 : 0);
}
