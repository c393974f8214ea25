// What of a selected value counts in a search, by https://hl7.org/fhir/R4/search.html and the forms that the dump uses. Written anew, not
// after Lethe's code: whoever changes the one, leaves the other alone until he knows which is right.

import { createHash } from 'node:crypto';
import r4 from 'fhirpath/fhir-context/r4/index.js';
import ucumLhc from '@lhncbc/ucum-lhc';

const ucum = ucumLhc.UcumLhcUtils.getInstance();
const UCUM = 'http://unitsofmeasure.org';

/// Units that no factor leads to base units: Lethe keeps no canonical quantity for them.
const LOGARITHMIC = /^(\[pH\]|.?B(\[.*\])?|.?Np|bit_s|\[hp'_[XCMQ]\]|\[p'diop\]|%\[slope\])$/;

/// [facet, value] for each of the selected nodes.
export function readings(parameter, selected, resource) {
  if (parameter.code === 'composition' || parameter.code === 'message') {
    return firstEntry(resource, parameter.code === 'composition' ? 'Composition' : 'MessageHeader');
  }
  const type = parameter.code === 'near' ? 'position' : parameter.type;
  return selected.flatMap((node) => byType[type](node)).filter(Boolean);
}

const byType = { token, reference, string, date, number, quantity, uri, position };

const list = (value) => (value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]);
const isText = (value) => typeof value === 'string' && value !== '';
const hash = (system) => createHash('sha256').update(system).digest('hex').slice(0, 16);
const normal = (text) => cut(text.normalize('NFD').replace(/\p{M}/gu, '').split(/\s+/u).filter(Boolean).join(' ').toLowerCase());

/// Texts of more than 256 bytes keep 224, and half of the hash of the whole.
function cut(text) {
  const bytes = Buffer.from(text.replaceAll('\0', ' '));
  if (bytes.length <= 256) {
    return text.replaceAll('\0', ' ');
  }
  return bytes.subarray(0, 224).toString('utf8') + createHash('sha256').update(text).digest('hex').slice(0, 32);
}

const code = (system, text) => (isText(text) ? ['value', [cut(text), isText(system) ? hash(system) : '']] : undefined);
const text = (value) => (isText(value) ? ['text', normal(value)] : undefined);

function token({ data, datatype }) {
  switch (datatype) {
    case 'Coding':
      return [code(data.system, data.code), text(data.display)];
    case 'CodeableConcept':
      return [text(data.text), ...list(data.coding).flatMap((coding) => token({ data: coding, datatype: 'Coding' }))];
    case 'Identifier': {
      const typed = list(data.type?.coding).filter((one) => isText(one.system) && isText(one.code) && isText(data.value));
      const ofType = typed.map((one) => ['of-type', [cut(data.value), hash(one.system), cut(one.code)]]);
      return [code(data.system, data.value), text(data.type?.text), ...ofType];
    }
    case 'ContactPoint':
      return [code(undefined, data.value)];
    case 'boolean':
      return [code(undefined, String(data))];
    default:
      return typeof data === 'string' ? [code(undefined, data)] : [];
  }
}

function string({ data, datatype }) {
  const parts = {
    HumanName: ['text', 'family', 'given', 'prefix', 'suffix'],
    Address: ['text', 'line', 'city', 'district', 'state', 'postalCode', 'country'],
  }[datatype];
  const texts = parts ? parts.flatMap((part) => list(data[part])) : [data];
  return texts.filter(isText).map((one) => ['value', [normal(one), cut(one)]]);
}

function uri({ data }) {
  return isText(data) ? [['value', cut(data)]] : [];
}

/// Which types there are, as the engine's model says.
const isType = (name) => ['Resource', 'DomainResource'].includes(r4.type2Parent[name]) && name !== 'DomainResource';

function local(url) {
  const match = /^([A-Z]\w+)\/([A-Za-z0-9.-]{1,64})(\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(url);
  return match && isType(match[1]) ? { type: match[1], id: match[2] } : undefined;
}

function reference({ data, datatype, onlyTarget }) {
  const read = [];
  if (datatype === 'Reference') {
    if (isText(data.reference)) {
      read.push(...target(data.reference, onlyTarget));
    }
    // It is there, wherever it leads.
    const leads = isText(data.reference) && target(data.reference).length > 0;
    if (!leads && Object.keys(data).some((name) => name !== 'id' && name !== 'extension')) {
      read.push(['text', '']);
    }
    if (data.identifier) {
      const [, own] = code(data.identifier.system, data.identifier.value) ?? [];
      read.push(own && ['identifier', own]);
    }
  } else if (isText(data) && !data.startsWith('#')) {
    const found = local(data.split('|')[0]);
    read.push(['value', found ? `${found.type}/${found.id}` : cut(data)]);
  }
  return read;
}

function target(url, onlyTarget) {
  const found = local(url);
  if (found) {
    return !onlyTarget || found.type === onlyTarget ? [['value', `${found.type}/${found.id}`]] : [];
  }
  // What is elsewhere may be of any type: neither side says.
  return /^[A-Za-z][A-Za-z0-9+.-]*:/.test(url) && !onlyTarget ? [['value', cut(url.split('/_history/')[0])]] : [];
}

function firstEntry(bundle, expected) {
  const entry = bundle.entry?.[0];
  if (entry?.resource?.resourceType !== expected) {
    return [];
  }
  const own = isText(entry.resource.id) ? target(`${expected}/${entry.resource.id}`) : [];
  return [...own, ...(isText(entry.fullUrl) ? target(entry.fullUrl) : [])];
}

function date({ data, datatype }) {
  switch (datatype) {
    case 'date':
    case 'dateTime':
    case 'instant': {
      const span = moment(data);
      return span ? [['value', span]] : [];
    }
    case 'Period': {
      const span = period(data);
      return span ? [['value', span]] : [];
    }
    case 'Timing': {
      const bounds = period(data.repeat?.boundsPeriod ?? {});
      const spans = [...list(data.event).map(moment), bounds].filter(Boolean);
      if (spans.length === 0) {
        return [];
      }
      const lows = spans.map(([low]) => low);
      const highs = spans.map(([, high]) => high);
      return [['value', [lows.includes(null) ? null : Math.min(...lows), highs.includes(null) ? null : Math.max(...highs)]]];
    }
    default:
      return [];
  }
}

function period({ start, end }) {
  const [low] = (isText(start) && moment(start)) || [null];
  const [, high] = (isText(end) && moment(end)) || [null, null];
  return low === null && high === null ? undefined : [low, high];
}

/// [first millisecond, first after]: as much as is written down, in UTC if nothing else is said.
function moment(written) {
  const match = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/.exec(written);
  if (!match) {
    return undefined;
  }
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const utc = (y, m, d, ...rest) => {
    const at = new Date(Date.UTC(2000, m, d, ...rest));
    at.setUTCFullYear(y, m, d);
    return at.getTime();
  };
  if (!month) {
    return [utc(+year, 0, 1), utc(+year + 1, 0, 1)];
  }
  if (!day) {
    return [utc(+year, month - 1, 1), month === '12' ? utc(+year + 1, 0, 1) : utc(+year, +month, 1)];
  }
  const start = utc(+year, month - 1, +day);
  if (!hour) {
    return [start, start + 86_400_000];
  }
  const offset = zone && zone !== 'Z' ? (zone[0] === '-' ? -1 : 1) * (60 * zone.slice(1, 3) + +zone.slice(4)) : 0;
  const digits = (fraction ?? '').slice(0, 3);
  const low = start + hour * 3_600_000 + (minute - offset) * 60_000 + (second ?? 0) * 1_000 + +digits.padEnd(3, '0');
  const width = second === undefined ? 60_000 : 10 ** (3 - digits.length);
  return [low, low + width];
}

function number({ data, datatype }) {
  if (datatype === 'Range') {
    return [data.low, data.high].filter((end) => typeof end?.value === 'number').map((end) => ['value', end.value]);
  }
  return typeof data === 'number' ? [['value', data]] : [];
}

/// The quantities that a value consists of.
function quantities({ data, datatype }) {
  const inner = { Range: [data.low, data.high], SampledData: [data.origin] }[datatype] ?? [data];
  return inner.filter((one) => typeof one?.value === 'number');
}

function quantity(node) {
  if (node.datatype === 'Money') {
    const { value, currency } = node.data;
    return typeof value === 'number' ? [['value', [value, hash('urn:iso:std:iso:4217'), currency ?? '', null]]] : [];
  }
  return quantities(node).map(({ value, system, code, unit }) => {
    const other = isText(code) && isText(unit) && unit !== code ? cut(unit) : null;
    return ['value', [value, isText(system) ? hash(system) : '', cut(code || unit || ''), other]];
  });
}

/// What is wrong with the quantities in canonical units, by the judgement of ucum-lhc. It counts moles as a dimension of their own, UCUM as a
/// number: 6.02214076e23 of them.
export function isCanonicalRight(selected, canonical) {
  const faults = [];
  for (const { value, system, code } of selected.filter(({ datatype }) => datatype !== 'Money').flatMap(quantities)) {
    if (system !== UCUM || !isText(code) || LOGARITHMIC.test(code) || ucum.validateUnitString(code).status !== 'valid') {
      continue;
    }
    const isClose = (own, unit, factor) => {
      const { status, toVal } = ucum.convertUnitTo(code, value, unit);
      return status === 'succeeded' && Math.abs(toVal * factor - own) <= 1e-9 * Math.abs(own);
    };
    const isRight = ([own, unit]) => isClose(own, unit, 1) || isClose(own, `${unit}.mol`, 6.02214076e23);
    if (!canonical.some(isRight)) {
      faults.push(`no canonical quantity for ${value} ${code} among ${JSON.stringify(canonical)}`);
    }
  }
  return faults;
}

function position({ data }) {
  const { latitude, longitude } = data;
  return typeof latitude === 'number' && typeof longitude === 'number' ? [['value', [latitude, longitude]]] : [];
}
