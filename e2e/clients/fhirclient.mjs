// fhirclient (npm, SMART's own): as an app that has its token, on the server's side.

import assert from 'node:assert/strict';

import smart from 'fhirclient';

import { creation, observation, patient, poll, refused, server, step, transaction } from './steps.mjs';

const statusOf = (error) => error.statusCode ?? error.status;
const json = { 'content-type': 'application/fhir+json' };

// An app that was launched for a patient.
const appFor = (id) => {
  const state = { serverUrl: server.base, tokenResponse: { access_token: server.token, token_type: 'Bearer', patient: id } };
  // It keeps sessions of web requests, of which there is none here.
  return smart({ headers: {}, url: '/' }, {}, { get() {}, set() {}, unset() {} }).client(state);
};
let app = appFor(undefined);

await step('getFhirRelease', async () => assert.equal(await app.getFhirRelease(), 4));

const created = await step('create', async () => {
  const { body, response } = await app.create(patient('Smart'), { includeResponse: true });
  assert.deepEqual([response.status, body.meta.versionId], [201, '1']);
  return body;
});
app = appFor(created.id);

await step('patient.read', async () => assert.deepEqual(await app.patient.read(), created));

await step('update, vread, history', async () => {
  const updated = await app.update({ ...created, gender: 'male' });
  assert.equal(updated.meta.versionId, '2');
  assert.equal((await app.request(`Patient/${created.id}/_history/1`)).gender, 'other');
  assert.equal((await app.request(`Patient/${created.id}/_history`)).entry.length, 2);
});

await step('patch', async () => {
  const patched = await app.patch(`Patient/${created.id}`, [{ op: 'add', path: '/active', value: true }]);
  assert.deepEqual([patched.active, patched.meta.versionId], [true, '3']);
});

await step('conditional create', async () => {
  const body = patient('Only', { identifier: [{ system: 'http://example.org/mrn', value: 'only' }] });
  const headers = { ...json, 'if-none-exist': 'identifier=http://example.org/mrn|only' };
  const [first, second] = [await app.create(body, { headers }), await app.create(body, { headers })];
  assert.equal(first.id, second.id);
});

await step('transaction', async () => {
  const weights = Array.from({ length: 30 }, (_, number) => creation(undefined, observation(`Patient/${created.id}`, 50 + number)));
  const body = JSON.stringify(transaction(...weights));
  const answered = await app.request({ url: '', method: 'POST', body, headers: json });
  assert.equal(answered.entry.filter(({ response }) => response.status.startsWith('201')).length, 30);
});

await step('patient.request: only what is the patient’s, all pages, flat', async () => {
  const found = await app.patient.request('Observation?_count=7', { pageLimit: 0, flat: true });
  assert.equal(found.length, 30);
  const byCode = app.byCode(found, 'code');
  assert.equal(byCode['29463-7'].length, 30);
  assert.equal(app.units.kg(byCode['29463-7'][0].valueQuantity), byCode['29463-7'][0].valueQuantity.value);
});

await step('request that resolves references', async () => {
  const options = { resolveReferences: ['subject'], graph: true, flat: true };
  const [found] = await app.request(`Observation?patient=${created.id}&_count=1`, { ...options, pageLimit: 1 });
  assert.equal(found.subject.name[0].family, 'Smart');
});

await step('pages and resources, as they come', async () => {
  const sizes = [];
  for await (const page of app.pages('Observation?_count=20')) sizes.push(page.entry.length);
  assert.deepEqual(sizes, [20, 10]);
  let count = 0;
  for await (const _resource of app.resources('Observation?_count=9')) count += 1;
  assert.equal(count, 30);
});

await step('POST _search', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const found = await app.request({ url: 'Observation/_search', method: 'POST', body: 'value-quantity=gt77&_count=10', headers });
  assert.equal(found.entry.length, 2);
});

await step('$everything', async () => {
  const found = await app.request(`Patient/${created.id}/$everything`, { pageLimit: 0, flat: true });
  assert.equal(found.length, 31);
});

await step('delete, and then 410', async () => {
  await app.delete(`Patient/${created.id}`);
  await refused(410, statusOf, () => app.request(`Patient/${created.id}`));
});

await step('$purge of everything, to its end', async () => {
  const { job } = await app.request({ url: '$purge?_includeDeleted=true&_reason=e2e', method: 'POST' });
  const ended = await poll(async () => {
    const { job: now } = await app.request(`$purge/${job.id}`);
    return now.status === 'in progress' ? undefined : now;
  });
  assert.deepEqual([ended.status, ended.deletedCount], ['successful', 32]);
  await refused(404, statusOf, () => app.request(`Patient/${created.id}/_history`));
  assert.equal((await app.request('Observation?_summary=count')).total, 0);
});
