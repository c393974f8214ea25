// Orders, plans, documents, money, and the lists of them.

export const workflow = {
  ServiceRequest: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    requisition: values.maybe(0.4, () => values.identifier()),
    status: random.pick(['active', 'completed']),
    intent: random.pick(['order', 'plan']),
    priority: values.maybe(0.5, () => random.pick(['routine', 'stat'])),
    category: values.several(0, 1, () => values.concept()),
    code: values.maybe(0.9, () => values.concept()),
    subject: refer('Patient', 'Group', 'Location', 'Device'),
    encounter: values.maybe(0.5, () => refer('Encounter')),
    ...random.pick([
      () => ({}),
      () => ({ occurrenceDateTime: values.dateTime() }),
      () => ({ occurrencePeriod: values.period() }),
      () => ({ occurrenceTiming: values.timing() }),
    ])(),
    authoredOn: values.maybe(0.7, values.dateTime),
    requester: values.maybe(0.7, () => refer('Practitioner', 'Organization', 'PractitionerRole')),
    performer: values.several(0, 2, () => refer('Practitioner', 'Organization')),
    bodySite: values.several(0, 1, () => values.concept()),
    specimen: values.several(0, 1, () => refer('Specimen')),
  }),

  CarePlan: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    instantiatesUri: values.several(0, 1, values.url),
    status: random.pick(['active', 'completed']),
    intent: 'plan',
    category: values.several(0, 2, () => values.concept()),
    subject: refer('Patient', 'Group'),
    encounter: values.maybe(0.5, () => refer('Encounter')),
    period: values.maybe(0.8, () => values.period()),
    addresses: values.several(0, 2, () => refer('Condition')),
    partOf: number > 1 ? values.several(0, 1, () => refer('CarePlan')) : undefined,
    activity: values.several(0, 2, () => ({
      detail: {
        code: values.maybe(0.7, () => values.concept()),
        status: 'scheduled',
        ...random.pick([
          () => ({ scheduledTiming: values.timing() }),
          () => ({ scheduledPeriod: values.period() }),
          () => ({ scheduledString: 'soon' }),
        ])(),
        performer: values.several(0, 1, () => refer('Practitioner', 'Patient')),
      },
    })),
  }),

  Goal: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    lifecycleStatus: random.pick(['active', 'completed']),
    category: values.several(0, 1, () => values.concept()),
    description: values.concept(),
    subject: refer('Patient', 'Group'),
    startDate: values.maybe(0.6, values.date),
    target: values.several(0, 2, () => ({ dueDate: values.date() })),
  }),

  DocumentReference: ({ values, random, refer, number }) => ({
    masterIdentifier: values.maybe(0.5, () => values.identifier()),
    identifier: values.several(0, 1, () => values.identifier()),
    status: 'current',
    type: values.maybe(0.7, () => values.concept()),
    category: values.several(0, 1, () => values.concept()),
    subject: values.maybe(0.9, () => refer('Patient', 'Practitioner')),
    date: values.maybe(0.8, values.instant),
    author: values.several(0, 2, () => refer('Practitioner', 'Patient', 'Organization')),
    relatesTo:
      number > 1
        ? values.several(0, 2, () => ({ code: random.pick(['replaces', 'appends']), target: refer('DocumentReference') }))
        : undefined,
    description: values.maybe(0.6, values.sentence),
    securityLabel: values.several(0, 1, () => values.concept()),
    content: values.several(1, 2, () => ({
      attachment: {
        contentType: random.pick(['text/plain', 'application/pdf']),
        language: values.maybe(0.5, () => random.pick(['de', 'en-US'])),
        url: values.maybe(0.6, values.url),
        creation: values.maybe(0.5, values.dateTime),
      },
      format: values.maybe(0.5, () => values.coding()),
    })),
    context: { encounter: values.several(0, 1, () => refer('Encounter')), period: values.maybe(0.5, () => values.period()) },
  }),

  ChargeItem: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: random.pick(['billable', 'planned']),
    code: values.concept(),
    subject: refer('Patient', 'Group'),
    context: values.maybe(0.6, () => refer('Encounter')),
    ...random.pick([
      () => ({ occurrenceDateTime: values.dateTime() }),
      () => ({ occurrencePeriod: values.period() }),
      () => ({ occurrenceTiming: values.timing() }),
    ])(),
    quantity: values.maybe(0.7, () => values.quantity()),
    factorOverride: values.maybe(0.7, () => values.number()),
    priceOverride: values.maybe(0.7, values.money),
    enteredDate: values.maybe(0.6, values.dateTime),
  }),

  Invoice: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: random.pick(['issued', 'balanced']),
    subject: values.maybe(0.8, () => refer('Patient', 'Group')),
    recipient: values.maybe(0.5, () => refer('Organization', 'Patient')),
    date: values.maybe(0.8, values.dateTime),
    totalNet: values.maybe(0.8, values.money),
    totalGross: values.maybe(0.8, values.money),
  }),

  Appointment: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: random.pick(['booked', 'cancelled']),
    serviceType: values.several(0, 1, () => values.concept()),
    start: values.maybe(0.8, values.instant),
    participant: values.several(1, 3, () => ({
      actor: refer('Patient', 'Practitioner', 'Location'),
      status: random.pick(['accepted', 'declined']),
    })),
  }),

  AuditEvent: ({ values, random, refer }) => ({
    type: values.coding(),
    action: random.pick(['C', 'R', 'U']),
    recorded: values.instant(),
    agent: values.several(1, 2, () => ({
      who: values.maybe(0.8, () => refer('Practitioner', 'Device')),
      altId: values.maybe(0.5, () => 'alt 1'),
      name: values.maybe(0.6, () => random.pick(['Zoë Agent', 'zoe agent'])),
      requestor: true,
      policy: values.several(0, 1, values.url),
      network: values.maybe(0.5, () => ({ address: '127.0.0.1', type: '2' })),
    })),
    source: { observer: refer('Device', 'Organization'), site: 'Site 1' },
    entity: values.several(0, 2, () => ({ what: values.maybe(0.8, () => refer('Patient', 'Observation')), name: 'Entity' })),
  }),

  List: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: 'current',
    mode: 'working',
    title: values.maybe(0.8, () => random.pick(['Problems', 'Ärzte', 'problem list'])),
    code: values.maybe(0.6, () => values.concept()),
    subject: values.maybe(0.7, () => refer('Patient', 'Group')),
    date: values.maybe(0.7, values.dateTime),
    note: values.several(0, 1, () => ({ text: values.sentence() })),
    entry: values.several(0, 4, () => ({ item: refer('Condition', 'Observation', 'Patient') })),
  }),

  Task: ({ values, random, refer, number }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    basedOn: values.several(0, 1, () => refer('ServiceRequest')),
    partOf: number > 1 ? values.several(0, 1, () => refer('Task')) : undefined,
    status: random.pick(['requested', 'accepted']),
    intent: 'order',
    code: values.maybe(0.7, () => values.concept()),
    focus: values.maybe(0.7, () => refer('Observation', 'Condition', 'Patient')),
    for: values.maybe(0.8, () => refer('Patient')),
    executionPeriod: values.maybe(0.7, () => values.period()),
    authoredOn: values.maybe(0.7, values.dateTime),
    owner: values.maybe(0.6, () => refer('Practitioner', 'Organization')),
  }),

  Coverage: ({ values, random, refer }) => ({
    identifier: values.several(0, 1, () => values.identifier()),
    status: 'active',
    type: values.maybe(0.6, () => values.concept()),
    subscriberId: values.maybe(0.5, () => 'S1'),
    beneficiary: refer('Patient'),
    dependent: values.maybe(0.7, () => random.pick(['1', 'Ä2'])),
    payor: values.several(1, 2, () => refer('Organization', 'Patient')),
    class: values.several(0, 2, () => ({ type: values.concept(), value: random.pick(['gold', 'Gold', 'silver']) })),
  }),

  Provenance: ({ values, random, refer }) => ({
    target: values.several(1, 3, () => refer('Observation', 'Condition', 'Patient', 'Encounter')),
    ...random.pick([() => ({}), () => ({ occurredDateTime: values.dateTime() }), () => ({ occurredPeriod: values.period() })])(),
    recorded: values.instant(),
    agent: values.several(1, 2, () => ({ type: values.concept(), who: refer('Practitioner', 'Organization') })),
    entity: values.several(0, 1, () => ({ role: 'source', what: refer('DocumentReference', 'Observation') })),
    signature: values.several(0, 1, () => ({
      type: [values.coding()],
      when: values.instant(),
      who: refer('Practitioner'),
    })),
  }),
};
