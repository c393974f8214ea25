// Writes resources of every type with nearly every element filled, so that nearly every parameter finds something: node generate.mjs FOLDER
//
// What elements there are, it takes from fhirpath.js's model of R4. The same each time; the values mean nothing.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import r4 from 'fhirpath/fhir-context/r4/index.js';

const DEPTH_MAX = 5;
const VARIANTS_MAX = 24;
const SOMETIMES = [true, ...Array(9).fill(false)];
const LEFT_OUT = ['id', 'extension', 'modifierExtension', 'contained', 'text', 'implicitRules'];

const children = new Map();
for (const path of Object.keys(r4.path2Type)) {
  const at = path.lastIndexOf('.');
  const parent = path.slice(0, at);
  children.set(parent, [...(children.get(parent) ?? []), path.slice(at + 1)]);
}
const types = Object.keys(r4.type2Parent).filter((name) => ['Resource', 'DomainResource'].includes(r4.type2Parent[name]));

/// Counts values, so that no two are alike.
let count = 0;
/// Chance that is the same each time (a linear congruence, Numerical Recipes).
let chance = 1;

function pick(values) {
  count += 1;
  chance = (Math.imul(chance, 1664525) + 1013904223) >>> 0;
  return values[Math.floor((chance / 2 ** 32) * values.length)];
}

export function generate(folder) {
  mkdirSync(folder, { recursive: true });
  for (const type of types.filter((name) => name !== 'DomainResource' && children.has(name))) {
    [count, chance] = [0, 1];
    const lines = [];
    for (let variant = 0; variant < VARIANTS_MAX; variant += 1) {
      const resource = { resourceType: type, id: `${type.slice(0, 40)}-${variant}`, ...filled(type, variant, 0) };
      lines.push(JSON.stringify(resource));
    }
    writeFileSync(join(folder, `${type}.ndjson`), lines.join('\n') + '\n');
  }
}

/// An element with everything below it; of each choice, one.
function filled(path, variant, depth) {
  const element = {};
  for (const name of children.get(path) ?? []) {
    const own = `${path}.${name}`;
    // A variant leaves something out here and there, so that absence is seen, too.
    if (LEFT_OUT.includes(name) || !isChosen(path, name, variant) || pick(SOMETIMES)) {
      continue;
    }
    const value = () => valueOf(own, r4.path2Type[own], variant, depth + 1);
    const list = r4.path2Repeating[own];
    const values = (list && depth < 3 ? [value(), value()] : [value()]).filter((one) => one !== undefined);
    if (values.length > 0) {
      element[name] = list ? values : values[0];
    }
  }
  return Object.keys(element).length > 0 ? element : undefined;
}

function isChosen(path, name, variant) {
  for (let length = 1; length < name.length; length += 1) {
    const choices = r4.choiceTypePaths[`${path}.${name.slice(0, length)}`];
    if (choices?.includes(name.slice(length))) {
      return choices[variant % choices.length] === name.slice(length);
    }
  }
  return true;
}

function valueOf(path, type, variant, depth) {
  if (special[path]) {
    return pick(special[path]);
  }
  if (type === 'Resource') {
    return { resourceType: pick(['Composition', 'MessageHeader', 'Patient']), id: `inner-${count}` };
  }
  if (leaves[type]) {
    return leaves[type](path);
  }
  if (depth > DEPTH_MAX) {
    return undefined;
  }
  const elsewhere = r4.pathsDefinedElsewhere[path];
  return filled(elsewhere ?? (children.has(path) ? path : type), variant, depth);
}

const special = {
  'ContactPoint.system': ['phone', 'email', 'fax', 'url'],
  'RelatedArtifact.type': ['composed-of', 'depends-on', 'derived-from', 'predecessor', 'successor', 'citation'],
};

const urls = [
  () => `http://example.org/thing/${count}`,
  () => `http://example.org/thing/${count}|1.${count}`,
  () => `urn:oid:1.2.3.${count}`,
  () => `Questionnaire/q-${count}`,
  () => `#contained-${count}`,
];
const url = () => pick(urls)();
const text = () => pick(texts)();
const texts = [
  () => `Plain text ${count}`,
  () => `Ünïcode  Çödé ${count}`,
  () => `UPPER\tand lower\n${count}`,
  () => `plain ${count}`,
  () => `Long ${'and longer é'.repeat(30)} ${count}`,
];
const dates = ['2020', '2019-12', '2020-02', '2020-02-29', '1969-12-31'];
const times = [
  ...dates,
  '2020-02-29T23:59:59Z',
  '2020-02-29T23:59:59.5+05:30',
  '2020-01-01T00:00:00.123456-08:00',
  '1969-12-31T23:59:59.999Z',
  '2020-12-31T12:30:00',
];
const decimal = () => pick([1.5, 0.1, -3, 1e3, 123456789.125, 0, 37.2, 1e-7, 98.6]) + (count % 7);
const integer = () => count % 1000;
const units = ['mg', 'kg', 'mm[Hg]', 'mmol/L', 'Cel', '[degF]', '/min', '{beats}/min', '%', '10*3/uL', 'U/L', 'kg/m2', 'h', 'a', 'wk', '[in_i]',
  '[lb_av]', '[pH]', 'foo', 'g/dL', 'L', '1', 'mL/min/{1.73_m2}', 'dB'];

function quantity() {
  const code = pick(units);
  return pick([
    () => ({ value: decimal(), unit: `${code} (${count})`, system: 'http://unitsofmeasure.org', code }),
    () => ({ value: decimal(), unit: code, system: 'http://unitsofmeasure.org', code }),
    () => ({ value: decimal(), unit: code }),
    () => ({ value: decimal(), comparator: '<', system: 'http://example.org/units', code }),
    () => ({ value: decimal() }),
    () => ({ unit: code, system: 'http://unitsofmeasure.org', code }),
  ])();
}

/// Both ends in the same unit, the higher one last, as R4 wants it; here and there one is open.
function range() {
  const { comparator, ...low } = quantity();
  const high = low.value === undefined ? low : { ...low, value: low.value + 1 + (count % 5) };
  return pick([() => ({ low, high }), () => ({ low }), () => ({ high })])();
}

function reference(path) {
  const allowed = r4.path2RefType[path] ?? ['Patient'];
  const type = pick(allowed);
  const named = type === 'Resource' ? pick(['Patient', 'Observation', 'Binary']) : type;
  return pick([
    () => ({ reference: `${named}/r-${count}` }),
    () => ({ reference: `${named}/R.${count}/_history/2`, display: text() }),
    () => ({ reference: `https://example.org/fhir/${named}/${count}` }),
    () => ({ reference: `https://example.org/fhir/${named}/${count}/_history/4` }),
    () => ({ reference: `urn:uuid:0190a6e2-7c1b-7000-8000-${String(count).padStart(12, '0')}` }),
    () => ({ reference: `#contained-${count}` }),
    () => ({ type: named, identifier: { system: 'http://example.org/ids', value: `i${count}` } }),
    () => ({ reference: `${named}/0190a6e2-7c1b-7000-8000-${String(count).padStart(12, '0')}`, identifier: { value: `v${count}` } }),
    () => ({ display: text() }),
  ])();
}

const coding = () =>
  pick([
    () => ({ system: 'http://example.org/codes', code: `c${count}`, display: text() }),
    () => ({ system: 'http://example.org/codes', code: `c${count}` }),
    () => ({ code: `Code ${count}`, display: text() }),
    () => ({ system: 'http://example.org/codes', display: text() }),
  ])();
const concept = () => pick([() => ({ coding: [coding(), coding()], text: text() }), () => ({ coding: [coding()] }), () => ({ text: text() })])();
const identifier = () =>
  pick([
    () => ({ system: 'http://example.org/ids', value: `id ${count}`, type: concept() }),
    () => ({ value: `id-${count}`, type: { coding: [{ system: 'http://example.org/types', code: `T${count}` }], text: text() } }),
    () => ({ system: 'http://example.org/ids' }),
  ])();
const period = () =>
  pick([() => ({ start: pick(times), end: '2021' }), () => ({ start: pick(times) }), () => ({ end: pick(times) }), () => ({})])();

const leaves = {
  boolean: () => pick([true, false]),
  integer,
  positiveInt: () => integer() + 1,
  unsignedInt: integer,
  decimal,
  string: text,
  markdown: text,
  code: () => `code-${count++}`,
  id: () => `id-${count++}`,
  uri: url,
  url,
  canonical: url,
  oid: () => `urn:oid:1.2.${count++}`,
  uuid: () => 'urn:uuid:0190a6e2-7c1b-7000-8000-000000000001',
  base64Binary: () => 'AAAA',
  xhtml: () => '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
  date: () => pick(dates),
  dateTime: () => pick(times),
  instant: () => pick(times.slice(dates.length)),
  time: () => '12:30:00',
  'System.String': () => `s${count++}`,
  Coding: coding,
  CodeableConcept: concept,
  Identifier: identifier,
  Period: period,
  Quantity: quantity,
  Range: range,
  Age: quantity,
  Count: quantity,
  Distance: quantity,
  Duration: quantity,
  Reference: reference,
};
