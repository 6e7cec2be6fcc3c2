// The peers of bench_noop: jobs that do nothing through BullMQ (a redis-server of its own, which syncs each command to the disk, as
// Fleet's tasks are durable before they are told of; and one that syncs once a second) and fastq (in process, nothing kept).
//
//   node noop.mjs [JOBS] [FASTQ JOBS]
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';

process.env.MSGPACKR_NATIVE_ACCELERATION_DISABLED = 'true'; // its native part is not installed: tests/package.json
const require = createRequire(resolve(process.env.FLEET_NPM) + '/');
const { Queue, Worker } = require('bullmq');
const fastq = require('fastq');
const jobs = Number(process.argv[2] ?? 3000);
const quick = Number(process.argv[3] ?? 300000);
const ROUNDS = 3, IN_FLIGHT = 64, BULK = 500, WAIT_MS = 60000;

const median = (v) => v.sort((a, b) => a - b)[v.length >> 1];

function bounded(promise, what) {
    let timer;
    const limit = new Promise((_, no) => {
        timer = setTimeout(() => no(new Error(`${what}: not within ${WAIT_MS} ms`)), WAIT_MS);
    });
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function startRedis(dir, fsync) {
    const path = join(dir, `${fsync}.sock`);
    const child = spawn('redis-server', ['--port', '0', '--unixsocket', path, '--dir', dir, '--save', '', '--appendonly', 'yes',
        '--appenddirname', fsync, '--appendfsync', fsync, '--maxmemory-policy', 'noeviction'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ready = new Promise((yes, no) => {
        child.on('error', no);
        child.on('exit', (code) => no(new Error(`redis-server ended with ${code}`)));
        child.stdout.on('data', (text) => String(text).includes('eady to accept') && yes());
    });
    await bounded(ready, 'redis-server');
    return { path, stop: () => child.kill('SIGKILL') };
}

async function bullmq(path, round) {
    const connection = { path, maxRetriesPerRequest: null };
    const queue = new Queue(`noop${round}`, { connection });
    let worker, left = jobs;
    const over = new Promise((yes, no) => {
        worker = new Worker(`noop${round}`, async () => 0, { connection, concurrency: IN_FLIGHT, autorun: false });
        worker.on('completed', () => --left === 0 && yes());
        worker.on('error', no);
    });

    await bounded(worker.waitUntilReady(), 'BullMQ');
    const start = performance.now();
    for (let i = 0; i < jobs; i += BULK)
        await queue.addBulk(Array.from({ length: Math.min(BULK, jobs - i) }, () => ({ name: 'noop', data: {} })));
    worker.run().catch(() => {});
    await bounded(over, 'BullMQ');
    const took = performance.now() - start;
    await worker.close();
    await queue.close();
    return jobs / took * 1000;
}

function inProcess() {
    return new Promise((yes) => {
        const start = performance.now();
        const queue = fastq((_, done) => setImmediate(done, null), IN_FLIGHT);
        let left = quick;

        for (let i = 0; i < quick; i++)
            queue.push(i, () => --left === 0 && yes(quick / (performance.now() - start) * 1000));
    });
}

function print(name, rates) {
    console.log(`${name.padEnd(36)} ${median(rates).toFixed(0).padStart(10)} /s`);
}

const dir = mkdtempSync(join(tmpdir(), 'bench-noop-'));
try {
    for (const fsync of ['always', 'everysec']) {
        const redis = await startRedis(dir, fsync);
        const rates = [];
        for (let i = 0; i < ROUNDS; i++)
            rates.push(await bullmq(redis.path, i));
        redis.stop();
        print(`BullMQ, appendfsync ${fsync}`, rates);
    }
    const rates = [];
    for (let i = 0; i < ROUNDS; i++)
        rates.push(await inProcess());
    print('fastq, in process, nothing kept', rates);
} finally {
    rmSync(dir, { recursive: true, force: true });
}
process.exit(0);
