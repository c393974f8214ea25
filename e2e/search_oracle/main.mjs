// Compares searches of a running server with a brute-force evaluation of the same resources. e2e/run starts it, with the server in the
// environment: LETHE_BINARY, LETHE_DATA, LETHE_CLIENT, LETHE_BASE.

import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { Account } from './account.mjs';
import { compare, reduced } from './compare.mjs';
import { generateData } from './data/generate.mjs';
import { Oracle } from './evaluate.mjs';
import { GivenUp } from './http.mjs';
import { generateQueries } from './queries/generate.mjs';
import { Random } from './random.mjs';
import { keyOf } from './store.mjs';

// So many differences are shown whole.
const SHOWN = 40;
// A query that takes so long is told of at once.
const SLOW_MS = 20_000;

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    scale: { type: 'string', default: '1' },
    data: { type: 'string' },
    query: { type: 'string', multiple: true },
  },
});

const { LETHE_BINARY: binary, LETHE_DATA: data, LETHE_CLIENT: client, LETHE_BASE: base } = process.env;
if (!binary || !data || !client || !base) {
  console.error('The server is missing: start this with e2e/run, which starts one.');
  process.exit(2);
}

const seed = Number(options.seed);
const random = new Random(seed);
const account = new Account({ binary, data, client, base }, `oracle-${seed}-${options.data ? 'files' : 'generated'}`);
console.log(`search oracle: seed ${seed}, ${options.data ?? 'generated data'}`);

const store = await (options.data ? fromFiles() : fromChance());
console.log(`search oracle: ${store.size} resources of ${store.types.length} types`);
const context = { store, random, base, caller: account.caller, oracle: new Oracle(store, base) };
const queries = options.query?.map((query) => ({ kind: 'asked', query })) ?? generateQueries(context, Number(options.scale));
const { tally, differing } = await askAll();
report();
process.exit(differing.length > 0 ? 1 : 0);

// Written in two parts, so that times differ; then some of it changed and removed, so that an index must have followed.
async function fromChance() {
  const resources = generateData(random, base);
  const middle = Math.floor(resources.length / 2);
  account.importResources(resources.slice(0, middle));
  account.importResources(resources.slice(middle));
  for (const resource of random.sample(resources, Math.floor(resources.length / 20))) {
    const other = random.pick(resources.filter(({ resourceType }) => resourceType === resource.resourceType));
    await account.put({ ...other, id: resource.id });
  }
  for (const resource of random.sample(resources, Math.floor(resources.length / 50))) await account.remove(keyOf(resource));
  const read = await account.read([...new Set(resources.map(({ resourceType }) => resourceType))]);
  account.checkRead(read);
  return read;
}

// The types are the names of the files, as in Bulk Data's exports.
async function fromFiles() {
  const types = readdirSync(options.data).map((file) => file.match(/^([A-Z][A-Za-z]+)\.(?:\d+\.)?ndjson(?:\.gz)?$/)?.[1]);
  const rejected = account.importFolder(options.data);
  if (rejected > 0) console.log(`search oracle: ${rejected} resources were rejected by the import`);
  return account.read([...new Set(types.filter(Boolean))].sort());
}

async function askAll() {
  const tally = new Map();
  const differing = [];
  for (const one of queries) {
    const counts = tally.get(one.kind) ?? { asked: 0, different: 0, found: 0, givenUp: 0 };
    tally.set(one.kind, counts);
    counts.asked += 1;
    const slow = setTimeout(() => console.log(`still at work after ${SLOW_MS / 1000} s: ${decodeURIComponent(one.query)}`), SLOW_MS);
    try {
      const differences = await compare(one, context);
      if (context.oracle.search(one.query).found.size > 0) counts.found += 1;
      if (!differences) continue;
      counts.different += 1;
      const smallest = await reduced(one, context);
      differing.push({ ...smallest, differences: (await compare(smallest, context)) ?? differences });
    } catch (error) {
      if (error instanceof GivenUp) {
        console.log(`given up by the server: ${decodeURIComponent(one.query)}`);
        counts.givenUp += 1;
        continue;
      }
      counts.different += 1;
      differing.push({ ...one, differences: [`the oracle failed: ${error.stack}`] });
    } finally {
      clearTimeout(slow);
    }
  }
  return { tally, differing };
}

function report() {
  for (const { kind, query, differences } of differing.slice(0, SHOWN)) {
    console.log(`\nDIFFERENT (${kind}) ${query}\n    ${decodeURIComponent(query)}`);
    for (const difference of differences) console.log(`    ${difference}`);
  }
  if (differing.length > SHOWN) console.log(`\n… and ${differing.length - SHOWN} more`);
  console.log('\nkind                 queries  that find something  given up  different');
  for (const [kind, { asked, found, givenUp, different }] of tally) {
    const columns = [String(asked).padStart(7), String(found).padStart(20), String(givenUp).padStart(9), String(different).padStart(10)];
    console.log(`${kind.padEnd(20)} ${columns.join(' ')}`);
  }
  const verdict = differing.length === 0 ? 'all as the oracle says' : `${differing.length} different; repeat with --seed ${seed}`;
  console.log(`search oracle: ${queries.length} queries over ${store.size} resources, ${verdict}`);
}
