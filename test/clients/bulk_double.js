// A strict double of Elasticsearch's _bulk and _mget, and of as much else as the official client wants. Keeps documents in memory with external
// versions, refuses what Elasticsearch refuses, and fails on command. Prints its port. Commands are lines of standard input:
//   dump            prints {"index/id": {"version": n, "source": {...}}} of all documents
//   fail STATUS N   the next N requests are answered with this status, before anything is done
//   reject INDEX...  index actions on these indexes fail with status 400
//   busy N          the next N items fail with status 429
//   cut N           the next N answers break off in the middle, after everything was done
//   lines           prints the lines that were posted to /lines, and then `end`
const http = require('http');
const readline = require('readline');
const zlib = require('zlib');

const documents = new Map(); // index/id -> { version, source } or { version, deleted }
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
  if (request.method !== 'POST' || request.url !== '/_bulk' || !/^application\/(x-ndjson|vnd\.elasticsearch\+x-ndjson)/.test(request.headers['content-type'])) {
    return answer(response, 400, { error: 'only _bulk and _mget' });
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
  if (command === 'dump') {
    const live = [...documents].filter(([, document]) => !document.deleted).sort(([a1], [b1]) => (a1 < b1 ? -1 : 1));
    console.log(JSON.stringify(Object.fromEntries(live)));
  } else {
    if (command === 'lines') process.stdout.write(lines.join(''));
    console.log('end');
  }
}).on('close', () => process.exit(0));
