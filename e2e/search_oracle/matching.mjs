// Whether values of a resource match one value of a query: R4's rules for each type of parameter, for one alternative of a list.
// `sought` is as written in the query, still escaped. A query that makes no sense throws.

import ucum from '@lhncbc/ucum-lhc';
import Decimal from 'decimal.js';

import { numberFits, prefixOf, soughtNumber, timeFits, timeRange } from './ranges.mjs';
import { normalise, split, unescape } from './text.mjs';

const units = ucum.UcumLhcUtils.getInstance();
const UCUM = 'http://unitsofmeasure.org';

const noSense = (sought) => new Error(`the oracle cannot read '${sought}'`);

// `modifier` is undefined for none. `leads` tells of references; see references.mjs.
export function matches(parameter, modifier, sought, values, leads) {
  if (parameter.type === 'reference') return values.some((value) => leads(value, modifier, sought, parameter.target));
  return MATCHERS[parameter.type](modifier, sought, values, parameter, leads);
}

const MATCHERS = {
  token(modifier, sought, values, { implied }) {
    switch (modifier) {
      case undefined:
      case 'not': // The caller turns it round, for the whole list.
        return values.some((value) => isToken(sought, value.isCode && implied ? { ...value, system: implied } : value));
      case 'text': {
        // "Partial searches on the text portion": as Lethe understands that, from the beginning of any word.
        const words = ` ${normalise(unescape(sought))}`;
        return values.some(({ texts = [] }) => texts.some((text) => text && ` ${normalise(text)}`.includes(words)));
      }
      case 'of-type': {
        const [system, code, own] = split(sought, '|').map(unescape);
        return values.some((value) => value.code === own && value.types?.some((type) => type.system === system && type.code === code));
      }
      default:
        throw noSense(`:${modifier}`);
    }
  },

  string(modifier, sought, values) {
    const text = unescape(sought);
    switch (modifier) {
      case undefined:
        return values.some((value) => normalise(value).startsWith(normalise(text)));
      case 'contains':
        return values.some((value) => normalise(value).includes(normalise(text)));
      case 'exact':
        return values.includes(text);
      default:
        throw noSense(`:${modifier}`);
    }
  },

  uri(modifier, sought, values) {
    const own = unescape(sought);
    const continues = (longer, shorter) => longer === shorter || longer.startsWith(`${shorter.replace(/\/$/, '')}/`);
    // R4 compares URIs as they are, and says nothing of canonicals among them (`_profile`): Lethe takes them as it must where they are
    // references, without a version for any version.
    const comparable = ({ uri, isCanonical }) => (isCanonical && !own.includes('|') ? uri.split('|')[0] : uri);
    switch (modifier) {
      case undefined:
        return values.some((value) => comparable(value) === own);
      case 'below':
        return values.some((value) => continues(comparable(value), own));
      case 'above':
        return values.some((value) => continues(own, comparable(value)));
      default:
        throw noSense(`:${modifier}`);
    }
  },

  date(_modifier, sought, values) {
    const [prefix, text] = prefixOf(sought);
    const range = timeRange(text);
    if (!range) throw noSense(sought);
    return values.some((value) => timeFits(prefix, range, value));
  },

  number(_modifier, sought, values) {
    const [prefix, text] = prefixOf(sought);
    const number = soughtNumber(text);
    if (!number) throw noSense(sought);
    return values.some((value) => numberFits(prefix, number, value));
  },

  quantity(_modifier, sought, values) {
    const [number, system, code] = split(sought, '|').map(unescape);
    const [prefix, text] = prefixOf(number);
    const range = soughtNumber(text);
    if (!range) throw noSense(sought);
    return values.some((value) => {
      const converted = inUnit(value, system, code);
      return converted !== undefined && numberFits(prefix, range, converted);
    });
  },

  // A tuple of values; each node must fit in all of its components.
  composite(_modifier, sought, nodes, parameter, leads) {
    const parts = split(sought, '$');
    if (parts.length !== parameter.components.length) throw noSense(sought);
    return nodes.some((components) =>
      components.every((values, at) => matches(parameter.components[at], undefined, parts[at], values, leads)),
    );
  },

  // Location?near=latitude|longitude|distance|unit.
  special(_modifier, sought, values) {
    const [latitude, longitude, distance, unit] = split(sought, '|');
    const metres = Number(distance) * { km: 1000, m: 1 }[unit];
    return values.some((value) => distanceInMetres(value, { latitude: +latitude, longitude: +longitude }) <= metres);
  },
};

// `code`, `system|code`, `|code`, `system|`.
export function isToken(sought, { system, code, isCode }) {
  const parts = split(sought, '|').map(unescape);
  if (parts.length === 1) return code !== undefined && code === parts[0];
  if (parts.length !== 2) throw noSense(sought);
  const [soughtSystem, soughtCode] = parts;
  if (isCode && soughtSystem !== '' && system === undefined)
    throw new Error('the system of a code follows from its binding, which the oracle does not know');
  if (soughtSystem === '') return system === undefined && code === soughtCode && code !== undefined;
  return system === soughtSystem && (soughtCode === '' || code === soughtCode);
}

// The value in the unit that a query names; undefined if it has none that compares.
function inUnit(value, system, code) {
  if (system === undefined) return value;
  if (system === '') return value.code === code || value.unit === code ? value : undefined;
  if (value.system !== system) return undefined;
  if (code === '' || value.code === code) return value;
  if (system !== UCUM) return undefined;
  const [own, sought] = [unitOf(value.code), unitOf(code)];
  if (!own || !sought || !own.dim_.equals(sought.dim_)) return undefined;
  // Units on scales of their own, such as Celsius.
  if (own.cnv_ || sought.cnv_) return undefined;
  // Conversion rounds: what is a hair off is the same.
  const convert = (number) => number.times(own.magnitude_).div(sought.magnitude_).toSignificantDigits(12);
  return { low: convert(value.low), high: convert(value.high) };
}

const known = new Map();

// UCUM's definition of a unit; undefined if it is none. A mole is a number there as any other; ucum-lhc's conversion thinks otherwise.
function unitOf(code) {
  if (code && !known.has(code)) known.set(code, units.getSpecifiedUnit(code, 'validate').unit ?? undefined);
  return known.get(code);
}

// Great circle, haversine, on a sphere of the earth's mean radius.
export function distanceInMetres(one, other) {
  const radians = (degrees) => (degrees * Math.PI) / 180;
  const [latitude, longitude] = [radians(other.latitude - one.latitude), radians(other.longitude - one.longitude)];
  const chord =
    Math.sin(latitude / 2) ** 2 + Math.cos(radians(one.latitude)) * Math.cos(radians(other.latitude)) * Math.sin(longitude / 2) ** 2;
  return 2 * 6_371_008.8 * Math.asin(Math.min(1, Math.sqrt(chord)));
}
