// An account of its own on a running server, filled, changed, and read back: what the oracle evaluates over.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { Caller } from './http.mjs';
import { keyOf, Store } from './store.mjs';

const PAGE = 1000;

// `server` is { binary, data, client, base }, as e2e/run started it.
export class Account {
  #server;
  #user;
  #expected = new Map();

  constructor(server, name) {
    this.#server = server;
    this.#user = String(this.#lethe('user', 'add', '--client', server.client, name).oneup_user_id);
    const { access_token: token } = this.#lethe('user', 'token', this.#user);
    this.caller = new Caller(server.base, token);
  }

  // Runs `lethe` on the server's data, and reads what it prints.
  #lethe(...words) {
    const command = [...words, '--data', this.#server.data, '--json'];
    const { stdout, stderr } = spawnSync(this.#server.binary, command, { encoding: 'utf8', maxBuffer: 1 << 28 });
    if (stdout === '') throw new Error(`lethe ${words.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  }

  // Imports a folder of NDJSON; answers with how many resources were rejected.
  importFolder(folder) {
    return this.#lethe('import', '--user', this.#user, folder).rejected;
  }

  importResources(resources) {
    const folder = mkdtempSync(join(tmpdir(), 'lethe-oracle-'));
    try {
      writeFileSync(join(folder, 'resources.ndjson'), resources.map((resource) => `${JSON.stringify(resource)}\n`).join(''));
      this.importFolder(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
    for (const resource of resources) this.#expected.set(keyOf(resource), resource);
  }

  async put(resource) {
    const { status, body } = await this.caller.call('PUT', keyOf(resource), JSON.stringify(resource));
    if (status !== 200 && status !== 201) throw new Error(`PUT ${keyOf(resource)}: ${status} ${JSON.stringify(body)}`);
    this.#expected.set(keyOf(resource), resource);
  }

  async remove(key) {
    const { status } = await this.caller.call('DELETE', key);
    if (status !== 204 && status !== 200) throw new Error(`DELETE ${key}: ${status}`);
    this.#expected.delete(key);
  }

  // Everything that the account holds, as the server has it now.
  async read(types) {
    const resources = [];
    for (const type of types) {
      let url = `${type}?_count=${PAGE}`;
      while (url !== undefined) {
        const { status, body } = await this.caller.call('GET', url);
        if (status !== 200) throw new Error(`${url}: ${status} ${JSON.stringify(body)}`);
        resources.push(...(body.entry ?? []).map((entry) => entry.resource));
        url = body.link?.find((link) => link.relation === 'next')?.url;
      }
    }
    return new Store(resources);
  }

  // Ends the whole comparison if what was read is not what was written.
  checkRead(store) {
    const missing = [...this.#expected.keys()].filter((key) => store.get(key) === undefined);
    const unexpected = store
      .all()
      .map(keyOf)
      .filter((key) => !this.#expected.has(key));
    if (missing.length + unexpected.length > 0) {
      throw new Error(
        `read back: missing ${missing.slice(0, 3)} (${missing.length}), unexpected ${unexpected.slice(0, 3)} (${unexpected.length})`,
      );
    }
    for (const [key, written] of this.#expected) {
      if (!isDeepStrictEqual(withoutVersion(store.get(key)), withoutVersion(written)))
        throw new Error(`${key} was not read as it was written`);
    }
  }
}

function withoutVersion({ meta: { versionId: _version, lastUpdated: _time, ...meta } = {}, ...resource }) {
  return { ...resource, meta };
}
