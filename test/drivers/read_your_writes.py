#!/usr/bin/python3
"""Write on one server, read on another, many times; counts the reads that do not see the write.

  read_your_writes.py --write DSN --read DSN [--cycles 1000] [--mode MODE] [--async] [--ddl N] [--prepared]

Modes: set     the token of ParameterStatus goes into SET meridian.read_after before the read
       begin   into set_config(); the read is in a REPEATABLE READ transaction, whose BEGIN waits
       session no token: both name the session, and the read waits for session_token()
       none    no token: what a replica does by itself
--async commits asynchronously, --ddl adds and drops a column every Nth cycle, --prepared reads through a prepared statement with a
generic plan. Prints one line, "cycles=N stale=N errors=N mean_ms=N". The token is never asked for: the server has sent it.
"""
import argparse
import time

import psycopg2

TABLE = 'read_your_writes'


class Reader:
    def __init__(self, dsn, mode, prepared):
        self.mode = mode
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.query = f'SELECT v FROM {TABLE} WHERE id = 1'
        if prepared:
            self.cursor.execute("SET plan_cache_mode = force_generic_plan")
            self.cursor.execute(f'PREPARE r(integer) AS SELECT v FROM {TABLE} WHERE id = $1')
            self.query = 'EXECUTE r(1)'

    def read(self, token):
        if self.mode == 'set':
            self.cursor.execute('SET meridian.read_after = %s', (token,))
        elif self.mode == 'begin':
            self.cursor.execute("SELECT set_config('meridian.read_after', %s, false)", (token,))
            self.cursor.execute('BEGIN ISOLATION LEVEL REPEATABLE READ')
        elif self.mode == 'session':
            self.cursor.execute("SELECT set_config('meridian.read_after', meridian.session_token('driver'), false)")
        self.cursor.execute(self.query)
        value = self.cursor.fetchone()[0]
        if self.mode == 'begin':
            self.cursor.execute('COMMIT')
        return value


def token_of(connection):
    """What the server reported with the last commit: no round trip."""
    return connection.get_parameter_status('meridian.last_write')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--write', required=True)
    parser.add_argument('--read', required=True)
    parser.add_argument('--cycles', type=int, default=1000)
    parser.add_argument('--mode', choices=('set', 'begin', 'session', 'none'), default='set')
    parser.add_argument('--async', dest='asynchronous', action='store_true')
    parser.add_argument('--ddl', type=int, default=0)
    parser.add_argument('--prepared', action='store_true')
    options = parser.parse_args()

    writer = psycopg2.connect(options.write)
    writer.autocommit = True
    write = writer.cursor()
    if options.mode == 'session':
        write.execute("SET meridian.session = 'driver'")
    if options.asynchronous:
        write.execute('SET synchronous_commit = off')
    reader = Reader(options.read, options.mode, options.prepared)
    stale = errors = 0
    waited = 0.0
    for cycle in range(1, options.cycles + 1):
        write.execute(f'UPDATE {TABLE} SET v = v + 1 WHERE id = 1 RETURNING v')
        written = write.fetchone()[0]
        if options.ddl and cycle % options.ddl == 0:
            write.execute(f'ALTER TABLE {TABLE} ADD COLUMN extra integer')
            write.execute(f'ALTER TABLE {TABLE} DROP COLUMN extra')
        token = token_of(writer)
        begun = time.monotonic()
        try:
            if reader.read(token) < written:
                stale += 1
        except psycopg2.Error as error:
            errors += 1
            if errors == 1:
                print(f'# {error.pgcode} {error}', flush=True)
            if reader.mode == 'begin':
                reader.cursor.execute('ROLLBACK')
        waited += time.monotonic() - begun
    print(f'cycles={options.cycles} stale={stale} errors={errors} mean_ms={waited * 1000 / options.cycles:.2f}')


main()
