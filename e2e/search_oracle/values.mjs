// What a search parameter selects of a resource, by the FHIRPath engine and the parameter's own expression; and how R4 reads the selected
// elements for each type of parameter (https://hl7.org/fhir/R4/search.html#table).

import Decimal from 'decimal.js';
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4';

import { timeRange } from './ranges.mjs';

const compiled = new Map();

function evaluate(expression, node, variables) {
  if (!compiled.has(expression)) compiled.set(expression, fhirpath.compile(expression, r4, { resolveInternalTypes: false }));
  return compiled.get(expression)(node, variables);
}

// The elements, each with the name of its type and whatever `only` says of it.
function elements(expression, node, variables, only) {
  const found = evaluate(expression, node, variables);
  const types = fhirpath.types(found);
  return found.map((element, at) => ({ element, type: types[at].replace(/^(FHIR|System)\./, ''), only }));
}

// FHIRPath's nodes wrap what the JSON has; what an expression computed is itself.
function plain(element) {
  const own = element?.constructor?.name === 'ResourceNode' ? element.data : element;
  return typeof own?.asStr === 'string' ? Number(own.asStr) : own;
}

const cache = new Map();

// The values of a parameter in a resource, in the form that the type of the parameter has below.
export function valuesOf(parameter, resource) {
  if (!cache.has(parameter)) cache.set(parameter, new WeakMap());
  const known = cache.get(parameter);
  if (!known.has(resource)) {
    known.set(resource, parameter.type === 'composite' ? composites(parameter, resource) : simple(parameter, resource));
  }
  return known.get(resource);
}

// Whether a parameter selects anything of a resource that is more than an extension.
export function isMissing(parameter, resource) {
  // What is no date, as an occurrence in words, is none for a parameter of dates.
  if (parameter.type === 'date') return valuesOf(parameter, resource).length === 0;
  const found = parameter.alternatives.flatMap(({ expression, only }) => elements(expression, resource, undefined, only));
  const says = (element) => {
    if (isPrimitive(element)) return true;
    return Object.keys(element).some((name) => name !== 'id' && name !== 'extension');
  };
  return !found.some(({ element, only }) => {
    const own = plain(element);
    return own !== null && own !== undefined && says(own) && (!only || mayLeadTo(own, only));
  });
}

// Whether a reference's own text says that it leads to a resource of `type`; one that says no type might.
function mayLeadTo({ reference }, type) {
  return reference?.match(/([A-Z][A-Za-z]+)\/[A-Za-z0-9.-]{1,64}(\/_history\/[^/]+)?$/)?.[1] === type;
}

function simple(parameter, resource) {
  const found = parameter.alternatives.flatMap(({ expression, only }) => elements(expression, resource, undefined, only));
  return found.flatMap((one) => read(parameter.type, { ...one, element: plain(one.element) }));
}

// For each node of the composite's own expression, the values of each component.
function composites(parameter, resource) {
  const nodes = parameter.alternatives.flatMap(({ expression }) => evaluate(expression, resource));
  return nodes.map((node) =>
    parameter.components.map(({ type, expression }) =>
      elements(expression, node, { resource }).flatMap((one) => read(type, { ...one, element: plain(one.element) })),
    ),
  );
}

function read(parameterType, { element, type, only }) {
  // A primitive that has extensions and no value.
  if (element === null || element === undefined) return [];
  const reader = READERS[parameterType];
  if (!reader) throw new Error(`no reader for parameters of type ${parameterType}`);
  return reader(element, type, only);
}

const isPrimitive = (element) => typeof element !== 'object';

const unreadable = (parameterType, type) =>
  new Error(`a ${parameterType} parameter selects a ${type}: the oracle does not know what that means`);

const READERS = {
  // { system, code, texts, types }: any of them may be missing; `types` are the codings of an identifier's type.
  token(element, type) {
    if (isPrimitive(element)) return [{ code: String(element), isCode: type === 'code', isBoolean: typeof element === 'boolean' }];
    switch (type) {
      case 'Coding':
        return [{ system: element.system, code: element.code, texts: [element.display] }];
      case 'CodeableConcept': {
        const codings = element.coding ?? [];
        const texts = [element.text, ...codings.map((coding) => coding.display)];
        const values = codings.map(({ system, code }) => ({ system, code }));
        return [...values, { texts }];
      }
      case 'Identifier':
        return [{ system: element.system, code: element.value, texts: [element.type?.text], types: element.type?.coding ?? [] }];
      case 'ContactPoint':
        return [{ code: element.value }];
      case 'Quantity':
      case 'Range':
      case 'Reference':
        // Group's characteristic-value says `value`, of whatever type.
        return [];
      default:
        throw unreadable('token', type);
    }
  },

  string(element, type) {
    if (isPrimitive(element)) return [String(element)];
    const listed = (...parts) => parts.flat().filter((part) => part !== undefined && part !== null);
    switch (type) {
      case 'HumanName':
        return listed(element.text, element.family, element.given ?? [], element.prefix ?? [], element.suffix ?? []);
      case 'Address': {
        const { text, line = [], city, district, state, postalCode, country } = element;
        return listed(text, line, city, district, state, postalCode, country);
      }
      default:
        throw unreadable('string', type);
    }
  },

  // { uri, isCanonical }: a canonical may have a version.
  uri(element, type) {
    if (isPrimitive(element)) return [{ uri: String(element), isCanonical: type === 'canonical' }];
    throw unreadable('uri', type);
  },

  // { low, high } in milliseconds, half open.
  date(element, type) {
    const whole = (text) => (text === undefined ? undefined : timeRange(text));
    const period = ({ start, end } = {}) =>
      start === undefined && end === undefined ? [] : [{ low: whole(start)?.low ?? -Infinity, high: whole(end)?.high ?? Infinity }];
    // An occurrence in words, even one that reads like a date, is none.
    if (isPrimitive(element)) return type === 'string' ? [] : [timeRange(String(element))].filter(Boolean);
    switch (type) {
      case 'Period':
        return period(element);
      case 'Timing': {
        // "Only the outer limits matter."
        const ranges = [...(element.event ?? []).filter(Boolean).map(timeRange), ...period(element.repeat?.boundsPeriod)];
        if (ranges.length === 0) return [];
        return [{ low: Math.min(...ranges.map(({ low }) => low)), high: Math.max(...ranges.map(({ high }) => high)) }];
      }
      case 'Age':
      case 'Range':
        // Procedure.performed may be one, and is then at no date.
        return [];
      default:
        throw unreadable('date', type);
    }
  },

  number(element, type) {
    if (isPrimitive(element)) return [point(element)];
    if (type === 'Range') return span(element);
    throw unreadable('number', type);
  },

  // As numbers, with system, code and unit.
  quantity(element, type) {
    switch (type) {
      case 'Range':
        return span(element);
      case 'SampledData':
        return amount(element.origin);
      case 'Money':
        return element.value === undefined ? [] : [{ ...point(element.value), system: 'urn:iso:std:iso:4217', code: element.currency }];
      default:
        if (isPrimitive(element)) throw unreadable('quantity', type);
        return amount(element);
    }
  },

  // { reference, identifier, only } or { canonical, only }.
  reference(element, type, only) {
    if (isPrimitive(element)) return [{ canonical: String(element), only }];
    if (type === 'Reference') return [{ reference: element.reference, identifier: element.identifier, only }];
    // The first entry of a document or message.
    return [];
  },

  // Location.position.
  special: (element) => [{ latitude: element.latitude, longitude: element.longitude }],
};

function point(number) {
  const exact = new Decimal(number);
  return { low: exact, high: exact };
}

function amount(quantity) {
  if (quantity?.value === undefined) return [];
  return [{ ...point(quantity.value), system: quantity.system, code: quantity.code, unit: quantity.unit }];
}

// A range that has no bound on one side goes on without end there.
function span({ low, high }) {
  if (low?.value === undefined && high?.value === undefined) return [];
  const { system, code, unit } = low?.value === undefined ? high : low;
  return [{ low: new Decimal(low?.value ?? -Infinity), high: new Decimal(high?.value ?? Infinity), system, code, unit }];
}
