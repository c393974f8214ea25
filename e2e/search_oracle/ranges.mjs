// Ranges of time and of numbers, and R4's prefixes (https://hl7.org/fhir/R4/search.html#prefix).
//
// A range is half open, `[low, high)`; a point has `low === high` and is compared as that one number.

import Decimal from 'decimal.js';

export const PREFIXES = ['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'];

// The prefix, `eq` if there is none, and what follows it.
export function prefixOf(text) {
  const prefix = PREFIXES.find((known) => text.startsWith(known));
  return prefix ? [prefix, text.slice(2)] : ['eq', text];
}

const DATE = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/;

// All the time that a written date or time stands for, in milliseconds; without a time zone it is taken as UTC. Undefined if it is none.
export function timeRange(text) {
  const match = DATE.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const start = (...parts) => {
    const date = new Date(0);
    date.setUTCFullYear(parts[0], parts[1] ?? 0, parts[2] ?? 1);
    return date.getTime();
  };
  if (!month) return { low: start(+year), high: start(+year + 1) };
  if (!day) return { low: start(+year, +month - 1), high: start(+year, +month) };
  const midnight = start(+year, +month - 1, +day);
  if (!hour) return { low: midnight, high: midnight + 86_400_000 };
  const offset = !zone || zone === 'Z' ? 0 : (zone[0] === '-' ? -1 : 1) * (+zone.slice(1, 3) * 60 + +zone.slice(4)) * 60_000;
  const low = midnight + (+hour * 60 + +minute) * 60_000 - offset;
  if (second === undefined) return { low, high: low + 60_000 };
  const whole = low + +second * 1000;
  if (fraction === undefined) return { low: whole, high: whole + 1000 };
  // As precise as it is written, down to a millisecond.
  const exact = whole + Math.floor(Number(`0.${fraction}`) * 1000 + 1e-9);
  return { low: exact, high: exact + 10 ** Math.max(0, 3 - fraction.length) };
}

const DAY = 86_400_000;

// Whether a range of time that a resource has fits one that is looked for. Either of its ends may be infinite.
export function timeFits(prefix, sought, target) {
  const { low: p, high: q } = sought;
  const { low: l, high: h } = target;
  const within = p <= l && h <= q;
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return h > q;
    case 'lt':
      return l < p;
    case 'ge':
      return h > q || within;
    case 'le':
      return l < p || within;
    case 'sa':
      return l >= q;
    case 'eb':
      return h <= p;
    default: {
      // R4 leaves it to the server how near is near; Lethe says: a tenth of what is looked for, at least a day, to both sides.
      const by = Math.max(Math.trunc((q - p) / 10), DAY);
      return l < q + by && h > p - by;
    }
  }
}

const NUMBER = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/;

// A written number with the range that its digits imply: half a unit of the last digit to both sides. Undefined if it is none.
// (R4 contradicts itself on 1e2, "1 significant figure, [95, 105)": nothing here asks for a whole number with an exponent.)
export function soughtNumber(text) {
  if (!NUMBER.test(text)) return undefined;
  const exact = new Decimal(text);
  const [digits, exponent = '0'] = text.toLowerCase().split('e');
  const decimals = digits.split('.')[1]?.length ?? 0;
  const half = new Decimal(10).pow(Number(exponent) - decimals).div(2);
  return { exact, low: exact.minus(half), high: exact.plus(half) };
}

// Whether a number or range of numbers that a resource has (Decimals; ends may be infinite) fits what is looked for. All prefixes but eq,
// ne and ap take the number as exact.
export function numberFits(prefix, { exact, low, high }, target) {
  const { low: l, high: h } = target;
  const within = l.gte(low) && (l.eq(h) ? h.lt(high) : h.lte(high));
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return h.gt(exact);
    case 'lt':
      return l.lt(exact);
    case 'ge':
      return h.gte(exact);
    case 'le':
      return l.lte(exact);
    case 'sa':
      return l.gt(exact);
    case 'eb':
      return h.lt(exact);
    default: {
      // R4 recommends a tenth of the number; the digits count where they are vaguer.
      const tenth = exact.abs().div(10);
      return h.gte(Decimal.min(low, exact.minus(tenth))) && l.lte(Decimal.max(high, exact.plus(tenth)));
    }
  }
}
