// Artifacts that have a canonical URL, and what refers to them.

const HL7 = 'http://terminology.hl7.org/CodeSystem';

// An artifact that conformance resources have in common.
const artifact = ({ values, random, number, refer }) => ({
  url: random.chance(0.8) ? `http://example.org/fhir/artifact/${number}` : values.url(),
  version: values.maybe(0.7, () => random.pick(['1', '1.0', '2.0.1'])),
  name: values.maybe(0.9, () => random.pick(['AlphaSet', 'alphabet', 'Beta', 'Βήτα'])),
  title: values.maybe(0.6, () => random.pick(['Alpha set', 'The alpha', 'Größen'])),
  status: random.pick(['draft', 'active', 'retired']),
  date: values.maybe(0.8, values.dateTime),
  publisher: values.maybe(0.5, () => random.pick(['Älpha Inc', 'alpha inc', 'Other'])),
  description: values.maybe(0.6, values.sentence),
  jurisdiction: values.maybe(0.4, () => [values.concept()]),
  useContext: values.several(0, 2, () => ({
    code: { system: `${HL7}/usage-context-type`, code: random.pick(['gender', 'age', 'focus', 'venue']) },
    ...random.pick([
      () => ({ valueCodeableConcept: values.concept() }),
      () => ({ valueQuantity: values.quantity() }),
      () => ({ valueRange: values.range() }),
      () => ({ valueReference: refer('Organization', 'Group') }),
    ])(),
  })),
});

const canonical = ({ random }) =>
  `http://example.org/fhir/artifact/${random.between(1, 9)}${random.pick(['', '', '|1', '|1.0', '|2.0.1'])}`;

export const knowledge = {
  ValueSet: (context) => ({
    ...artifact(context),
    identifier: context.values.several(0, 1, () => context.values.identifier()),
    compose: { include: context.values.several(1, 2, () => ({ system: context.values.url() })) },
  }),

  ActivityDefinition: (context) => ({
    ...artifact(context),
    identifier: context.values.several(0, 1, () => context.values.identifier()),
    effectivePeriod: context.values.maybe(0.5, () => context.values.period()),
    topic: context.values.several(0, 1, () => context.values.concept()),
    relatedArtifact: context.values.several(0, 2, () => ({
      type: context.random.pick(['depends-on', 'composed-of', 'predecessor']),
      resource: canonical(context),
    })),
    library: context.values.several(0, 2, () => canonical(context)),
  }),

  Questionnaire: (context) => ({
    ...artifact(context),
    subjectType: context.values.several(0, 2, () => context.random.pick(['Patient', 'Encounter'])),
    effectivePeriod: context.values.maybe(0.5, () => context.values.period()),
  }),

  QuestionnaireResponse: (context) => ({
    identifier: context.values.maybe(0.5, () => context.values.identifier()),
    questionnaire: context.values.maybe(0.8, () => canonical(context)),
    status: context.random.pick(['completed', 'in-progress']),
    subject: context.values.maybe(0.9, () => context.refer('Patient', 'Practitioner')),
    encounter: context.values.maybe(0.5, () => context.refer('Encounter')),
    authored: context.values.maybe(0.8, context.values.dateTime),
    author: context.values.maybe(0.6, () => context.refer('Practitioner', 'Patient')),
    source: context.values.maybe(0.4, () => context.refer('Patient', 'RelatedPerson')),
  }),
};
