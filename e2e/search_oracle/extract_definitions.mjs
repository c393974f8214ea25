// Makes definitions.json from HL7's npm package hl7.fhir.r4.examples 4.0.1 (CC0-1.0), unpacked: what the oracle must know of R4's own
// search parameters and compartments. Run it by hand: node extract_definitions.mjs FOLDER > definitions.json

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
if (!folder) {
  console.error('Usage: node extract_definitions.mjs FOLDER   (the unpacked package of hl7.fhir.r4.examples 4.0.1)');
  process.exit(2);
}
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));

const all = read('Bundle-searchParams.json').entry.map((entry) => entry.resource);
const typeOf = new Map(all.map((parameter) => [parameter.url, parameter.type]));
const lines = all.map((parameter) => {
  const { code, type, base, expression, target, component } = parameter;
  const components = component?.map(({ definition, expression }) => ({ type: typeOf.get(definition), expression }));
  return JSON.stringify({ code, type, base, expression, target, components });
});

const compartments = ['device', 'encounter', 'patient', 'practitioner', 'relatedPerson'].map((name) => {
  const { code, resource } = read(`CompartmentDefinition-${name}.json`);
  const members = resource.filter((member) => member.param).map((member) => [member.code, member.param]);
  return `${JSON.stringify(code)}: ${JSON.stringify(Object.fromEntries(members))}`;
});

const credit = "HL7's R4 search parameters and compartments, from the package hl7.fhir.r4.examples 4.0.1, CC0-1.0";
console.log(
  `{"credit": ${JSON.stringify(credit)},\n"parameters": [\n${lines.join(',\n')}\n],\n"compartments": {\n${compartments.join(',\n')}\n}}`,
);
