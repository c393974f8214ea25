// Where references lead (https://hl7.org/fhir/R4/search.html#reference): which of them a query's value names, and the resource behind one.

import { isToken } from './matching.mjs';
import { unescape } from './text.mjs';

const LOCAL = /^([A-Z][A-Za-z]+)\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;

// `Type/id` of a reference to a resource of the server at `base`, relative or absolute, without its version; undefined for any other.
export function localKey(text, base) {
  if (text === undefined) return undefined;
  const match = LOCAL.exec(text.startsWith(`${base}/`) ? text.slice(base.length + 1) : text);
  return match ? `${match[1]}/${match[2]}` : undefined;
}

const withoutVersion = (canonical) => canonical.split('|')[0];

// Tells whether a reference value is named by a query's value, for a server at `base`. An id alone is one of the `types` that the parameter
// may lead to.
export function leadsAt(base) {
  return ({ reference, canonical, identifier, only }, modifier, sought, types) => {
    if (modifier === 'identifier') {
      return identifier !== undefined && isToken(sought, { system: identifier.system, code: identifier.value });
    }
    const text = unescape(sought);
    if (canonical !== undefined) return text.includes('|') ? canonical === text : withoutVersion(canonical) === text;
    const key = localKey(reference, base);
    const type = key?.split('/')[0] ?? reference?.match(/([A-Z][A-Za-z]+)\/[^/]+(\/_history\/[^/]+)?$/)?.[1];
    if ((only && type !== only) || (modifier && type !== modifier)) return false;
    if (key !== undefined) {
      const isAllowed = !types || types.includes(type);
      return (isAllowed && key.split('/')[1] === text) || key === localKey(text, base);
    }
    return reference === text;
  };
}

// By what each contained resource that was reached is contained: it may refer to what stands beside it.
const containers = new WeakMap();

// The resource that a reference leads to: one of `store`, or one that `holder` contains. Undefined if it leads nowhere.
export function target({ reference, only }, holder, store, base) {
  const container = containers.get(holder) ?? holder;
  const isWithin = reference?.startsWith('#');
  const found = isWithin
    ? (container.contained ?? []).find((contained) => contained.id === reference.slice(1))
    : store.get(localKey(reference, base));
  if (found && isWithin) containers.set(found, container);
  return found && (!only || found.resourceType === only) ? found : undefined;
}
