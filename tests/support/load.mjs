// Copied by `make` to build/npm/, where node's imports find the packages; see npm.mjs.
export const load = (name) => import(name);
