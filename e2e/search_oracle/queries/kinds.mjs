// The kinds of queries that are compared. Each maker answers with a query, or with undefined where the data offers nothing for it.

import { compartmentParameters, compartmentTypes, parameterOf, parametersOf } from '../definitions.mjs';
import { localKey, target } from '../references.mjs';
import { keyOf } from '../store.mjs';
import { valuesOf } from '../values.mjs';
import { conditionOn } from './conditions.mjs';

const EVERYWHERE = ['_id', '_tag', '_profile', '_security', '_source'];
// Wider references than these are asked of by type, since a query that reaches everything is refused.
const TARGETS_MAX = 6;

// `context` is { store, random, base }.
export class Kinds {
  constructor(context) {
    this.context = context;
    this.random = context.random;
    this.store = context.store;
  }

  // Name and value of a condition on a resource, of chance; of the parameter `code` if one is given. `encoded` for a URL.
  condition(resource, parameter = this.somePresent(resource)) {
    const values = parameter ? valuesOf(parameter, resource) : [];
    if (values.length === 0) return undefined;
    const made = conditionOn(parameter, this.random.pick(values), this.context);
    return made && `${parameter.code}${made.suffix}=${encodeURIComponent(made.value)}`;
  }

  // A parameter that selects something of the resource.
  somePresent(resource) {
    const own = parametersOf(resource.resourceType).concat(EVERYWHERE.map((code) => parameterOf(resource.resourceType, code)));
    return this.random.sample(own, own.length).find((parameter) => valuesOf(parameter, resource).length > 0);
  }

  someType = () => this.random.pick(this.store.types);
  someResource = (type = this.someType()) => this.random.pick(this.store.of(type));

  // Some resource of the type of which the parameter selects something.
  having(type, parameter) {
    const all = this.store.of(type);
    const tried = all.length > 200 ? this.random.sample(all, 200) : this.random.sample(all, all.length);
    return tried.find((resource) => valuesOf(parameter, resource).length > 0);
  }

  // Every parameter of every type that there is.
  *eachParameter() {
    for (const type of this.store.types) {
      for (const parameter of [...parametersOf(type), ...EVERYWHERE.map((code) => parameterOf(type, code))]) {
        yield { type, parameter };
      }
    }
  }

  single({ type, parameter }) {
    const resource = this.having(type, parameter);
    const condition = resource && this.condition(resource, parameter);
    return condition && `${type}?${condition}`;
  }

  missing() {
    const type = this.someType();
    // The first entry of a Bundle is no reference in its JSON.
    const isAsked = (parameter) =>
      !['composite', 'special'].includes(parameter.type) && !['composition', 'message'].includes(parameter.code);
    const parameter = this.random.pick(parametersOf(type).filter(isAsked));
    return parameter && `${type}?${parameter.code}:missing=${this.random.chance(0.5)}`;
  }

  // Several conditions that one resource may meet.
  and() {
    const resource = this.someResource();
    const conditions = Array.from({ length: this.random.between(2, 3) }, () => this.condition(resource));
    const all = conditions.filter(Boolean);
    return all.length > 1 ? `${resource.resourceType}?${all.join('&')}` : undefined;
  }

  // Alternatives from several resources.
  or() {
    const type = this.someType();
    const parameter = this.random.pick(parametersOf(type));
    if (!parameter) return undefined;
    const alternatives = Array.from({ length: this.random.between(2, 4) }, () => {
      const resource = this.having(type, parameter);
      return resource && conditionOn(parameter, this.random.pick(valuesOf(parameter, resource)), this.context, true)?.value;
    }).filter(Boolean);
    return alternatives.length > 1 ? `${type}?${parameter.code}=${encodeURIComponent(alternatives.join(','))}` : undefined;
  }

  // A reference of the resource that leads to one, with the name under which a query follows it.
  step(resource) {
    const references = parametersOf(resource.resourceType).filter(({ type, target }) => type === 'reference' && target);
    for (const parameter of this.random.sample(references, references.length)) {
      const found = this.random
        .sample(valuesOf(parameter, resource), 5)
        .map((value) => target(value, resource, this.store, this.context.base))
        .find((next) => next && parameter.target.includes(next.resourceType));
      if (!found) continue;
      const isNamed = parameter.target.length > TARGETS_MAX || this.random.chance(0.6);
      return { found, parameter, name: isNamed ? `${parameter.code}:${found.resourceType}` : parameter.code, isNamed };
    }
    return undefined;
  }

  // `_has:` of somebody who refers to the resource.
  backStep(resource) {
    const key = keyOf(resource);
    for (const type of this.random.sample(this.store.types, this.store.types.length)) {
      const references = parametersOf(type).filter(
        ({ type: kind, target }) => kind === 'reference' && target?.includes(resource.resourceType),
      );
      for (const parameter of this.random.sample(references, references.length)) {
        const among = this.random.sample(this.store.of(type), 300);
        const found = among.find((referrer) =>
          valuesOf(parameter, referrer).some(({ reference }) => localKey(reference, this.context.base) === key),
        );
        if (found) return { found, name: `_has:${type}:${parameter.code}` };
      }
    }
    return undefined;
  }

  // A condition on a resource, behind so many links; `back` says whether a link may be a `_has`.
  behind(resource, links, hasBackwards) {
    if (links === 0) return this.condition(resource);
    const isBackwards = hasBackwards && this.random.chance(0.6);
    const step = isBackwards ? this.backStep(resource) : this.step(resource);
    const rest = step && this.behind(step.found, links - 1, hasBackwards);
    if (!rest) return undefined;
    if (isBackwards) return `${step.name}:${rest}`;
    if (!step.isNamed && !this.#isSameEverywhere(step.parameter, rest)) return `${step.parameter.code}:${step.found.resourceType}.${rest}`;
    return `${step.name}.${rest}`;
  }

  // Whether what follows in a chain means the same for every type that the reference may lead to.
  #isSameEverywhere(parameter, rest) {
    if (rest.startsWith('_')) return !rest.startsWith('_has');
    const code = rest.split(/[.:=]/)[0];
    const others = parameter.target.map((type) => parameterOf(type, code)).filter(Boolean);
    const isPlain = !/^[^=]*[.:]/.test(rest);
    return isPlain && new Set(others.map(({ type, implied }) => `${type} ${implied}`)).size === 1;
  }

  chain(links) {
    const resource = this.someResource();
    const made = this.behind(resource, links, false);
    return made && `${resource.resourceType}?${made}`;
  }

  has(links) {
    const resource = this.someResource();
    const step = this.backStep(resource);
    const rest = step && this.behind(step.found, links - 1, true);
    return rest && `${resource.resourceType}?${step.name}:${rest}`;
  }

  chainAndMore() {
    const resource = this.someResource();
    const [one, other] = [this.behind(resource, 1, true), this.condition(resource)];
    return one && other && `${resource.resourceType}?${one}&${other}`;
  }

  // What narrows a search to some resources of a type; not always anything.
  #narrow(type) {
    return this.random.chance(0.5) ? this.condition(this.someResource(type)) : undefined;
  }

  include() {
    const resource = this.someResource();
    const step = this.step(resource);
    if (!step) return undefined;
    const { resourceType: type } = resource;
    const rule = `${type}:${step.parameter.code}${this.random.chance(0.4) ? `:${step.found.resourceType}` : ''}`;
    return `${type}?${[this.#narrow(type), `_include=${rule}`].filter(Boolean).join('&')}`;
  }

  includeIterate() {
    const resource = this.someResource();
    const first = this.step(resource);
    const second = first && !first.found.contained && this.step(first.found);
    if (!second || !this.store.get(keyOf(first.found))) return undefined;
    const { resourceType: type } = resource;
    const rules = `_include=${type}:${first.parameter.code}&_include:iterate=${first.found.resourceType}:${second.parameter.code}`;
    return `${type}?${[this.#narrow(type), rules].filter(Boolean).join('&')}`;
  }

  revinclude() {
    const resource = this.someResource();
    const step = this.backStep(resource);
    if (!step) return undefined;
    const { resourceType: type } = resource;
    const rule = `${step.name.slice('_has:'.length)}${this.random.chance(0.3) ? `:${type}` : ''}`;
    const iterates = this.random.chance(0.3) ? ':iterate' : '';
    return `${type}?${[this.#narrow(type), `_revinclude${iterates}=${rule}`].filter(Boolean).join('&')}`;
  }

  sort() {
    const type = this.someType();
    const sortable = parametersOf(type).filter((parameter) => ['string', 'date', 'token', 'uri'].includes(parameter.type));
    const codes = sortable.map(({ code }) => code).concat('_id', '_lastUpdated');
    const keys = this.random.sample(codes, this.random.between(1, 3)).map((code) => (this.random.chance(0.5) ? `-${code}` : code));
    return `${type}?${[this.#narrow(type), `_sort=${keys.join(',')}`].filter(Boolean).join('&')}`;
  }

  lastUpdated() {
    const resource = this.someResource();
    const parameter = parameterOf(resource.resourceType, '_lastUpdated');
    return `${resource.resourceType}?${this.condition(resource, parameter)}`;
  }

  compartment() {
    const compartment = this.random.pick(compartmentTypes.filter((type) => this.store.of(type).length > 0));
    const owner = this.someResource(compartment);
    const types = this.store.types.filter((type) => type !== compartment && compartmentParameters(compartment, type));
    const type = this.random.pick(types);
    const members = this.store.of(type);
    const narrow = this.random.chance(0.3) && this.condition(this.random.pick(members));
    return `${keyOf(owner)}/${type}${narrow ? `?${narrow}` : ''}`;
  }

  system() {
    const types = this.random.sample(this.store.types, this.random.between(1, 4));
    const resource = this.someResource(types[0]);
    const code = this.random.pick(['_lastUpdated', ...EVERYWHERE]);
    const condition = this.condition(resource, parameterOf(resource.resourceType, code));
    return condition && `?_type=${types.join(',')}&${condition}`;
  }

  listed() {
    const list = this.store.of('List').length > 0 && this.someResource('List');
    const item = list && (list.entry ?? []).map(({ item }) => localKey(item?.reference, this.context.base)).find(Boolean);
    return item && `${item.split('/')[0]}?_list=${list.id}`;
  }

  text() {
    const resource = this.someResource();
    const words = resource.text?.div?.replace(/<[^>]*>/g, ' ').match(/[\p{L}\p{N}]+/gu);
    return words && `${resource.resourceType}?_text=${encodeURIComponent(this.random.pick(words))}`;
  }
}
