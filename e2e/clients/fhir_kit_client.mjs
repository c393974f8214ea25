// fhir-kit-client (npm): everything of REST that it has a call for.

import assert from 'node:assert/strict';

import { Client } from 'fhir-kit-client';

import { creation, observation, patient, poll, refused, server, step, transaction } from './steps.mjs';

const client = new Client({ baseUrl: server.base, bearerToken: server.token });
const answerTo = (resource) => Client.httpFor(resource).response;
const statusOf = (error) => error.response?.status;

await step('capabilityStatement: says R4, and where SMART clients authorize or that they cannot', async () => {
  const statement = await client.capabilityStatement();
  assert.equal(statement.fhirVersion, '4.0.1');
  assert.ok(statement.rest[0].resource.some(({ type }) => type === 'Patient'));
});

const created = await step('create: 201 with Location and ETag', async () => {
  const resource = await client.create({ resourceType: 'Patient', body: patient('Kit') });
  assert.equal(answerTo(resource).status, 201);
  assert.match(answerTo(resource).headers.get('location'), new RegExp(`/r4/Patient/${resource.id}/_history/1$`));
  assert.equal(answerTo(resource).headers.get('etag'), 'W/"1"');
  return resource;
});
const { id } = created;
const one = { resourceType: 'Patient', id };

await step('read', async () => assert.deepEqual(await client.read(one), created));

await step('update, vread of both versions, history of the resource', async () => {
  const updated = await client.update({ ...one, body: { ...created, gender: 'female' } });
  assert.equal(updated.meta.versionId, '2');
  assert.equal((await client.vread({ ...one, version: '1' })).gender, 'other');
  assert.equal((await client.vread({ ...one, version: '2' })).gender, 'female');
  const history = await client.history(one);
  assert.deepEqual([history.type, history.entry.length], ['history', 2]);
});

await step('patch: JSON Patch; one that does not hold changes nothing', async () => {
  const patched = await client.patch({ ...one, jsonPatch: [{ op: 'replace', path: '/birthDate', value: '1981-01-01' }] });
  assert.deepEqual([patched.birthDate, patched.meta.versionId], ['1981-01-01', '3']);
  const wrong = [
    { op: 'test', path: '/birthDate', value: '1999-01-01' },
    { op: 'remove', path: '/gender' },
  ];
  const error = await refused(409, statusOf, () => client.patch({ ...one, jsonPatch: wrong }));
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
  assert.equal((await client.read(one)).gender, 'female');
});

await step('update with If-Match of an old version is refused', () =>
  refused(412, statusOf, () => client.update({ ...one, body: created, options: { headers: { 'If-Match': 'W/"1"' } } })),
);

await step('conditional create: 201, then 200 with the same one', async () => {
  const body = patient('Once', { identifier: [{ system: 'http://example.org/mrn', value: 'once' }] });
  const options = { headers: { 'If-None-Exist': 'identifier=http://example.org/mrn|once' } };
  const first = await client.create({ resourceType: 'Patient', body, options });
  const second = await client.create({ resourceType: 'Patient', body, options });
  assert.deepEqual([answerTo(first).status, answerTo(second).status], [201, 200]);
  assert.equal(second.id, first.id);
});

await step('conditional update', async () => {
  const body = patient('Twice', { identifier: [{ system: 'http://example.org/mrn', value: 'once' }] });
  const updated = await client.update({ resourceType: 'Patient', searchParams: { identifier: 'http://example.org/mrn|once' }, body });
  assert.deepEqual([updated.name[0].family, updated.meta.versionId], ['Twice', '2']);
});

await step('transaction: references by urn:uuid lead to what was created', async () => {
  const fullUrl = 'urn:uuid:2c5e8d7a-7a06-4a44-9d0f-0d6f3a3a2b11';
  const weights = Array.from({ length: 25 }, (_, number) => creation(undefined, observation(fullUrl, 60 + number)));
  const answered = await client.transaction({ body: transaction(creation(fullUrl, patient('Bundle')), ...weights) });
  assert.equal(answered.type, 'transaction-response');
  assert.ok(answered.entry.every(({ response }) => response.status.startsWith('201')));
  const owner = answered.entry[0].response.location.match(/Patient\/[^/]+/)[0];
  const [type, own] = answered.entry[1].response.location.match(/Observation\/[^/]+/)[0].split('/');
  assert.equal((await client.read({ resourceType: type, id: own })).subject.reference, owner);
});

await step('batch: a wrong entry fails alone', async () => {
  const body = {
    resourceType: 'Bundle',
    type: 'batch',
    entry: [{ request: { method: 'GET', url: `Patient/${id}` } }, { request: { method: 'GET', url: 'Patient/nobody' } }],
  };
  const answered = await client.batch({ body });
  assert.deepEqual(
    answered.entry.map(({ response }) => response.status.slice(0, 3)),
    ['200', '404'],
  );
});

const weights = await step('search, page after page through the next links', async () => {
  const searchParams = { code: 'http://loinc.org|29463-7', _count: 10, _sort: 'value-quantity', _total: 'accurate' };
  const found = [];
  let page = await client.search({ resourceType: 'Observation', searchParams });
  assert.equal(page.total, 25);
  for (let pages = 1; page; pages += 1) {
    found.push(...page.entry.map(({ resource }) => resource));
    page = await client.nextPage({ bundle: page });
    assert.ok(pages < 5);
  }
  assert.deepEqual(
    found.map(({ valueQuantity }) => valueQuantity.value),
    Array.from({ length: 25 }, (_, number) => 60 + number),
  );
  return found;
});
const owner = weights[0].subject.reference.split('/')[1];

await step('POST _search finds the same', async () => {
  const searchParams = { 'value-quantity': 'lt65|http://unitsofmeasure.org|kg', _include: 'Observation:subject' };
  const found = await client.search({ resourceType: 'Observation', searchParams, options: { postSearch: true } });
  assert.deepEqual(
    found.entry.map(({ search }) => search.mode),
    ['match', 'match', 'match', 'match', 'match', 'include'],
  );
});

await step('chained search, and a search in a compartment', async () => {
  const chained = await client.search({
    resourceType: 'Observation',
    searchParams: { 'subject:Patient.family': 'bundle', _summary: 'count' },
  });
  assert.equal(chained.total, 25);
  const searchParams = { _count: 100 };
  const own = await client.search({ resourceType: 'Observation', compartment: { resourceType: 'Patient', id: owner }, searchParams });
  assert.equal(own.entry.length, 25);
});

await step('a wrong search parameter is refused by name', async () => {
  const error = await refused(400, statusOf, () => client.search({ resourceType: 'Patient', searchParams: { nmae: 'x' } }));
  assert.match(error.response.data.issue[0].details.text, /nmae/);
});

await step('resolve: what a reference leads to', async () => {
  const found = await client.resolve({ reference: weights[0].subject.reference, context: weights[0] });
  assert.equal(found.name[0].family, 'Bundle');
});

await step('operation: Patient/$everything', async () => {
  const answered = await client.operation({
    name: '$everything',
    resourceType: 'Patient',
    id: owner,
    method: 'GET',
    input: { _count: 1000 },
  });
  assert.deepEqual([answered.type, answered.entry.length], ['searchset', 26]);
});

await step('delete, and then 410', async () => {
  await client.delete(one);
  await refused(410, statusOf, () => client.read(one));
});

await step('operation: $purge of Observations, to its end', async () => {
  const input = { resourceType: 'Parameters', parameter: [{ name: '_type', valueString: 'Observation' }] };
  const { job } = await client.operation({ name: '$purge', method: 'POST', input });
  assert.equal(job.status, 'in progress');
  const ended = await poll(async () => {
    const { job: now } = await client.request(`$purge/${job.id}`);
    return now.status === 'in progress' ? undefined : now;
  });
  assert.deepEqual([ended.status, ended.resourceCount, ended.deletedCount], ['successful', 25, 25]);
  await refused(404, statusOf, () => client.read({ resourceType: 'Observation', id: weights[0].id }));
  assert.equal((await client.read({ resourceType: 'Patient', id: owner })).id, owner);
});
