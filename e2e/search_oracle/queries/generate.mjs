// Which queries are compared, and how many of each kind.

import { Kinds } from './kinds.mjs';

// Tries for each query that is wanted: chance does not always find data for one.
const TRIES = 30;
// Parameters of types that few parameters have, but whose rules are many, are asked of so often.
const TIMES = { date: 3, number: 8, quantity: 8, composite: 4, special: 8 };
// Of so many in one, it is tried that they find something: of several conditions of chance, one always misses.
const FINDING = 0.7;

// Makes `{ kind, query }`, no query twice. `scale` multiplies how many there are of each kind.
export function generateQueries(context, scale) {
  const kinds = new Kinds(context);
  const { random } = context;
  const queries = new Map();
  const finds = (query) => {
    const { found, included } = context.oracle.search(query);
    return found.size > 0 && (included.size > 0 || !query.includes('include'));
  };
  const add = (kind, make) => {
    const mustFind = random.chance(FINDING);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const query = make();
      if (query && !queries.has(query) && (!mustFind || tries > TRIES / 2 || finds(query))) {
        queries.set(query, kind);
        return;
      }
    }
  };
  const several = (count, kind, make) => {
    for (let number = 0; number < Math.ceil(count * scale); number += 1) add(kind, make);
  };

  const parameters = [...kinds.eachParameter()];
  const chosen = scale >= 1 ? parameters : random.sample(parameters, Math.ceil(parameters.length * scale));
  for (const one of chosen) {
    for (let times = 0; times < Math.max(1, Math.round(scale * (TIMES[one.parameter.type] ?? 1))); times += 1)
      add(one.parameter.type, () => kinds.single(one));
  }
  several(50, 'missing', () => kinds.missing());
  several(60, 'and', () => kinds.and());
  several(60, 'or', () => kinds.or());
  several(60, 'chain of 1', () => kinds.chain(1));
  several(50, 'chain of 2', () => kinds.chain(2));
  several(40, 'chain of 3', () => kinds.chain(3));
  several(40, '_has', () => kinds.has(1));
  several(40, '_has, deeper', () => kinds.has(2));
  several(20, 'chain and more', () => kinds.chainAndMore());
  several(30, '_include', () => kinds.include());
  several(20, '_include:iterate', () => kinds.includeIterate());
  several(30, '_revinclude', () => kinds.revinclude());
  several(60, '_sort', () => kinds.sort());
  several(20, '_lastUpdated', () => kinds.lastUpdated());
  several(40, 'compartment', () => kinds.compartment());
  several(20, 'system', () => kinds.system());
  several(5, '_list', () => kinds.listed());
  several(8, '_text', () => kinds.text());
  return [...queries].map(([query, kind]) => ({ kind, query }));
}
