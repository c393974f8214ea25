// Chance that can be repeated: the same seed gives the same numbers on every machine.

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  // In [0, 1). mulberry32, by Tommy Ettinger, public domain.
  unit() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  // A whole number in [0, bound).
  below(bound) {
    return Math.floor(this.unit() * bound);
  }

  // A whole number in [low, high].
  between(low, high) {
    return low + this.below(high - low + 1);
  }

  chance(probability) {
    return this.unit() < probability;
  }

  pick(items) {
    return items[this.below(items.length)];
  }

  // `count` different items, or all if there are fewer, in an order of chance.
  sample(items, count) {
    const left = [...items];
    for (let at = left.length - 1; at > 0; at -= 1) {
      const other = this.below(at + 1);
      [left[at], left[other]] = [left[other], left[at]];
    }
    return left.slice(0, count);
  }
}
