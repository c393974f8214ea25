// A small population of chance: most kinds of resources, references of all forms between them, chains of several levels.

import { administration } from './administration.mjs';
import { clinical } from './clinical.mjs';
import { knowledge } from './knowledge.mjs';
import { Values, pruned } from './values.mjs';
import { workflow } from './workflow.mjs';

const MAKERS = { ...administration, ...clinical, ...workflow, ...knowledge };

// So many of each type; earlier types are there to be referred to by later ones.
const COUNTS = {
  Organization: 14,
  Location: 14,
  Practitioner: 14,
  PractitionerRole: 14,
  Patient: 60,
  RelatedPerson: 12,
  Device: 12,
  Group: 16,
  Encounter: 50,
  Condition: 60,
  Specimen: 20,
  Observation: 160,
  Medication: 16,
  MedicationRequest: 50,
  Procedure: 30,
  AllergyIntolerance: 24,
  ServiceRequest: 40,
  DiagnosticReport: 30,
  CarePlan: 20,
  Goal: 20,
  RiskAssessment: 24,
  Immunization: 20,
  DocumentReference: 24,
  ValueSet: 24,
  ActivityDefinition: 24,
  Questionnaire: 14,
  QuestionnaireResponse: 24,
  MolecularSequence: 24,
  ChargeItem: 24,
  Invoice: 16,
  Substance: 14,
  Appointment: 20,
  AuditEvent: 20,
  List: 16,
  Task: 20,
  Coverage: 14,
  Provenance: 30,
};

// The resources, in an order in which each refers mostly to earlier ones. `base` is the server's own address.
export function generateData(random, base) {
  const values = new Values(random);
  const made = new Map();
  for (const [type, count] of Object.entries(COUNTS)) {
    made.set(type, []);
    for (let number = 1; number <= count; number += 1) {
      const context = { values, random, number, refer: (...types) => reference(random, made, base, types) };
      const own = MAKERS[type](context);
      const narrative = values.maybe(0.3, () => values.narrative());
      made.get(type).push(pruned({ resourceType: type, id: idOf(type, number), meta: values.meta(), text: narrative, ...own }));
    }
  }
  return [...made.values()].flat();
}

// Ids of several forms; some are the same in several types.
function idOf(type, number) {
  if (number <= 4) return String(number);
  if (number % 5 === 0) return `00000000-0000-4000-8000-${type.length.toString(16).padStart(4, '0')}${String(number).padStart(8, '0')}`;
  return `${type.toLowerCase().slice(0, 3)}.${number}-X`;
}

// A reference to some resource that exists, in one of the forms that references take; now and then to nothing.
function reference(random, made, base, types) {
  const found = types.flatMap((type) => made.get(type) ?? []);
  const one = found.length > 0 ? random.pick(found) : { resourceType: types[0], id: 'nothing' };
  const relative = `${one.resourceType}/${one.id}`;
  const identifier = { system: 'http://example.org/mrn', value: random.pick(['1234', 'AB-1']) };
  const forms = [
    [60, { reference: relative }],
    [6, { reference: `${base}/${relative}` }],
    [6, { reference: `${relative}/_history/1` }],
    [6, { reference: relative, identifier }],
    [4, { identifier }],
    [3, { display: 'Somebody' }],
    [4, { reference: `http://elsewhere.example.org/fhir/${relative}` }],
    [3, { reference: `${one.resourceType}/absent` }],
    [2, { reference: 'urn:uuid:4f3c3a5e-3d6c-4d07-9a6b-0c3151bd1cbf', type: one.resourceType }],
  ];
  let left = random.below(forms.reduce((sum, [weight]) => sum + weight, 0));
  return forms.find(([weight]) => (left -= weight) < 0)[1];
}
