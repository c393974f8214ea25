// What the scripts of Node share: steps that are told as they pass, and the server from the environment.

import assert from 'node:assert/strict';

const { LETHE_BASE: base, LETHE_TOKEN: token } = process.env;
if (!base || !token) {
  console.error('The server is missing: start this with e2e/run, which starts one.');
  process.exit(2);
}

export const server = { base, token };
export const POLLS_MAX = 600;

// Does one thing with the client; whatever is unexpected ends the script. Answers with what `act` answers.
export async function step(what, act) {
  try {
    const answer = await act();
    console.log(`  ${what}`);
    return answer;
  } catch (error) {
    console.log(`  FAILED: ${what}`);
    console.log(`  ${error.stack}`);
    const answered = error.response?.data ?? error.body;
    if (answered) console.log(`  ${JSON.stringify(answered)}`);
    process.exit(1);
  }
}

// Calls until it answers with something; so often, and no longer.
export async function poll(ask) {
  for (let times = 0; times < POLLS_MAX; times += 1) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail('it took too long');
}

// What `statusOf` an error says must be `expected`.
export async function refused(expected, statusOf, act) {
  const error = await act().then(
    () => assert.fail(`it was not refused with ${expected}`),
    (error) => error,
  );
  assert.equal(statusOf(error), expected, String(error.stack));
  return error;
}

export const patient = (family, more = {}) => ({
  resourceType: 'Patient',
  name: [{ family, given: ['Jo'] }],
  gender: 'other',
  birthDate: '1980-02-29',
  ...more,
});

export const observation = (subject, value, more = {}) => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '29463-7', display: 'Body weight' }] },
  subject: { reference: subject },
  effectiveDateTime: '2024-03-01T08:30:00Z',
  valueQuantity: { value, unit: 'kg', system: 'http://unitsofmeasure.org', code: 'kg' },
  ...more,
});

export const transaction = (...entry) => ({ resourceType: 'Bundle', type: 'transaction', entry });

// An entry of a transaction that creates a resource, to be referred to by `fullUrl`.
export const creation = (fullUrl, resource) => ({ fullUrl, resource, request: { method: 'POST', url: resource.resourceType } });
