// A search over HTTP, page after page, and what must be so of every page.

const PAGES_MAX = 2000;
// The server gives up earlier.
const CALL_MS_MAX = 180_000;

// The server says that it would take too long: no answer, but no wrong one.
export class GivenUp extends Error {}

export class Caller {
  #base;
  #headers;

  constructor(base, token) {
    this.#base = base;
    this.#headers = { authorization: `Bearer ${token}`, accept: 'application/fhir+json' };
  }

  async call(method, url, body, contentType = 'application/fhir+json') {
    const headers = body === undefined ? this.#headers : { ...this.#headers, 'content-type': contentType };
    const absolute = url.startsWith('http') ? url : `${this.#base}${url.startsWith('?') ? '' : '/'}${url}`;
    const answer = await fetch(absolute, { method, headers, body, signal: AbortSignal.timeout(CALL_MS_MAX) });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  }

  // Follows the next links to the end. Answers with the keys of matches, in order, and of what was included, and whether the server said
  // that more would have to be; throws on anything that no client could make sense of.
  async search(query, count, byPost = false) {
    let page = byPost ? await this.#post(query, count) : await this.call('GET', withCount(query, count));
    const matches = [];
    const included = new Set();
    let isCut = false;
    let total;
    for (let pages = 1; ; pages += 1) {
      const { status, body } = page;
      if (status === 400 && body.issue?.[0]?.code === 'too-costly') throw new GivenUp(saying(body));
      if (status !== 200) throw new Error(`${status}: ${saying(body)}`);
      if (body.resourceType !== 'Bundle' || body.type !== 'searchset') throw new Error(`a ${body.type} ${body.resourceType} was answered`);
      const entries = body.entry ?? [];
      if (body.entry?.length === 0) throw new Error('an empty array of entries, which is no FHIR');
      if (entries.filter((entry) => entry.search?.mode === 'match').length > count)
        throw new Error(`a page has more than ${count} matches`);
      total ??= body.total;
      isCut ||= entries.some(saysMoreWouldBe);
      for (const entry of entries) readEntry(entry, matches, included, this.#base);
      const next = body.link?.find((link) => link.relation === 'next')?.url;
      if (next === undefined) break;
      if (pages === PAGES_MAX) throw new Error(`${PAGES_MAX} pages and no end`);
      page = await this.call('GET', next);
    }
    if (new Set(matches).size !== matches.length) throw new Error(`repeated on another page: ${repeated(matches)}`);
    if (total !== undefined && total !== matches.length) throw new Error(`total is ${total}, but ${matches.length} were shown`);
    const isMatch = new Set(matches);
    return { matches, included: new Set([...included].filter((key) => !isMatch.has(key))), isCut };
  }

  #post(query, count) {
    const [path, parameters] = withCount(query, count).split('?');
    return this.call('POST', `${path}${path === '' ? '' : '/'}_search`, parameters, 'application/x-www-form-urlencoded');
  }
}

const withCount = (query, count) => `${query}${query.includes('?') ? '&' : '?'}_count=${count}`;

const saying = (body) => body?.issue?.map((issue) => issue.details?.text ?? issue.diagnostics).join('; ') ?? JSON.stringify(body);

const repeated = (keys) =>
  keys
    .filter((key, at) => keys.indexOf(key) !== at)
    .slice(0, 3)
    .join(', ');

// More includes than a page may have.
const saysMoreWouldBe = ({ resource, search }) => search?.mode === 'outcome' && resource.issue[0].code === 'too-costly';

function readEntry({ fullUrl, resource, search }, matches, included, base) {
  if (saysMoreWouldBe({ resource, search })) return;
  const key = `${resource?.resourceType}/${resource?.id}`;
  if (fullUrl !== `${base}/${key}`) throw new Error(`fullUrl of ${key} is ${fullUrl}`);
  switch (search?.mode) {
    case 'match':
      matches.push(key);
      break;
    case 'include':
      included.add(key);
      break;
    default:
      throw new Error(`${key} has the search mode ${search?.mode}: ${saying(resource)}`);
  }
}
