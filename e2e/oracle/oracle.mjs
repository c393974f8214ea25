// Compares the index values of resources with what fhirpath.js selects by HL7's own expressions.
//
//   node oracle.mjs [FOLDER] [--dump FILE]
//
// FOLDER holds resources as .json and .ndjson (default: those of generate.mjs). The dump is what `cargo run -p lethe-search --example
// dump_index_values FOLDER` prints; without --dump it is run here. Exit status 0: values were compared and none differed.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';
import { generate } from './generate.mjs';
import { isCanonicalRight, readings } from './readings.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const generated = join(here, 'generated');
const [folder, dumpFile] = options(process.argv.slice(2));
const parameters = parametersByType();
const read = { file: undefined, lines: [] };
const seen = new Set();
const compiled = new Map();
const counts = { resources: 0, refused: 0, compared: 0, values: 0, different: 0 };

for (const line of dump().split('\n').filter(Boolean)) {
  const found = JSON.parse(line);
  if (found.refused) {
    console.log(`refused: ${found.file}:${found.line}: ${found.refused}`);
    counts.refused += 1;
    continue;
  }
  counts.resources += 1;
  const resource = JSON.parse(textOf(found));
  for (const parameter of parameters(found.type)) {
    compare(found, resource, parameter);
  }
}
console.log(
  `${counts.resources} resources: ${counts.values} values of ${counts.compared} parameters compared, of ${seen.size} types and names; ` +
    `${counts.refused} resources refused, ${counts.different} differences`,
);
process.exit(counts.different === 0 && counts.values > 0 ? 0 : 1);

function compare(found, resource, parameter) {
  const selected = parameter.type === 'composite' ? [] : select(resource, parameter);
  const own = parameter.type === 'composite' ? composites(resource, parameter) : readings(parameter, selected, resource);
  const expected = new Set(own.map((value) => JSON.stringify(value)));
  const values = found.values[parameter.code] ?? [];
  const actual = new Set(values.filter(([facet]) => facet !== 'canonical').map((value) => JSON.stringify(value)));
  const missing = [...expected].filter((value) => !actual.has(value));
  const surplus = [...actual].filter((value) => !expected.has(value));
  const canonical = values.filter(([facet]) => facet === 'canonical').map(([, value]) => value);
  const wrong = parameter.type === 'quantity' ? isCanonicalRight(selected, canonical) : [];
  const place = `${found.type}?${parameter.code}`;
  if (expected.size + actual.size > 0) {
    seen.add(place);
    counts.compared += 1;
    counts.values += actual.size;
  }
  if (missing.length + surplus.length + wrong.length === 0) {
    return;
  }
  counts.different += 1;
  console.log(`different: ${found.file}:${found.line} ${place}`);
  missing.forEach((value) => console.log(`  fhirpath has ${value}`));
  surplus.forEach((value) => console.log(`  Lethe has    ${value}`));
  wrong.forEach((text) => console.log(`  ${text}`));
}

/// The nodes that a parameter's expression selects: their data and datatypes.
function select(resource, parameter) {
  const selected = [];
  for (const { expression, onlyTarget } of parameter.alternatives) {
    let evaluate = compiled.get(expression);
    if (!evaluate) {
      evaluate = fhirpath.compile(expression, r4, { resolveInternalTypes: false });
      compiled.set(expression, evaluate);
    }
    for (const node of evaluate(resource, {})) {
      const datatype = node?.getTypeInfo?.().name ?? typeof node;
      const data = node?.data ?? node;
      selected.push({ data: data?.asStr === undefined ? data : Number(data.asStr), datatype, onlyTarget });
    }
  }
  return selected;
}

/// All combinations of what the components hold in each of the root elements.
function composites(resource, { base, alternatives, components }) {
  const found = [];
  for (const { expression } of alternatives) {
    const roots = expression === base ? [base] : select(resource, { alternatives: [{ expression }] }).map((_, at) => `${expression}[${at}]`);
    for (const root of roots) {
      let combinations = [[]];
      for (const component of components) {
        const [type, inner] = component.split(': ');
        const inside = inner.split('|').map((text) => {
          const plain = text.trim();
          return { expression: ofType(plain.startsWith('%resource.') ? plain.replace('%resource', base) : `${root}.${plain}`) };
        });
        const values = readings({ code: '', type }, select(resource, { alternatives: inside }), resource).filter(([facet]) => facet === 'value');
        combinations = combinations.flatMap((head) => values.map(([, value]) => [...head, value]));
      }
      found.push(...combinations.map((values) => ['value', values]));
    }
  }
  return found;
}

/// What type a parameter may be of, and its expressions: `where(resolve() is T)` asks for other resources, so that it is decided by the
/// text of the reference instead.
function parametersByType() {
  const byType = new Map();
  for (const line of readFileSync(join(here, 'parameters.tsv'), 'utf8').split('\n').filter(Boolean)) {
    const [code, type, bases, expression, ...components] = line.split('\t');
    for (const base of bases.split(',')) {
      const alternatives = expression
        .split('|')
        .map((text) => text.trim())
        .filter((text) => ['Resource', 'DomainResource', base].includes(/^\(?(\w+)/.exec(text)[1]) || !/^\(?[A-Z]/.test(text))
        .map((text) => {
          const only = /\.where\(resolve\(\) is (\w+)\)$/.exec(text);
          return { expression: ofType(only ? text.slice(0, only.index) : text), onlyTarget: only?.[1] };
        });
      byType.set(base, [...(byType.get(base) ?? []), { code, type, base, alternatives, components }]);
    }
  }
  const common = (byType.get('Resource') ?? []).filter((one) => !['_id', '_lastUpdated'].includes(one.code));
  return (type) => [...(byType.get(type) ?? []), ...common];
}

/// HL7 writes `as` for lists, too, and once with a capital: `ofType` says what is meant.
function ofType(expression) {
  return expression
    .replace(/\((\S+) as (\w+)\)/, '$1.ofType($2)')
    .replace(/\.as\((\w+)\)/, '.ofType($1)')
    .replace('(DateTime)', '(dateTime)');
}

function options(words) {
  const at = words.indexOf('--dump');
  const dumpFile = at < 0 ? undefined : words.splice(at, 2)[1];
  if (words.length === 0) {
    generate(generated);
  }
  return [words[0] ?? generated, dumpFile];
}

function dump() {
  if (dumpFile) {
    return readFileSync(dumpFile, 'utf8');
  }
  const words = ['run', '--quiet', '-p', 'lethe-search', '--example', 'dump_index_values', folder];
  return execFileSync('cargo', words, { cwd: here, encoding: 'utf8', maxBuffer: 2 ** 30 });
}

function textOf({ file, line }) {
  if (read.file !== file) {
    const text = readFileSync(join(folder, file), 'utf8');
    read.file = file;
    read.lines = file.endsWith('.ndjson') ? text.split('\n') : [text];
  }
  return read.lines[line - 1];
}
