// Reads from the best replica, writes to the primary, and never misses a write of its own. For node-postgres.
//
//   const db = new Meridian([{ host: 'us-1.example', database: 'shop', user: 'app', password }], { region: 'us' });
//   const user = { token: request.cookies.token };                     // what this user has written so far
//   await db.write('UPDATE account SET name = $2 WHERE id = $1', [7, 'Ann'], user);
//   const { rows } = await db.read('SELECT * FROM account WHERE id = $1', [7], user);
//   response.cookie('token', user.token);
//
// Where to read is asked of any server that answers, at most once a second, as a sample of what route_read() says: one query
// gives the servers in proportion to their weights. A wrong or old answer costs time, never a stale read: the replica itself
// waits for the token. What fails on a replica is tried on the next one, and at last on the primary.
'use strict';
const { Pool } = require('pg');

const SAMPLE = `SELECT (r).node, (r).dsn, (r).role
  FROM (SELECT meridian.route_read(max_lag => $1, region => $2) AS r FROM generate_series(1, 16) OFFSET 0) sample`;

// The server is gone, going, starting, too busy; it is a standby now; replay came in the way; the write did not come in time.
const elsewhere = (error) => error.code === undefined || /^(08|53|57P|E)|^(25006|40001|MD030|MD033)$/.test(error.code);

// "host=/run/pg port=5433 password='it''s'" of libpq, of which only the places are of interest.
function parse_conninfo(dsn) {
  const found = {};
  for (const [, key, quoted, plain] of dsn.matchAll(/(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))/g)) {
    found[key] = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
  }
  const hosts = (found.host || found.hostaddr || 'localhost').split(',');
  const ports = (found.port || '5432').split(',');
  return hosts.map((host, i) => ({ host, port: Number(ports[i] || ports[0]), database: found.dbname }));
}

// Of two tokens the one that includes both, if that can be seen from here.
function later_token(a, b) {
  if (!a || !b || a === b) return a || b || '';
  const [x, y] = [a, b].map((token) => /^m1\.([0-9a-f]+-\d+)-([0-9a-f]+)$/.exec(token));
  if (!x || !y || x[1] !== y[1]) return undefined;
  return BigInt('0x' + x[2]) > BigInt('0x' + y[2]) ? a : b;
}

class Meridian {
  #pools = new Map();
  #sample = { until: 0, replicas: [] };
  #primaries = [];

  // entries: node-postgres configurations of some servers of the mesh; user and password are used for all servers.
  // max_lag: an interval; region: whose replicas are preferred; max: connections to each server; refresh: milliseconds.
  constructor(entries, { max_lag = null, region = null, max = 10, refresh = 1000 } = {}) {
    this.entries = entries;
    this.options = { max_lag, region, max, refresh };
  }

  async read(text, values = [], user = {}) {
    for (const server of await this.#replicas()) {
      try {
        return await this.#on(server, async (client) => {
          await wait_for(client, user.token || '');
          return client.query(text, values);
        });
      } catch (error) {
        if (!elsewhere(error)) throw error;
        this.#sample.until = 0;
      }
    }
    return this.#on_primary(async (client) => {
      await wait_for(client, user.token || '');
      return client.query(text, values);
    });
  }

  write(text, values = [], user = {}) {
    return this.#write((client) => client.query(text, values), user);
  }

  // work(client) between BEGIN and COMMIT, on the primary.
  transaction(work, user = {}) {
    return this.#write(async (client) => {
      await client.query('BEGIN');
      try {
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    }, user);
  }

  async close() {
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()));
  }

  async #write(work, user) {
    return this.#on_primary(async (client) => {
      client.last_write = '';
      const result = await work(client);
      const later = later_token(user.token, client.last_write);
      user.token = later !== undefined ? later
        : (await client.query('SELECT meridian.merge_tokens($1, $2) AS t', [user.token, client.last_write])).rows[0].t;
      return result;
    });
  }

  async #on_primary(work) {
    await this.#replicas();
    let last;
    for (const server of [...this.#primaries]) {
      let client;
      try {
        client = await this.#connect(server);
        // Who was the primary may be a standby now, and a server that was left behind may still take writes: route_read() knows.
        if (client.read_only === undefined) {
          client.read_only = (await client.query('SELECT pg_is_in_recovery() AS standby')).rows[0].standby;
        }
      } catch (error) {
        if (client) client.release(error);
        if (!elsewhere(error)) throw error;
        last = error;
        continue;
      }
      if (client.read_only) { client.release(true); continue; }
      // From here on the statement may have been carried out, so it is not repeated.
      try {
        const result = await work(client);
        client.release();
        return result;
      } catch (error) {
        client.release(elsewhere(error));
        if (elsewhere(error)) this.#sample.until = 0;
        throw error;
      }
    }
    this.#sample.until = 0;
    throw last || new Error('no primary can be reached');
  }

  async #on(server, work) {
    const client = await this.#connect(server);
    try {
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      client.release(elsewhere(error));
      throw error;
    }
  }

  async #connect(server) {
    const name = `${server.host}:${server.port}/${server.database}`;
    if (!this.#pools.has(name)) {
      const pool = new Pool({ ...this.entries[0], ...server, max: this.options.max, connectionTimeoutMillis: 2000 });
      pool.on('error', () => {});
      pool.on('connect', (client) => {
        client.connection.on('parameterStatus', ({ parameterName, parameterValue }) => {
          if (parameterName === 'meridian.last_write') client.last_write = parameterValue;
        });
      });
      this.#pools.set(name, pool);
    }
    return this.#pools.get(name).connect();
  }

  // The replicas to try, in a random order by weight.
  async #replicas() {
    if (Date.now() >= this.#sample.until) await this.#ask();
    const left = [...this.#sample.replicas];
    const order = new Map();
    while (left.length > 0) {
      const [server] = left.splice(Math.floor(Math.random() * left.length), 1);
      order.set(`${server.host}:${server.port}`, server);
    }
    return [...order.values()];
  }

  async #ask() {
    let last;
    for (const server of [...this.#sample.replicas, ...this.#primaries, ...this.entries]) {
      try {
        await this.#on(server, async (client) => {
          const { rows } = await client.query(SAMPLE, [this.options.max_lag, this.options.region]);
          const write = (await client.query(`SELECT meridian.conninfo('write') AS dsn`)).rows[0].dsn;
          this.#primaries = parse_conninfo(write);
          this.#sample = {
            until: Date.now() + this.options.refresh,
            replicas: rows.filter((row) => row.role === 'standby').map((row) => parse_conninfo(row.dsn)[0]),
          };
        });
        return;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }
}

// A connection that has waited for a token need not wait for it again.
async function wait_for(client, token) {
  if ((client.read_after || '') === token) return;
  await client.query(`SELECT set_config('meridian.read_after', $1, false)`, [token]);
  client.read_after = token;
}

module.exports = { Meridian, parse_conninfo, later_token };
