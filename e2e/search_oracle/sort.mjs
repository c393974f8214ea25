// The order that `_sort` demands (https://hl7.org/fhir/R4/search.html#sort): of several values the one that comes first counts. R4 leaves
// open where resources without a value go; Lethe puts them last either way.

import { parameterOf } from './definitions.mjs';
import { compareTexts, normalise } from './text.mjs';
import { valuesOf } from './values.mjs';

// A comparison of resources; 0 where either order will do.
export function sortOrder(written) {
  const keys = written.split(',').map((key) => {
    const isDescending = key.startsWith('-');
    return { code: isDescending ? key.slice(1) : key, isDescending };
  });
  return (one, other) => {
    for (const key of keys) {
      const difference = compareBy(key, one, other);
      if (difference !== 0) return difference;
    }
    return 0;
  };
}

function compareBy({ code, isDescending }, one, other) {
  const [left, right] = [one, other].map((resource) => place(code, isDescending, resource));
  if (left === undefined || right === undefined) return (left === undefined ? 1 : 0) - (right === undefined ? 1 : 0);
  const difference = compare(left, right);
  return isDescending ? -difference : difference;
}

const compare = (left, right) => (typeof left === 'string' ? compareTexts(left, right) : left === right ? 0 : left < right ? -1 : 1);

// The value by which a resource is placed; undefined if it has none.
function place(code, isDescending, resource) {
  const parameter = parameterOf(resource.resourceType, code);
  const own = valuesOf(parameter, resource)
    .map((value) => comparable(parameter.type, value, isDescending))
    .filter((value) => value !== undefined)
    .sort(compare);
  return isDescending ? own.at(-1) : own[0];
}

function comparable(type, value, isDescending) {
  switch (type) {
    case 'string':
      return normalise(value);
    case 'uri':
      return value.uri;
    case 'token':
      return value.code;
    case 'number':
      return value.low.toNumber();
    case 'date':
      // A period is placed by its start, or descending by its end.
      return isDescending ? value.high : value.low;
    default:
      throw new Error(`the oracle does not sort by a ${type}`);
  }
}
