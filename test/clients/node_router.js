// Drives docs/clients/meridian.js: see 074_routing_clients.pl. Arguments: a JSON list of servers, and the table to use. Each line of
// standard input is a number of cycles of one write and one read of it; the answer counts what was stale or failed, and who answered.
const readline = require('readline');
const { Meridian } = require('../../docs/clients/meridian.js');

const db = new Meridian(JSON.parse(process.argv[2]), { refresh: 100 });
const table = process.argv[3];
const user = { token: '' };
let n = 0;

async function cycle(count) {
  const found = { stale: 0, failed: 0 };
  try {
    await db.transaction((client) => client.query(`INSERT INTO ${table} VALUES ($1)`, [++n]), user);
    const { rows } = await db.read(`SELECT max(n) AS n, current_setting('meridian.node') AS node FROM ${table}`, [], user);
    if (rows[0].n !== n) ++found.stale;
    found[rows[0].node] = 1;
  } catch (error) {
    console.error(error);
    ++found.failed;
  }
  for (const [key, value] of Object.entries(found)) count[key] = (count[key] || 0) + value;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const count = {};
    for (let i = 0; i < Number(line); ++i) await cycle(count);
    console.log(Object.keys(count).sort().map((key) => `${key}=${count[key]}`).join(' '));
  }
  await db.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
