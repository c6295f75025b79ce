// A node-postgres client that reads its own writes: see 087_clients.pl. Arguments as those of libpq_client.cpp; here the
// DSNs are JSON.
const { Client } = require('pg');

// docs: begin
// Remembers the token of the last write of a client. To be called before connect(). No query is sent: the token comes with
// the reply to the commit.
function remember_last_write(client) {
  client.last_write = '';
  client.connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
    if (parameterName === 'meridian.last_write') client.last_write = parameterValue;
  });
}

// The next statement of this client waits until the write can be read.
function read_after(client, token) {
  return client.query("SELECT set_config('meridian.read_after', $1, false)", [token]);
}
// docs: end

async function connect(dsn) {
  const client = new Client(JSON.parse(dsn));
  remember_last_write(client);
  await client.connect();
  return client;
}

async function write(client, n) {
  await client.query("INSERT INTO note VALUES ('node-postgres', $1)", [n]);
  return client.last_write;
}

async function read(client, token, way) {
  if (way === 'transaction') {
    await client.query('BEGIN');
    await client.query("SELECT set_config('meridian.read_after', $1, true)", [token]);
  } else {
    await read_after(client, token);
  }
  const result = await client.query("SELECT coalesce(max(n), 0) AS n FROM note WHERE client = 'node-postgres'");
  if (way === 'transaction') await client.query('COMMIT');
  return result.rows[0].n;
}

async function main(write_dsn, read_dsn, way, cycles) {
  const [a, b, reader] = [await connect(write_dsn), await connect(write_dsn), await connect(read_dsn)];
  await a.query('SELECT 1');
  const quiet = a.last_write === '' && b.last_write === '';
  const of_a = await write(a, 1);
  const own = of_a.startsWith('m1.') && b.last_write === '';
  await a.query('BEGIN');
  const inside = (await write(a, 1000000)) === of_a;
  await a.query('ROLLBACK');
  await a.query('SELECT 1');
  const silent = inside && a.last_write === of_a;
  const of_b = await write(b, 2);
  await a.query('SELECT 1');
  const apart = of_b.startsWith('m1.') && of_b !== of_a && a.last_write === of_a;
  let stale = 0;
  for (let n = 3; n < 3 + Number(cycles); ++n) {
    const token = await write(n % 2 ? b : a, n);
    if ((await read(reader, token, way)) !== n) ++stale;
  }
  console.log(`quiet=${+quiet} own=${+own} silent=${+silent} apart=${+apart} stale=${stale}`);
  for (const each of [a, b, reader]) await each.end();
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
