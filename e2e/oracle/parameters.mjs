// Makes parameters.tsv from an unpacked hl7.fhir.r4.core package: node parameters.mjs DIR
//
// One line for each definition: code, type, bases, expression; of a composite also the type and the expression of each component. As HL7
// wrote them, so that an oracle shares nothing with the table that Lethe itself reads.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const bundle = JSON.parse(readFileSync(join(process.argv[2], 'Bundle-searchParams.json'), 'utf8'));
const definitions = bundle.entry.map((entry) => entry.resource);
const types = new Map(definitions.map((one) => [one.url, one.type]));

/// HL7 names the definitions of this parameter's components in the wrong order; their expressions are right.
const typesOf = (one) => {
  const own = (one.component ?? []).map((component) => types.get(component.definition));
  return one.code === 'relationship' ? own.reverse() : own;
};

const lines = definitions
  .filter((one) => one.expression)
  .map((one) => {
    const components = typesOf(one).map((type, index) => `${type}: ${one.component[index].expression}`);
    return [one.code, one.type, one.base.join(','), one.expression.replace(/\s+/g, ' '), ...components].join('\t');
  });
writeFileSync(new URL('parameters.tsv', import.meta.url), lines.sort().join('\n') + '\n');
