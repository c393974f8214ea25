// Organizations, places and people.

export const administration = {
  Organization: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 2, () => values.identifier()),
    active: values.maybe(0.7, () => random.chance(0.7)),
    type: values.several(0, 2, () => values.concept()),
    name: values.maybe(0.9, () =>
      random.pick(['Spital Zürich', 'spital zurich nord', 'General Hospital', 'Général', 'Ward  with  spaces']),
    ),
    alias: values.maybe(0.3, () => ['GH', 'Ward 7']),
    address: values.several(0, 2, () => values.address()),
    partOf: number > 1 ? values.maybe(0.7, () => refer('Organization')) : undefined,
  }),

  Location: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: random.pick(['active', 'suspended']),
    name: random.pick(['Room 1', 'Room 10', 'Ambulanz', 'Étage 2']),
    alias: values.maybe(0.3, () => ['Old wing']),
    address: values.maybe(0.6, () => values.address()),
    position: values.maybe(0.8, () => ({ longitude: random.between(-1799, 1799) / 10, latitude: random.between(-890, 890) / 10 })),
    managingOrganization: values.maybe(0.8, () => refer('Organization')),
    partOf: number > 1 ? values.maybe(0.5, () => refer('Location')) : undefined,
  }),

  Practitioner: ({ values, random }) => ({
    identifier: values.several(1, 2, () => values.identifier()),
    active: values.maybe(0.7, () => random.chance(0.8)),
    name: values.several(1, 2, () => values.name()),
    telecom: values.several(0, 2, () => values.telecom()),
    address: values.several(0, 1, () => values.address()),
    gender: values.maybe(0.8, () => random.pick(['male', 'female', 'other'])),
    communication: values.several(0, 2, () => values.coded('urn:ietf:bcp:47', 'de', 'en', 'fr')),
  }),

  PractitionerRole: ({ values, random, refer }) => ({
    active: values.maybe(0.8, () => random.chance(0.8)),
    period: values.maybe(0.7, () => values.period()),
    practitioner: values.maybe(0.9, () => refer('Practitioner')),
    organization: values.maybe(0.8, () => refer('Organization')),
    code: values.several(0, 2, () => values.concept()),
    specialty: values.several(0, 2, () => values.concept()),
    location: values.several(0, 2, () => refer('Location')),
    telecom: values.several(0, 1, () => values.telecom()),
  }),

  Patient: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 3, () => values.identifier()),
    active: values.maybe(0.7, () => random.chance(0.8)),
    name: values.several(0, 3, () => values.name()),
    telecom: values.several(0, 3, () => values.telecom()),
    gender: values.maybe(0.85, () => random.pick(['male', 'female', 'other', 'unknown'])),
    birthDate: values.maybe(0.85, values.date),
    ...random.pick([{}, {}, { deceasedBoolean: true }, { deceasedBoolean: false }, { deceasedDateTime: values.dateTime() }]),
    address: values.several(0, 2, () => values.address()),
    communication: values.several(0, 2, () => ({ language: values.coded('urn:ietf:bcp:47', 'de', 'en', 'fr') })),
    generalPractitioner: values.several(0, 2, () => refer('Practitioner', 'Organization', 'PractitionerRole')),
    managingOrganization: values.maybe(0.6, () => refer('Organization')),
    link: number > 1 ? values.several(0, 1, () => ({ other: refer('Patient'), type: 'seealso' })) : undefined,
  }),

  RelatedPerson: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    patient: refer('Patient'),
    relationship: [values.concept()],
    name: values.several(1, 2, () => values.name()),
    gender: values.maybe(0.8, () => random.pick(['male', 'female'])),
    birthDate: values.maybe(0.8, values.date),
  }),

  Device: ({ values, random, refer }) => ({
    identifier: values.several(0, 2, () => values.identifier()),
    udiCarrier: values.maybe(0.5, () => [{ deviceIdentifier: random.pick(['00844588003288', '0084']), carrierHRF: '(01)00844588003288' }]),
    status: random.pick(['active', 'inactive']),
    manufacturer: values.maybe(0.7, () => random.pick(['Acme', 'ÄCME', 'acme devices'])),
    deviceName: values.maybe(0.5, () => [{ name: random.pick(['Pumpe', 'pump 2']), type: 'user-friendly-name' }]),
    type: values.maybe(0.8, () => values.concept()),
    patient: values.maybe(0.7, () => refer('Patient')),
    owner: values.maybe(0.5, () => refer('Organization')),
    location: values.maybe(0.5, () => refer('Location')),
    url: values.maybe(0.6, values.url),
  }),

  Group: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    type: 'person',
    actual: random.chance(0.7),
    code: values.maybe(0.7, () => values.concept()),
    managingEntity: values.maybe(0.5, () => refer('Organization', 'Practitioner')),
    characteristic: values.several(0, 3, () => ({
      code: values.concept(),
      ...random.pick([
        () => ({ valueCodeableConcept: values.concept() }),
        () => ({ valueBoolean: random.chance(0.5) }),
        () => ({ valueQuantity: values.quantity() }),
      ])(),
      exclude: random.chance(0.5),
    })),
    member: values.several(0, 4, () => ({ entity: refer('Patient') })),
  }),
};
