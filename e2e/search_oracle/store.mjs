// The resources that the oracle evaluates over.

export class Store {
  #byType = new Map();
  #byKey = new Map();

  constructor(resources) {
    for (const resource of resources) {
      const { resourceType } = resource;
      if (!this.#byType.has(resourceType)) this.#byType.set(resourceType, []);
      this.#byType.get(resourceType).push(resource);
      this.#byKey.set(keyOf(resource), resource);
    }
  }

  get types() {
    return [...this.#byType.keys()].sort();
  }

  get size() {
    return this.#byKey.size;
  }

  of(type) {
    return this.#byType.get(type) ?? [];
  }

  all() {
    return [...this.#byKey.values()];
  }

  // By `Type/id`.
  get(key) {
    return key === undefined ? undefined : this.#byKey.get(key);
  }
}

export const keyOf = ({ resourceType, id }) => `${resourceType}/${id}`;
