// A strict double of Elasticsearch's _bulk, _mget, _refresh and scrolls, and of as much else as the official client wants. Keeps documents in memory with external
// versions, refuses what Elasticsearch refuses, and fails on command. Prints its port. Commands are lines of standard input:
//   dump            prints {"index/id": {"version": n, "source": {...}}} of all documents
//   fail STATUS N   the next N requests are answered with this status, before anything is done
//   reject INDEX...  index actions on these indexes fail with status 400
//   busy N          the next N items fail with status 429
//   cut N           the next N answers break off in the middle, after everything was done
//   forget          no scroll can go on
//   lines           prints the lines that were posted to /lines, and then `end`
const http = require('http');
const readline = require('readline');
const zlib = require('zlib');

const documents = new Map(); // index/id -> { version, source } or { version, deleted }
let searchable = new Map(); // documents as of the last _refresh
const scrolls = new Map(); // id -> { hits that are left, size }
const lines = []; // bodies of requests
const state = { fail: null, reject: [], busy: 0, cut: 0, requests: 0 };

class BadRequest extends Error {}

function parse(body) {
  if (!body.endsWith('\n')) throw new BadRequest('the bulk request must be terminated by a newline');
  const lines = body.slice(0, -1).split('\n').map((line) => JSON.parse(line));
  const actions = [];
  while (lines.length > 0) {
    const line = lines.shift();
    const [op] = Object.keys(line);
    if (Object.keys(line).length !== 1 || !['index', 'delete'].includes(op)) throw new BadRequest(`malformed action: ${JSON.stringify(line)}`);
    const meta = line[op];
    for (const key of Object.keys(meta)) {
      if (!['_index', '_id', 'version', 'version_type'].includes(key)) throw new BadRequest(`unknown parameter ${key}`);
    }
    if (!/^[^A-Z\\/*?"<>| ,#]+$/.test(meta._index) || typeof meta._id !== 'string') throw new BadRequest('invalid index name or id');
    if (meta.version_type !== 'external_gte' || !Number.isInteger(meta.version)) throw new BadRequest('no external version');
    actions.push({ op, meta, source: op === 'delete' ? undefined : lines.shift() });
  }
  return actions;
}

function carry_out({ op, meta, source }) {
  const failure = (status, type) => ({ [op]: { _index: meta._index, _id: meta._id, status, error: { type, reason: type } } });
  if (state.busy > 0) {
    --state.busy;
    return failure(429, 'es_rejected_execution_exception');
  }
  if (op !== 'delete' && state.reject.includes(meta._index)) return failure(400, 'document_parsing_exception');
  const name = `${meta._index}/${meta._id}`;
  const old = documents.get(name);
  const exists = old !== undefined && !old.deleted;
  if (old !== undefined && meta.version < old.version) return failure(409, 'version_conflict_engine_exception');
  if (op === 'delete') {
    documents.set(name, { version: meta.version, deleted: true });
    return { delete: { _index: meta._index, _id: meta._id, status: exists ? 200 : 404, result: exists ? 'deleted' : 'not_found' } };
  }
  documents.set(name, { version: meta.version, source });
  return { index: { _index: meta._index, _id: meta._id, status: exists ? 200 : 201, result: exists ? 'updated' : 'created' } };
}

function get({ _index, _id }) {
  const document = documents.get(`${_index}/${_id}`);
  if (document !== undefined && !document.deleted) return { _index, _id, _version: document.version, found: true, _source: document.source };
  if ([...documents.keys()].some((name) => name.startsWith(`${_index}/`))) return { _index, _id, found: false };
  return { _index, _id, error: { type: 'index_not_found_exception', reason: `no such index [${_index}]` } };
}

const missing = (type, reason) => ({ status: 404, body: { error: { type, reason }, status: 404 } });

// The documents of an index, or of all that a pattern names; nothing if there is no such index.
function in_index(name, from) {
  const pattern = new RegExp(`^${name.split('*').map((part) => part.replace(/[.+^${}()|[\]\\?]/g, '\\$&')).join('.*')}/`);
  const exists = name.includes('*') || [...documents.keys()].some((each) => pattern.test(each));
  return exists ? [...from].filter(([each, document]) => pattern.test(each) && !document.deleted) : undefined;
}

function page_of(id) {
  const scroll = scrolls.get(id);
  if (scroll === undefined) return missing('search_phase_execution_exception', 'all shards failed: No search context found');
  const hits = scroll.hits.splice(0, scroll.size);
  return {
    status: 200,
    body: {
      _scroll_id: id, took: 1, timed_out: false, _shards: { total: 1, successful: 1, skipped: 0, failed: 0 },
      hits: { total: { value: hits.length, relation: 'eq' }, max_score: null, hits },
    },
  };
}

function begin_scroll(index, { size = 10, sort, version, _source, ...rest }) {
  if (Object.keys(rest).length > 0) throw new BadRequest(`unknown key [${Object.keys(rest)[0]}]`);
  if (!Number.isInteger(size) || size < 1 || size > 10000 || JSON.stringify(sort) !== '["_doc"]') throw new BadRequest('a scroll in no useful order');
  const found = in_index(index, searchable);
  if (found === undefined) return missing('index_not_found_exception', `no such index [${index}]`);
  const hits = found.map(([name, document], place) => {
    const [, _index, _id] = /^([^/]+)\/(.*)$/s.exec(name);
    const fields = Object.fromEntries(Object.entries(document.source).filter(([field]) => _source === undefined || _source.includes(field)));
    return { _index, _id, _score: null, ...(version ? { _version: document.version } : {}), _source: fields, sort: [place] };
  });
  const id = `scroll-${state.requests}`;
  scrolls.set(id, { hits, size });
  return page_of(id);
}

// Nothing if the request is none of these.
function search(request, body) {
  const [path, query] = request.url.split('?');
  const [, index, action] = /^\/([^/]+)\/(_refresh|_search)$/.exec(decodeURIComponent(path)) ?? [];
  const route = `${request.method} ${action === undefined || index.startsWith('_') ? path : action}`;
  if (route === 'POST _refresh' && body === '') {
    if (in_index(index, documents) === undefined) return missing('index_not_found_exception', `no such index [${index}]`);
    searchable = new Map([...documents].map(([name, document]) => [name, { ...document }]));
    return { status: 200, body: { _shards: { total: 1, successful: 1, failed: 0 } } };
  }
  if (!['POST _search', 'POST /_search/scroll', 'DELETE /_search/scroll'].includes(route)) return undefined;
  if (!/^application\/json/.test(request.headers['content-type'])) throw new BadRequest('not JSON');
  const wanted = JSON.parse(body);
  if (route === 'POST _search') {
    if (!/^scroll=\d+[ms]$/.test(query ?? '')) throw new BadRequest('only scrolls');
    return begin_scroll(index, wanted);
  }
  if (route === 'POST /_search/scroll') return page_of(wanted.scroll_id);
  const freed = scrolls.delete(wanted.scroll_id);
  return { status: freed ? 200 : 404, body: { succeeded: freed, num_freed: freed ? 1 : 0 } };
}

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'Content-Type': 'application/json', 'X-Elastic-Product': 'Elasticsearch', 'Content-Length': Buffer.byteLength(text) });
  if (state.cut > 0 && status === 200) {
    --state.cut;
    response.write(text.slice(0, text.length / 2));
    response.destroy();
  } else {
    response.end(text);
  }
}

function handle(request, response, body) {
  ++state.requests;
  if (state.fail !== null && state.fail.count-- > 0) return answer(response, state.fail.status, { error: 'on command' });
  if (request.method === 'POST' && request.url === '/lines') {
    lines.push(body);
    return answer(response, 200, {});
  }
  if (request.method === 'POST' && request.url === '/_mget' && /^application\/(json|vnd\.elasticsearch\+json)/.test(request.headers['content-type'])) {
    return answer(response, 200, { docs: JSON.parse(body).docs.map(get) });
  }
  try {
    const found = search(request, body);
    if (found !== undefined) return answer(response, found.status, found.body);
  } catch (error) {
    return answer(response, 400, { error: { type: 'illegal_argument_exception', reason: error.message } });
  }
  if (request.method !== 'POST' || request.url !== '/_bulk' || !/^application\/(x-ndjson|vnd\.elasticsearch\+x-ndjson)/.test(request.headers['content-type'])) {
    return answer(response, 400, { error: 'only _bulk, _mget, _refresh and scrolls' });
  }
  try {
    const items = parse(body).map(carry_out);
    return answer(response, 200, { took: 1, errors: items.some((item) => Object.values(item)[0].error !== undefined), items });
  } catch (error) {
    return answer(response, 400, { error: { type: 'illegal_argument_exception', reason: error.message } });
  }
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const bytes = Buffer.concat(chunks);
    handle(request, response, (request.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(bytes) : bytes).toString());
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, ...words] = line.split(' ');
  const [a, b] = words;
  if (command === 'fail') state.fail = { status: Number(a), count: Number(b) };
  if (command === 'reject') state.reject = words;
  if (command === 'busy') state.busy = Number(a);
  if (command === 'cut') state.cut = Number(a);
  if (command === 'forget') scrolls.clear();
  if (command === 'dump') {
    const live = [...documents].filter(([, document]) => !document.deleted).sort(([a1], [b1]) => (a1 < b1 ? -1 : 1));
    console.log(JSON.stringify(Object.fromEntries(live)));
  } else {
    if (command === 'lines') process.stdout.write(lines.join(''));
    console.log('end');
  }
}).on('close', () => process.exit(0));
