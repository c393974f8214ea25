// Searches by brute force: every resource of the type is looked at, for every condition.

import { compartmentParameters, parameterOf } from './definitions.mjs';
import { matches } from './matching.mjs';
import { leadsAt, localKey, target } from './references.mjs';
import { sortOrder } from './sort.mjs';
import { keyOf } from './store.mjs';
import { normalise, split } from './text.mjs';
import { isMissing, valuesOf } from './values.mjs';

// Parameters that say how results are shown, not which.
const OF_THE_RESULT = new Set([
  '_count',
  '_sort',
  '_include',
  '_revinclude',
  '_summary',
  '_total',
  '_elements',
  '_format',
  '_pretty',
  '_type',
]);

export class Oracle {
  #store;
  #base;
  #leads;
  #remembered = new Map();

  // `base` is the address under which the server knows itself.
  constructor(store, base) {
    this.#store = store;
    this.#base = base;
    this.#leads = leadsAt(base);
  }

  // `query` is what follows the base: `Patient?name=x`, `?_type=…`, `Patient/23/Observation?…`. Answers with the keys of what matches,
  // those of what is included beside it, and the order that a `_sort` demands, if any.
  search(query) {
    this.#remembered.clear();
    const [path, ...rest] = query.split('?');
    const parameters = [...new URLSearchParams(rest.join('?'))];
    const all = (name) => parameters.filter(([own]) => own === name).map(([, value]) => value);
    const steps = path.split('/').filter(Boolean);

    const conditions = parameters.filter(([name]) => !OF_THE_RESULT.has(name.split(':')[0]));
    const holds = (resource) => conditions.every(([name, value]) => this.#holds(resource, name, value));
    let found = this.#candidates(steps, all('_type')).filter(holds);

    const included = this.#included(found, parameters);
    const order = all('_sort').length > 0 ? sortOrder(all('_sort').join(',')) : undefined;
    return { found: new Set(found.map(keyOf)), included: new Set(included.map(keyOf)), order };
  }

  #candidates(steps, types) {
    const named = types.length > 0 ? types.join(',').split(',') : undefined;
    if (steps.length === 0) return (named ?? this.#store.types).flatMap((type) => this.#store.of(type));
    if (steps.length === 1) return this.#store.of(steps[0]);
    const [compartment, id, type] = steps;
    const among = type === '*' ? (named ?? this.#store.types) : [type];
    return among.flatMap((one) => {
      const codes = compartmentParameters(compartment, one) ?? [];
      return this.#store.of(one).filter((resource) => codes.some((code) => this.#refersBy(resource, code, `${compartment}/${id}`)));
    });
  }

  #refersBy(resource, code, key) {
    const parameter = parameterOf(resource.resourceType, code);
    return parameter !== undefined && valuesOf(parameter, resource).some((value) => this.#leads(value, undefined, key));
  }

  // Whether one parameter holds for a resource. Remembered, since chains ask the same of the same resource again and again.
  #holds(resource, name, value) {
    const question = `${name}=${value}`;
    if (!this.#remembered.has(question)) this.#remembered.set(question, new Map());
    const answers = this.#remembered.get(question);
    if (!answers.has(resource)) answers.set(resource, this.#decide(resource, name, value));
    return answers.get(resource);
  }

  #decide(resource, name, value) {
    if (name.startsWith('_has:')) return this.#has(resource, name, value);
    const dot = name.indexOf('.');
    if (dot > 0) return this.#chain(resource, name.slice(0, dot), name.slice(dot + 1), value);
    const [code, modifier] = name.split(':');
    if (code === '_list') return this.#isListed(resource, value);
    if (code === '_text') return hasWords(resource.text?.div, value);
    const parameter = parameterOf(resource.resourceType, code);
    if (!parameter) throw new Error(`${resource.resourceType} has no parameter '${code}'`);
    if (modifier === 'missing') return String(isMissing(parameter, resource)) === value;
    const values = valuesOf(parameter, resource);
    const some = split(value, ',').some((sought) => matches(parameter, modifier, sought, values, this.#leads));
    return modifier === 'not' ? !some : some;
  }

  // `subject:Patient` and what must hold for what it leads to.
  #chain(resource, step, rest, value) {
    const [code, type] = step.split(':');
    const parameter = parameterOf(resource.resourceType, code);
    if (!parameter) throw new Error(`${resource.resourceType} has no parameter '${code}'`);
    return valuesOf(parameter, resource).some((reference) => {
      const next = target(reference, resource, this.#store, this.#base);
      if (next === undefined || (type && next.resourceType !== type)) return false;
      // Of several types that a reference may lead to, not each has the parameter.
      if (!rest.startsWith('_') && !parameterOf(next.resourceType, rest.split(/[.:]/)[0])) return false;
      return this.#holds(next, rest, value);
    });
  }

  // `_has:Observation:patient:code`.
  #has(resource, name, value) {
    const [, type, code, ...rest] = name.split(':');
    const parameter = parameterOf(type, code);
    if (!parameter) throw new Error(`${type} has no parameter '${code}'`);
    const key = keyOf(resource);
    return (this.#referrers(parameter, type).get(key) ?? []).some((referrer) => this.#holds(referrer, rest.join(':'), value));
  }

  // Of a parameter: who refers to what.
  #referrers(parameter, type) {
    const question = `<- ${type} ${parameter.code}`;
    if (!this.#remembered.has(question)) {
      const referrers = new Map();
      for (const referrer of this.#store.of(type)) {
        for (const reference of valuesOf(parameter, referrer)) {
          const key = localKey(reference.reference, this.#base);
          if (key === undefined || (reference.only && !key.startsWith(`${reference.only}/`))) continue;
          if (!referrers.has(key)) referrers.set(key, new Set());
          referrers.get(key).add(referrer);
        }
      }
      this.#remembered.set(question, new Map([...referrers].map(([key, found]) => [key, [...found]])));
    }
    return this.#remembered.get(question);
  }

  #isListed(resource, value) {
    const lists = split(value, ',').map((id) => this.#store.get(`List/${id.replace(/^List\//, '')}`));
    return lists.some((list) => list?.entry?.some(({ item }) => localKey(item?.reference, this.#base) === keyOf(resource)));
  }

  // What `_include` and `_revinclude` add, without what matches anyway.
  #included(found, parameters) {
    const rules = parameters.flatMap(([name, value]) => {
      const [own, modifier] = name.split(':');
      if (own !== '_include' && own !== '_revinclude') return [];
      const [source, code, type] = value.split(':');
      return [{ isForward: own === '_include', iterates: modifier === 'iterate', source, code, type }];
    });
    const seen = new Set(found);
    const added = [];
    let wave = found;
    for (let round = 0; wave.length > 0; round += 1) {
      const next = [];
      for (const rule of rules.filter((rule) => round === 0 || rule.iterates)) {
        for (const resource of wave) {
          for (const other of rule.isForward ? this.#behind(resource, rule) : this.#before(resource, rule)) {
            if (seen.has(other)) continue;
            seen.add(other);
            added.push(other);
            next.push(other);
          }
        }
      }
      wave = next;
    }
    return added;
  }

  #behind(resource, { source, code, type }) {
    if (resource.resourceType !== source) return [];
    return valuesOf(parameterOf(source, code), resource)
      .map(({ reference, only }) => ({ found: this.#store.get(localKey(reference, this.#base)), only }))
      .filter(({ found, only }) => found && (!only || found.resourceType === only) && (!type || found.resourceType === type))
      .map(({ found }) => found);
  }

  #before(resource, { source, code, type }) {
    if (type && resource.resourceType !== type) return [];
    return this.#referrers(parameterOf(source, code), source).get(keyOf(resource)) ?? [];
  }
}

function hasWords(html, value) {
  const words = (text) =>
    normalise(text)
      .split(/[^\p{L}\p{N}]+/u)
      .filter(Boolean);
  const own = new Set(words((html ?? '').replace(/<[^>]*>/g, ' ')));
  return split(value, ',').some((sought) => words(sought).every((word) => own.has(word)));
}
