// R4's search parameters by type and code, with their expressions taken apart as far as the FHIRPath engine needs it.

import { readFileSync } from 'node:fs';

const { parameters, compartments } = JSON.parse(readFileSync(new URL('./definitions.json', import.meta.url), 'utf8'));

// What has no expression, is not in the resource's JSON as such, or is for each server to define.
const LEFT_OUT = new Set(['_text', '_content', '_query', 'phonetic']);

// `A | B` at the top of an expression, as its parts.
function alternativesOf(expression) {
  const parts = [''];
  let depth = 0;
  for (const letter of expression) {
    if (letter === '(') depth += 1;
    if (letter === ')') depth -= 1;
    if (letter === '|' && depth === 0) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts.map((part) => part.trim());
}

// R4 writes `as` where several values can stand; FHIRPath allows it for one only, and names the same for several `ofType`.
const forSeveral = (expression) => expression.replace(/ as (\w+)\)/g, '.ofType($1))').replace(/\.as\(/g, '.ofType(');

const RESOLVES = /\.where\(resolve\(\) is (\w+)\)/;

function prepared(parameter) {
  // A filter on what a reference resolves to is taken out and applied to the reference's type, for the engine cannot follow references.
  const alternatives = alternativesOf(parameter.expression).map((part) => {
    const only = part.match(RESOLVES)?.[1];
    return { expression: forSeveral(part.replace(RESOLVES, '')), only };
  });
  const components = parameter.components?.map(({ type, expression }) => ({ type, expression: forSeveral(expression) }));
  return { ...parameter, alternatives, components };
}

// The system of a code that has none of its own follows from its binding; of some, for queries that name it.
const IMPLIED = {
  'Patient gender': 'http://hl7.org/fhir/administrative-gender',
  'Practitioner gender': 'http://hl7.org/fhir/administrative-gender',
  'RelatedPerson gender': 'http://hl7.org/fhir/administrative-gender',
  'Observation status': 'http://hl7.org/fhir/observation-status',
  'Encounter status': 'http://hl7.org/fhir/encounter-status',
  'Procedure status': 'http://hl7.org/fhir/event-status',
  'DocumentReference status': 'http://hl7.org/fhir/document-reference-status',
};

// R4 shares one definition of these among many types; its targets are those of all of them, and not each type has them all.
const NARROWER = { patient: ['Patient'], encounter: ['Encounter'] };
const targetsOf = ({ code, target }) => NARROWER[code] ?? target;

const byBase = new Map();
for (const parameter of parameters) {
  if (!parameter.expression || LEFT_OUT.has(parameter.code)) continue;
  const ready = prepared(parameter);
  for (const base of parameter.base) {
    if (!byBase.has(base)) byBase.set(base, new Map());
    byBase.get(base).set(parameter.code, { ...ready, target: targetsOf(ready), implied: IMPLIED[`${base} ${parameter.code}`] });
  }
}

// Undefined if there is none of that code.
export function parameterOf(type, code) {
  return byBase.get(type)?.get(code) ?? byBase.get('Resource').get(code);
}

// The parameters of a type's own, in order of code.
export function parametersOf(type) {
  return [...(byBase.get(type)?.values() ?? [])].sort((one, other) => (one.code < other.code ? -1 : 1));
}

// The codes of the parameters by which a resource of `type` belongs to a compartment; undefined if it never does.
export function compartmentParameters(compartment, type) {
  return compartments[compartment]?.[type];
}

export const compartmentTypes = Object.keys(compartments);
