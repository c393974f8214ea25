// Values of every kind that R4's searches compare, of chance: common and odd ones, so that each rule has something to decide.

import { timeRange } from '../ranges.mjs';

// The end of a long text is found as well as its beginning.
const LONG = [
  `${'A very long text that goes on and on. '.repeat(9)}And here is the needle at the end.`,
  `${'Ein sehr langer Text, der weitergeht. '.repeat(9)}Und hier ist das Ende.`,
];
const FAMILIES = [
  'Müller',
  'Mueller',
  'Muller',
  'MÜLLER',
  "O'Neill",
  'van der Berg',
  'Van Der Berg',
  'Ångström',
  'Angstrom',
  'Nguyễn',
  'Łukasz',
  '李',
  '李小龙',
  'Иванов',
  'ivanova',
  'Smith-Jones',
  'Smith',
  'Smythe',
  'Lee, the third',
  'A|B',
  'C$D',
  'back\\slash',
  'Ñandú',
  'İstanbul',
  'Ελένη',
  'عبد الله',
];
const GIVEN = [
  'Anna',
  'anna',
  'ANNA',
  'Ännchen',
  'José',
  'Jose',
  'Zoë',
  'Zoe',
  'Jean-Luc',
  'Jean Luc',
  'Björn',
  'Bjorn',
  'X',
  'Ève',
  'Eve',
  'Evelyn',
  'Sébastien',
  '𝔘nicode',
  'été',
];
const CITIES = [
  'Zürich',
  'Zurich',
  'São Paulo',
  'Sao Tomé',
  'New York',
  'Newark',
  'York',
  'Köln',
  'Kolin',
  'Łódź',
  '東京',
  'Saint-Étienne',
];
const SYSTEMS = ['http://loinc.org', 'http://snomed.info/sct', 'http://example.org/codes', 'urn:oid:1.2.3.4.5'];
const CODES = ['8480-6', '8462-4', '29463-7', '29463', '1-8', 'A', 'a', 'AB', 'a|b', 'c,d', 'e$f', 'with space', '73211009'];
const DISPLAYS = [
  'Systolic blood pressure',
  'Diastolic blood pressure',
  'Body weight',
  'Weight of body',
  'Glucose [Mass/volume] in Blood',
  'Herzfrequenz (Schläge)',
  'blood',
];
const UCUM = 'http://unitsofmeasure.org';
const ZONES = ['Z', '+00:00', '+02:00', '-05:00', '+05:30', '-11:00', '+13:45'];

const two = (number) => String(number).padStart(2, '0');

export class Values {
  constructor(random) {
    this.random = random;
  }

  // What `make` makes, or, now and then, nothing.
  maybe(probability, make) {
    return this.random.chance(probability) ? make() : undefined;
  }

  several(low, high, make) {
    return Array.from({ length: this.random.between(low, high) }, make);
  }

  // Few years and days, so that values meet.
  year = () => String(this.random.pick([1950, 1999, 2000, 2019, 2020, 2020, 2021]));
  month = () => `${this.year()}-${two(this.random.pick([1, 2, 6, 12]))}`;
  day = () => `${this.month()}-${two(this.random.pick([1, 2, 15, 28]))}`;
  minute = () => `${two(this.random.pick([0, 10, 12, 23]))}:${two(this.random.pick([0, 30, 59]))}`;
  second = () => `${this.day()}T${this.minute()}:${two(this.random.pick([0, 1, 30, 59]))}`;
  fraction = () => `${this.second()}.${this.random.pick(['0', '000', '239', '5', '999', '25'])}`;
  instant = () => `${this.random.chance(0.5) ? this.second() : this.fraction()}${this.random.pick(ZONES)}`;

  date = () => this.random.pick([this.year, this.month, this.day, this.day])();
  dateTime = () => this.random.pick([this.year, this.month, this.day, this.instant, this.instant])();

  // One side may be open; both sides as precise as they come.
  period() {
    const [one, other] = [this.dateTime(), this.dateTime()].sort((one, other) => timeRange(one).low - timeRange(other).low);
    return this.random.pick([{ start: one, end: other }, { start: one, end: other }, { start: one }, { end: other }]);
  }

  timing() {
    const events = () => ({ event: this.several(1, 3, this.dateTime) });
    const repeats = () => ({ repeat: { boundsPeriod: this.period(), frequency: 1, period: 1, periodUnit: 'd' } });
    return this.random.pick([events, repeats, () => ({ ...events(), ...repeats() }), () => ({ code: { text: 'BID' } })])();
  }

  number = () =>
    this.random.pick([
      0, 1, 2, 5, 5.4, 5.35, 5.45, 5.449, 99.5, 100, 100.4, 100.5, 99.4999, 120, -3, -3.05, 0.0054, 1e-7, 1.2e6, 0.30000000000000004,
    ]);
  chanceNumber = () => this.random.pick([0, 0.001, 0.1, 0.25, 0.5, 0.999, 1]);

  quantity() {
    const value = this.number();
    return this.random.pick([
      () => ({ value, unit: 'milligram', system: UCUM, code: 'mg' }),
      () => ({ value: Number((value / 1000).toPrecision(8)), unit: 'g', system: UCUM, code: 'g' }),
      () => ({ value, system: UCUM, code: 'mm[Hg]', unit: 'mmHg' }),
      () => ({ value, system: UCUM, code: 'kPa' }),
      () => ({ value, system: UCUM, code: 'mg/dL', unit: 'mg/dL' }),
      () => ({ value, system: UCUM, code: '{score}', unit: 'score' }),
      () => ({ value, unit: 'mg' }),
      () => ({ value, unit: 'tablets' }),
      () => ({ value, system: 'http://example.org/units', code: 'mg' }),
      () => ({ value }),
    ])();
  }

  duration = () => ({ value: this.random.pick([1, 2, 30, 60, 90]), unit: 'x', system: UCUM, code: this.random.pick(['min', 'h', 'd']) });
  age = () => ({ value: this.random.pick([1, 12, 18, 40, 65]), system: UCUM, code: this.random.pick(['a', 'mo']), unit: 'years' });
  money = () => ({ value: this.number(), currency: this.random.pick(['EUR', 'USD', 'CHF']) });

  range() {
    const [low, high] = [this.number(), this.number()].sort((one, other) => one - other);
    const of = (value) => ({ value, unit: 'mg', system: UCUM, code: 'mg' });
    return this.random.pick([{ low: of(low), high: of(high) }, { low: of(low), high: of(high) }, { low: of(low) }, { high: of(high) }]);
  }

  ageRange = () => ({
    low: { ...this.age(), code: 'a', value: 10 },
    high: { ...this.age(), code: 'a', value: this.random.pick([18, 40]) },
  });

  coding() {
    const display = this.maybe(0.5, () => this.random.pick(DISPLAYS));
    return { system: this.maybe(0.8, () => this.random.pick(SYSTEMS)), code: this.random.pick(CODES), display };
  }

  concept() {
    const coding = this.several(1, 2, () => this.coding());
    const text = this.random.pick(DISPLAYS);
    return this.random.pick([{ coding }, { coding, text }, { coding }, { text }]);
  }

  // One of a value set, with the system that goes with it.
  coded = (system, ...codes) => ({ coding: [{ system, code: this.random.pick(codes) }] });

  identifier() {
    const type = this.maybe(0.4, () => ({
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: this.random.pick(['MR', 'SS', 'DL']) }],
      text: this.maybe(0.5, () => 'Medical record number'),
    }));
    const system = this.maybe(0.8, () => this.random.pick(['urn:oid:1.2.36', 'http://example.org/mrn', 'http://example.org/MRN']));
    return { type, system, value: this.random.pick(['1234', '12345', '0001', 'AB-1', 'ab-1', 'x|y', 'é1']) };
  }

  name() {
    const given = this.several(1, 2, () => this.random.pick(GIVEN));
    const family = this.random.pick(FAMILIES);
    return {
      use: this.random.pick(['official', 'usual', 'nickname']),
      text: this.maybe(0.3, () => `${given.join(' ')} ${family}`),
      family: this.maybe(0.9, () => family),
      given,
      prefix: this.maybe(0.2, () => ['Dr.']),
      suffix: this.maybe(0.1, () => ['PhD']),
    };
  }

  address() {
    return {
      use: this.random.pick(['home', 'work']),
      line: this.several(1, 2, () => this.random.pick(['Hauptstraße 1', 'Main St 12', '12 rue de l’Été'])),
      city: this.random.pick(CITIES),
      state: this.maybe(0.5, () => this.random.pick(['NY', 'ZH', 'Bayern'])),
      postalCode: this.random.pick(['8001', '80011', '10001', 'SW1A 1AA']),
      country: this.maybe(0.7, () => this.random.pick(['CH', 'US', 'Österreich'])),
    };
  }

  telecom() {
    return this.random.pick([
      () => ({ system: 'phone', value: this.random.pick(['+1 555 0100', '555-0100', '(555) 0100']) }),
      () => ({ system: 'email', value: this.random.pick(['a@example.org', 'A@example.org', 'b@example.org']) }),
    ])();
  }

  url = () =>
    this.random.pick([
      'http://example.org/fhir/a',
      'http://example.org/fhir/a/b',
      'http://example.org/fhir/ab',
      'http://example.org/fhir',
      'http://Example.org/fhir/a',
      'https://example.org/fhir/a',
      'urn:oid:1.2.3',
      'urn:oid:1.2.3.4',
      'urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0',
      'http://example.org/fhir/a?b=c,d|e',
    ]);

  sentence = () => this.random.pick(['A short note', 'Größe und Gewicht', ...LONG]);

  narrative() {
    const [what, where] = [this.random.pick(['asthma', 'Fièvre', 'fracture', 'asthmatic']), this.random.pick(['lung', 'left arm', 'Herz'])];
    return { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml"><p>${what} of the <b>${where}</b></p></div>` };
  }

  meta() {
    return {
      profile: this.maybe(0.3, () => [
        this.random.pick([
          'http://example.org/StructureDefinition/p1',
          'http://example.org/StructureDefinition/p1|1.0',
          'http://example.org/StructureDefinition/p2',
        ]),
      ]),
      tag: this.maybe(0.4, () =>
        this.several(1, 2, () => ({
          system: this.maybe(0.7, () => 'http://example.org/tags'),
          code: this.random.pick(['red', 'green', 'Red']),
          display: 'A colour',
        })),
      ),
      security: this.maybe(0.3, () => [
        { system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: this.random.pick(['N', 'R', 'V']) },
      ]),
      source: this.maybe(0.3, () =>
        this.random.pick(['http://example.org/feed/1', 'http://example.org/feed/1#message-2', 'urn:example:feed']),
      ),
    };
  }
}

// Without what is undefined, and without what is left empty by that.
export function pruned(value) {
  if (Array.isArray(value)) {
    const items = value.map(pruned).filter((item) => item !== undefined);
    return items.length > 0 ? items : undefined;
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).map(([name, own]) => [name, pruned(own)]);
    const kept = members.filter(([, own]) => own !== undefined);
    return kept.length > 0 ? Object.fromEntries(kept) : undefined;
  }
  return value;
}
