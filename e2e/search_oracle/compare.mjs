// One query, asked of the server and of the oracle, and what is different.

import { GivenUp } from './http.mjs';
import { split } from './text.mjs';

// Fewer results than this are shown on small pages; more, on so many pages.
const PAGES = 6;

// Undefined if both agree; else what is to be said about it. What the server gives up is thrown.
export async function compare({ query }, { caller, oracle, store, random }) {
  const expected = oracle.search(query);
  const size = expected.found.size;
  const count = size <= 60 ? random.between(Math.max(1, Math.ceil(size / PAGES)), 20) : Math.min(1000, Math.ceil(size / PAGES));
  const byPost = random.chance(0.2) && !query.includes('/');
  let answer;
  try {
    answer = await caller.search(query, count, byPost);
  } catch (error) {
    if (error instanceof GivenUp) throw error;
    return [`_count=${count}${byPost ? ', by POST' : ''}: ${error.message}`];
  }
  const { matches, included, isCut } = answer;
  // What is said to be incomplete may be so, and must be right nevertheless.
  const awaited = isCut ? new Set([...expected.included].filter((key) => included.has(key))) : expected.included;
  const differences = [...setDifferences('match', new Set(matches), expected.found), ...setDifferences('include', included, awaited)];
  if (differences.length === 0 && expected.order) {
    const at = matches.findIndex((key, at) => at > 0 && expected.order(store.get(matches[at - 1]), store.get(key)) > 0);
    if (at > 0) differences.push(`out of order: ${matches[at - 1]} stands before ${matches[at]}`);
  }
  return differences.length > 0 ? differences : undefined;
}

function setDifferences(what, server, oracle) {
  const said = [];
  const say = (where, keys) => {
    if (keys.length > 0) said.push(`${what} only in ${where} (${keys.length}): ${keys.slice(0, 5).join(' ')}`);
  };
  say(
    'server',
    [...server].filter((key) => !oracle.has(key)),
  );
  say(
    'oracle',
    [...oracle].filter((key) => !server.has(key)),
  );
  return said;
}

// A shorter query with a difference too, if there is one: without one of its parameters or alternatives.
export async function reduced(one, context) {
  for (const query of shorter(one.query)) {
    const smaller = { ...one, query };
    const differences = await compare(smaller, context).catch(() => undefined);
    if (differences) return reduced(smaller, context);
  }
  return one;
}

function* shorter(query) {
  const [path, parameters] = query.split('?');
  const pairs = [...new URLSearchParams(parameters)];
  const written = (some) => `${path}?${some.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
  for (let at = 0; at < pairs.length; at += 1) {
    if (pairs.length > 1) yield written(pairs.toSpliced(at, 1));
    const alternatives = split(pairs[at][1], ',');
    for (let other = 0; alternatives.length > 1 && other < alternatives.length; other += 1) {
      yield written(pairs.with(at, [pairs[at][0], alternatives.toSpliced(other, 1).join(',')]));
    }
  }
}
