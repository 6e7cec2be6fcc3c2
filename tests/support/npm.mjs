// The packages of tests/package.json, from where `make` installs them (build/npm): node's own imports look
// for node_modules beside the file that imports, and none is put into the source tree.
//     import {load} from '../support/npm.mjs';
//     const puppeteer = await load('puppeteer-core');
import {pathToFileURL} from 'node:url';

const dir = process.env.FLEET_NPM;

if (!dir) {
  throw new Error('FLEET_NPM is not set: run this with `make check-clients` or `make bench`');
}
const loader = await import(pathToFileURL(`${dir}/load.mjs`).href);

// All that the package exports, by name.
export const load_named = (name) => loader.load(name);

// The package's default export where it has one, else all its exports.
export async function load(name) {
  const module = await loader.load(name);
  return module.default ?? module;
}
