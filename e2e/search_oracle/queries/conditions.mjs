// One condition, made from a value that some resource has: what finds it, what just misses it, and what nothing has.
//
// A condition is `{ suffix, value }`: the modifier with its colon, or nothing; and the value as it stands in a query, not yet encoded.

import Decimal from 'decimal.js';

import { PREFIXES } from '../ranges.mjs';
import { localKey } from '../references.mjs';
import { escape, normalise } from '../text.mjs';

// Undefined if nothing can be asked about this value. `plain` conditions have no modifier, as the parts of a composite must.
export function conditionOn(parameter, value, context, isPlain = false) {
  const options = OPTIONS[parameter.type](value, context, parameter).filter(
    (option) => option !== undefined && option.value !== '' && !(isPlain && option.suffix),
  );
  return options.length > 0 ? context.random.pick(options) : undefined;
}

const is = (value) => ({ suffix: '', value });
const by = (suffix, value) => ({ suffix, value });

const flipped = (text) => (text === text.toUpperCase() ? text.toLowerCase() : text.toUpperCase());

const OPTIONS = {
  token({ system, code, texts = [], types = [], isCode, isBoolean }, { random }, parameter) {
    const own = code === undefined ? undefined : escape(String(code));
    const text = texts.find((one) => one && normalise(one) !== '');
    const word = text && random.pick(normalise(text).split(' '));
    const options = [];
    if (text && !parameter.code?.startsWith('_')) {
      options.push(by(':text', escape(text)), by(':text', escape(word)), by(':text', escape(word.slice(0, 3))), by(':text', 'zzz'));
    }
    if (own === undefined) return options;
    if (isBoolean) return [is(own), is('true'), is('false'), by(':not', own), is('true,false')];
    options.push(is(own), is(own), is(`${own},nothing`), is('nothing'), by(':not', own), by(':not', `${own},nothing`));
    if (own.length > 1 && parameter.code !== '_id' && !own.includes('\\')) options.push(is(own.slice(0, -1)));
    if (flipped(own) !== own && !own.includes('\\')) options.push(is(flipped(own)));
    const systemOfCode = isCode ? parameter.implied : undefined;
    if (systemOfCode) options.push(is(`${systemOfCode}|${own}`), is(`http://nowhere.example.org|${own}`), is(`${systemOfCode}|`));
    // Booleans, ids and ContactPoints have no systems.
    if (isCode || !('system' in arguments[0])) return options;
    const named = system === undefined ? '' : escape(system);
    options.push(is(`${named}|${own}`), is(`${named}|${own}`), is(`|${own}`), is(`http://nowhere.example.org|${own}`));
    options.push(by(':not', `${named}|${own}`));
    if (named !== '') options.push(is(`${named}|`), is(`${named}|nothing`));
    const type = types[0];
    if (type?.system && type.code) {
      options.push(by(':of-type', `${type.system}|${type.code}|${own}`), by(':of-type', `${type.system}|XX|${own}`));
      options.push(by(':of-type', `${type.system}|${type.code}|nothing`));
    }
    return options;
  },

  string(value, { random }) {
    const letters = [...value];
    const start = random.below(letters.length);
    const written = (from, to) => letters.slice(from, to).join('');
    const says = (text) => normalise(text) !== '';
    const options = [
      is(value),
      is(written(0, random.between(1, letters.length))),
      is(written(0, random.between(1, Math.min(4, letters.length)))),
      is(flipped(value)),
      is(normalise(value)),
      is(`${value.slice(0, 100)}zzz`),
      is('zzz'),
      by(':exact', value),
      by(':exact', flipped(value)),
      by(':exact', normalise(value)),
      by(':exact', written(0, letters.length - 1)),
      by(':contains', written(start, start + random.between(1, 5))),
      by(':contains', written(-4)),
      by(':contains', flipped(written(1, 5))),
      by(':contains', 'zzz'),
    ];
    const readable = options.filter((option) => says(option.value));
    return readable.map((option) => by(option.suffix, escape(option.value)));
  },

  uri({ uri: value }) {
    const parent = value.replace(/\/[^/]*$/, '');
    const options = [is(value), is(value), is(`${value}x`), is(value.slice(0, -1)), is(flipped(value)), by(':below', value)];
    if (/^https?:\/\/.+\/.+/.test(value)) options.push(by(':below', parent), by(':above', `${value}/x/y`), by(':above', value));
    return options.map((option) => by(option.suffix, escape(option.value)));
  },

  date(value, { random }) {
    const ends = [value.low, value.high].filter(Number.isFinite);
    const at = random.pick(ends) + random.pick([0, 0, 0, -1, 1, 1000, -86_400_000, 86_400_000, 31 * 86_400_000]);
    return Array.from({ length: 6 }, () => is(`${prefix(random)}${timeText(at, random)}`));
  },

  number(value, { random }) {
    return Array.from({ length: 6 }, () => is(`${prefix(random)}${numberText(finiteEnd(value, random), random)}`));
  },

  quantity(value, { random }) {
    const number = finiteEnd(value, random);
    const { system, code, unit } = value;
    const units = ['', '', '||nothing', '|http://nowhere.example.org|mg'];
    if (code) units.push(`||${escape(code)}`, `|${system ?? ''}|${escape(code)}`);
    if (code && system) units.push(`|${system}|${escape(code)}`, `|${system}|`);
    if (unit) units.push(`||${escape(unit)}`);
    const options = units.map((written) => is(`${prefix(random)}${numberText(number, random)}${written}`));
    const other = system === 'http://unitsofmeasure.org' && number.precision() <= 12 && CONVERSIONS[code];
    if (other) {
      const [factor, otherCode] = random.pick(other);
      const converted = () => is(`${prefix(random)}${numberText(number.times(factor), random)}|${system}|${otherCode}`);
      options.push(converted(), converted(), converted());
    }
    return options;
  },

  reference({ reference, canonical, identifier, only }, { random, base }, parameter) {
    const options = [];
    if (identifier?.value) {
      const own = escape(identifier.value);
      options.push(by(':identifier', `${escape(identifier.system ?? '')}|${own}`), by(':identifier', own), by(':identifier', 'nothing'));
    }
    if (canonical !== undefined) {
      // Some say where in the resource they lead, or are no URL.
      if (!/^(https?:\/\/|urn:)/.test(canonical)) return [];
      const url = escape(canonical.split('|')[0]);
      return [is(canonical.split('|').map(escape).join('|')), is(url), is(`${url}x`), is(`${url}|9`)];
    }
    if (reference === undefined || reference.startsWith('#')) return options;
    const key = localKey(reference, base);
    if (key === undefined) return [...options, is(escape(reference))];
    const [type, id] = key.split('/');
    if (!parameter.target?.includes(type) || (only && only !== type)) return options;
    options.push(
      is(key),
      is(key),
      is(id),
      is(`${base}/${key}`),
      is(`${type}/nothing`),
      is(`${key},${type}/nothing`),
      is(`${key}/_history/1`),
    );
    options.push(is(`http://elsewhere.example.org/fhir/${key}`), by(`:${type}`, id), by(`:${type}`, id));
    const other = parameter.target.find((target) => target !== type);
    if (other && !only) options.push(by(`:${other}`, id), is(`${other}/${id}`));
    return options;
  },

  composite(components, context, parameter) {
    if (components.some((values) => values.length === 0)) return [];
    const parts = components.map((values, at) => conditionOn(parameter.components[at], context.random.pick(values), context, true));
    // A list has its own commas; within a tuple there are none.
    if (parts.some((part) => part === undefined || /(?<!\\),/.test(part.value))) return [];
    return [is(parts.map((part) => part.value).join('$'))];
  },

  special({ latitude, longitude }, { random }) {
    const near = () => random.between(-30, 30) / 10;
    const written = (degrees, bound) => Math.max(-bound, Math.min(bound, degrees + near())).toFixed(2);
    return [is(`${written(latitude, 89)}|${written(longitude, 179)}|${random.pick([10, 200, 1000, 5000])}|km`)];
  },
};

const CONVERSIONS = {
  mg: [
    [0.001, 'g'],
    [1000, 'ug'],
  ],
  g: [
    [1000, 'mg'],
    [0.001, 'kg'],
  ],
  'mg/dL': [[0.01, 'g/L']],
  min: [[60, 's']],
  h: [[60, 'min']],
  d: [[24, 'h']],
  cm: [[0.01, 'm']],
};

const prefix = (random) => (random.chance(0.3) ? '' : random.pick(PREFIXES));

// A time, written with chance precision and zone.
function timeText(at, random) {
  const text = (moment, length) => new Date(moment).toISOString().slice(0, length);
  const zone = random.pick(['Z', 'Z', '', '+02:00', '-05:00']);
  const minutes = { '+02:00': 120, '-05:00': -300 }[zone] ?? 0;
  const local = at + minutes * 60_000;
  return random.pick([
    () => text(at, 4),
    () => text(at, 7),
    () => text(at, 10),
    () => `${text(local, 16)}${zone}`,
    () => `${text(local, 19)}${zone}`,
    () => `${text(local, 23)}${zone}`,
  ])();
}

function finiteEnd({ low, high }, random) {
  return random.pick([low, high].filter((end) => end.isFinite()));
}

// A number at or near `number`, written with more or fewer digits. Never a whole number with an exponent; see ranges.mjs.
function numberText(number, random) {
  // A float tells no more digits apart, so that nothing is near such a number; and whole numbers beyond it are written with an exponent.
  if (number.precision() > 15) return number.toFixed();
  if (number.abs().gt(1e15)) return number.toExponential(2).replace('e+', 'e');
  const decimals = number.decimalPlaces();
  const step = new Decimal(10).pow(-decimals);
  return random.pick([
    () => number.toFixed(),
    () => number.toFixed(),
    () => number.toFixed(decimals + 1),
    () => number.toFixed(Math.max(0, decimals - 1)),
    () => number.plus(step).toFixed(),
    () => number.minus(step).toFixed(),
    () => number.plus(step.div(2)).toFixed(),
    () => (number.isZero() ? '0' : number.toExponential(2).replace('e+', 'e')),
  ])();
}
