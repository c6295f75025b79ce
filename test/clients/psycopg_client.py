#!/usr/bin/python3
"""A psycopg 3 client that reads its own writes: see 087_clients.pl. Arguments as those of libpq_client.cpp."""
import sys

import psycopg


# docs: begin
def last_write(connection):
    """The token of the last write on this connection. No query is sent: it came with the reply to the commit."""
    return connection.info.parameter_status('meridian.last_write') or ''


def read_after(connection, token):
    """The next statement on this connection waits until the write can be read."""
    connection.execute("SELECT set_config('meridian.read_after', %s, false)", (token,))
# docs: end


def connect(dsn):
    # prepare_threshold: no prepared statements, which a pooler may not know.
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


def write(connection, n):
    connection.execute("INSERT INTO note VALUES ('psycopg', %s)", (n,))
    return last_write(connection)


def read(connection, token, way):
    query = "SELECT coalesce(max(n), 0) FROM note WHERE client = 'psycopg'"
    if way != 'transaction':
        read_after(connection, token)
        return connection.execute(query).fetchone()[0]
    with connection.transaction():
        connection.execute("SELECT set_config('meridian.read_after', %s, true)", (token,))
        return connection.execute(query).fetchone()[0]


def main(write_dsn, read_dsn, way, cycles):
    a, b, reader = connect(write_dsn), connect(write_dsn), connect(read_dsn)
    a.execute('SELECT 1')
    quiet = last_write(a) == last_write(b) == ''
    of_a = write(a, 1)
    own = of_a.startswith('m1.') and last_write(b) == ''
    with a.transaction(force_rollback=True):
        inside = write(a, 1000000) == of_a
    a.execute('SELECT 1')
    silent = inside and last_write(a) == of_a
    of_b = write(b, 2)
    a.execute('SELECT 1')
    apart = of_b.startswith('m1.') and of_b != of_a and last_write(a) == of_a
    stale = 0
    for n in range(3, 3 + int(cycles)):
        token = write(b if n % 2 else a, n)
        stale += read(reader, token, way) != n
    print(f'quiet={quiet:d} own={own:d} silent={silent:d} apart={apart:d} stale={stale}')


main(*sys.argv[1:])
