// What is observed, diagnosed, prescribed and done.

const HL7 = 'http://terminology.hl7.org/CodeSystem';

export const clinical = {
  Encounter: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 2, () => values.identifier()),
    status: random.pick(['planned', 'in-progress', 'finished']),
    class: { system: `${HL7}/v3-ActCode`, code: random.pick(['AMB', 'IMP', 'EMER']) },
    type: values.several(0, 2, () => values.concept()),
    subject: values.maybe(0.9, () => refer('Patient', 'Group')),
    participant: values.several(0, 2, () => ({ individual: refer('Practitioner', 'PractitionerRole', 'RelatedPerson') })),
    period: values.maybe(0.85, () => values.period()),
    length: values.maybe(0.6, values.duration),
    reasonCode: values.several(0, 1, () => values.concept()),
    location: values.several(0, 2, () => ({ location: refer('Location'), period: values.maybe(0.6, () => values.period()) })),
    serviceProvider: values.maybe(0.7, () => refer('Organization')),
    partOf: number > 1 ? values.maybe(0.4, () => refer('Encounter')) : undefined,
  }),

  Condition: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    clinicalStatus: values.maybe(0.8, () => values.coded(`${HL7}/condition-clinical`, 'active', 'resolved')),
    verificationStatus: values.coded(`${HL7}/condition-ver-status`, 'confirmed', 'unconfirmed'),
    category: values.several(0, 2, () => values.concept()),
    severity: values.maybe(0.4, () => values.concept()),
    code: values.maybe(0.9, () => values.concept()),
    bodySite: values.several(0, 2, () => values.concept()),
    subject: refer('Patient', 'Group'),
    encounter: values.maybe(0.5, () => refer('Encounter')),
    ...random.pick([
      () => ({}),
      () => ({ onsetDateTime: values.dateTime() }),
      () => ({ onsetPeriod: values.period() }),
      () => ({ onsetAge: values.age() }),
      () => ({ onsetRange: values.ageRange() }),
      () => ({ onsetString: random.pick(['in childhood', 'In Kindheit', 'last year']) }),
    ])(),
    ...random.pick([() => ({}), () => ({ abatementDateTime: values.dateTime() }), () => ({ abatementAge: values.age() })])(),
    recordedDate: values.maybe(0.6, values.dateTime),
    asserter: values.maybe(0.5, () => refer('Practitioner', 'Patient', 'RelatedPerson')),
    evidence: values.several(0, 1, () => ({ code: [values.concept()] })),
  }),

  Specimen: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    accessionIdentifier: values.maybe(0.5, () => values.identifier()),
    type: values.maybe(0.8, () => values.concept()),
    subject: values.maybe(0.9, () => refer('Patient', 'Group', 'Device')),
    collection: {
      collector: values.maybe(0.5, () => refer('Practitioner')),
      ...random.pick([() => ({ collectedDateTime: values.dateTime() }), () => ({ collectedPeriod: values.period() })])(),
    },
    container: values.several(0, 2, () => ({ identifier: [values.identifier()], type: values.concept() })),
  }),

  Observation: ({ values, random, refer, number }) => {
    const value = () =>
      random.pick([
        () => ({}),
        () => ({ valueQuantity: values.quantity() }),
        () => ({ valueQuantity: values.quantity() }),
        () => ({ valueCodeableConcept: values.concept() }),
        () => ({ valueString: random.pick(['Positive', 'positive', 'Négative', 'not found']) }),
        () => ({ valueRange: values.range() }),
        () => ({ valueDateTime: values.dateTime() }),
        () => ({ valuePeriod: values.period() }),
        () => ({ valueBoolean: random.chance(0.5) }),
        () => ({ dataAbsentReason: values.coded(`${HL7}/data-absent-reason`, 'unknown', 'masked') }),
      ])();
    return {
      identifier: values.several(0, 2, () => values.identifier()),
      basedOn: undefined,
      status: random.pick(['registered', 'preliminary', 'final', 'amended']),
      category: values.several(0, 2, () => values.coded(`${HL7}/observation-category`, 'vital-signs', 'laboratory')),
      code: values.concept(),
      subject: values.maybe(0.9, () => refer('Patient', 'Group', 'Device', 'Location')),
      encounter: values.maybe(0.6, () => refer('Encounter')),
      ...random.pick([
        () => ({}),
        () => ({ effectiveDateTime: values.dateTime() }),
        () => ({ effectiveDateTime: values.dateTime() }),
        () => ({ effectivePeriod: values.period() }),
        () => ({ effectiveInstant: values.instant() }),
        () => ({ effectiveTiming: values.timing() }),
      ])(),
      performer: values.several(0, 2, () => refer('Practitioner', 'Organization', 'Patient', 'PractitionerRole')),
      ...value(),
      method: values.maybe(0.3, () => values.concept()),
      specimen: values.maybe(0.3, () => refer('Specimen')),
      device: values.maybe(0.3, () => refer('Device')),
      hasMember: number > 10 ? values.several(0, 2, () => refer('Observation')) : undefined,
      component: values.several(0, 3, () => ({ code: values.concept(), ...value() })),
    };
  },

  Medication: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    code: values.maybe(0.9, () => values.concept()),
    status: values.maybe(0.7, () => random.pick(['active', 'inactive'])),
    manufacturer: values.maybe(0.5, () => refer('Organization')),
    form: values.maybe(0.5, () => values.concept()),
    ingredient: values.several(0, 2, () => ({ itemCodeableConcept: values.concept() })),
    batch: values.maybe(0.6, () => ({ lotNumber: random.pick(['L1', 'l1', 'L10']), expirationDate: values.dateTime() })),
  }),

  MedicationRequest: ({ values, random, refer }) => {
    const substance = { resourceType: 'Substance', id: 'sub', code: values.concept(), status: random.pick(['active', 'inactive']) };
    const medication = {
      resourceType: 'Medication',
      id: 'med',
      code: values.concept(),
      status: 'active',
      manufacturer: values.maybe(0.5, () => refer('Organization')),
      ingredient: values.several(0, 1, () => ({ itemReference: { reference: '#sub' } })),
    };
    return {
      ...random.pick([
        () => ({ medicationCodeableConcept: values.concept() }),
        () => ({ medicationReference: refer('Medication') }),
        () => ({ contained: [medication, substance], medicationReference: { reference: '#med' } }),
      ])(),
      identifier: values.several(0, 1, () => values.identifier()),
      status: random.pick(['active', 'stopped', 'draft']),
      intent: random.pick(['order', 'plan']),
      priority: values.maybe(0.5, () => random.pick(['routine', 'urgent'])),
      subject: refer('Patient', 'Group'),
      encounter: values.maybe(0.6, () => refer('Encounter')),
      authoredOn: values.maybe(0.8, values.dateTime),
      requester: values.maybe(0.7, () => refer('Practitioner', 'Organization', 'PractitionerRole')),
      dosageInstruction: values.several(0, 2, () => ({ timing: { event: values.several(1, 2, values.dateTime) } })),
    };
  },

  Procedure: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    instantiatesUri: values.several(0, 1, values.url),
    status: random.pick(['completed', 'in-progress']),
    category: values.maybe(0.4, () => values.concept()),
    code: values.maybe(0.9, () => values.concept()),
    subject: refer('Patient', 'Group'),
    encounter: values.maybe(0.5, () => refer('Encounter')),
    ...random.pick([
      () => ({ performedDateTime: values.dateTime() }),
      () => ({ performedPeriod: values.period() }),
      () => ({ performedString: 'yesterday' }),
      () => ({ performedAge: values.age() }),
    ])(),
    performer: values.several(0, 2, () => ({ actor: refer('Practitioner', 'Organization', 'Device') })),
    location: values.maybe(0.4, () => refer('Location')),
    partOf: number > 1 ? values.several(0, 1, () => refer('Procedure', 'Observation')) : undefined,
    reasonReference: values.several(0, 1, () => refer('Condition', 'Observation')),
  }),

  AllergyIntolerance: ({ values, random, refer }) => ({
    clinicalStatus: values.maybe(0.8, () => values.coded(`${HL7}/allergyintolerance-clinical`, 'active', 'inactive')),
    type: values.maybe(0.6, () => random.pick(['allergy', 'intolerance'])),
    category: values.several(0, 2, () => random.pick(['food', 'medication', 'environment'])),
    criticality: values.maybe(0.6, () => random.pick(['low', 'high', 'unable-to-assess'])),
    code: values.maybe(0.8, () => values.concept()),
    patient: refer('Patient'),
    ...random.pick([() => ({ onsetDateTime: values.dateTime() }), () => ({ onsetAge: values.age() }), () => ({})])(),
    lastOccurrence: values.maybe(0.5, values.dateTime),
    recorder: values.maybe(0.4, () => refer('Practitioner', 'Patient')),
    reaction: values.several(0, 2, () => ({
      substance: values.maybe(0.6, () => values.concept()),
      manifestation: [values.concept()],
      onset: values.maybe(0.5, values.dateTime),
      severity: values.maybe(0.7, () => random.pick(['mild', 'severe'])),
    })),
  }),

  DiagnosticReport: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    basedOn: values.several(0, 1, () => refer('ServiceRequest')),
    status: random.pick(['final', 'partial']),
    category: values.several(0, 1, () => values.concept()),
    code: values.concept(),
    subject: values.maybe(0.9, () => refer('Patient', 'Group')),
    encounter: values.maybe(0.5, () => refer('Encounter')),
    ...random.pick([() => ({ effectiveDateTime: values.dateTime() }), () => ({ effectivePeriod: values.period() }), () => ({})])(),
    issued: values.maybe(0.7, values.instant),
    performer: values.several(0, 2, () => refer('Practitioner', 'Organization')),
    specimen: values.several(0, 1, () => refer('Specimen')),
    result: values.several(0, 3, () => refer('Observation')),
    conclusionCode: values.several(0, 1, () => values.concept()),
  }),

  RiskAssessment: ({ values, random, refer }) => ({
    status: random.pick(['final', 'preliminary']),
    method: values.maybe(0.5, () => values.concept()),
    subject: refer('Patient'),
    condition: values.maybe(0.5, () => refer('Condition')),
    ...random.pick([() => ({ occurrenceDateTime: values.dateTime() }), () => ({ occurrencePeriod: values.period() })])(),
    performer: values.maybe(0.5, () => refer('Practitioner', 'Device')),
    prediction: values.several(0, 2, () => ({
      qualitativeRisk: values.maybe(0.5, () => values.concept()),
      ...random.pick([
        () => ({ probabilityDecimal: values.chanceNumber() }),
        () => ({ probabilityDecimal: values.chanceNumber() }),
        () => ({ probabilityRange: { low: { value: 0.1 }, high: { value: random.pick([0.5, 0.9]) } } }),
        () => ({}),
      ])(),
    })),
  }),

  Immunization: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: random.pick(['completed', 'not-done']),
    vaccineCode: values.concept(),
    patient: refer('Patient'),
    ...random.pick([() => ({ occurrenceDateTime: values.dateTime() }), () => ({ occurrenceString: 'long ago' })])(),
    location: values.maybe(0.4, () => refer('Location')),
    manufacturer: values.maybe(0.4, () => refer('Organization')),
    lotNumber: values.maybe(0.7, () => random.pick(['Ä1', 'a1', 'A12'])),
    performer: values.several(0, 1, () => ({ actor: refer('Practitioner', 'Organization') })),
    reaction: values.several(0, 1, () => ({ date: values.dateTime(), detail: refer('Observation') })),
  }),

  MolecularSequence: ({ values, random, refer }) => ({
    type: values.maybe(0.8, () => random.pick(['dna', 'rna', 'aa'])),
    coordinateSystem: random.pick([0, 1]),
    patient: values.maybe(0.8, () => refer('Patient')),
    referenceSeq: values.maybe(0.8, () => ({
      chromosome: values.coded('http://terminology.hl7.org/CodeSystem/chromosome-human', '1', '7', 'X'),
      referenceSeqId: values.maybe(0.7, () => values.coded('http://www.ncbi.nlm.nih.gov/nuccore', 'NC_000009.11', 'NC_000007')),
      windowStart: random.pick([1, 100, 1000]),
      windowEnd: random.pick([100, 1000, 22125500]),
    })),
    variant: values.several(0, 2, () => ({ start: random.pick([1, 100, 22125503]), end: random.pick([100, 22125510]) })),
  }),

  Substance: ({ values, random }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: values.maybe(0.7, () => random.pick(['active', 'inactive'])),
    code: values.concept(),
    instance: values.several(0, 2, () => ({
      identifier: values.maybe(0.6, () => values.identifier()),
      expiry: values.maybe(0.7, values.dateTime),
      quantity: values.maybe(0.8, () => values.quantity()),
    })),
  }),
};
