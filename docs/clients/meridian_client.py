"""Reads from the best replica, writes to the primary, and never misses a write of its own. For psycopg 3.

    db = Meridian(['host=us-1.example dbname=shop user=app'], region='us')
    user = User(request.cookies.get('token', ''))            # what this user has written so far
    db.write('UPDATE account SET name = %s WHERE id = %s', ('Ann', 7), user)
    rows = db.read('SELECT * FROM account WHERE id = %s', (7,), user)
    response.set_cookie('token', user.token)

Where to read is asked of any server that answers, at most once a second, as a sample of what route_read() says: one query gives
the servers in proportion to their weights. A wrong or old answer costs time, never a stale read: the replica itself waits for
the token. What fails on a replica is tried on the next one, and at last on the primary. Passwords come from ~/.pgpass.
"""
import contextlib
import queue
import random
import re
import threading
import time
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

SAMPLE = """SELECT (r).dsn, (r).role
  FROM (SELECT meridian.route_read(max_lag => %s, region => %s) AS r FROM generate_series(1, 16) OFFSET 0) sample"""

# The server is gone, going, starting, too busy; it is a standby now; replay came in the way; the write did not come in time.
ELSEWHERE = re.compile('(08|53|57P)|(25006|40001|MD030|MD033)$')


def elsewhere(error):
    return error.sqlstate is None or ELSEWHERE.match(error.sqlstate)


@dataclass
class User:
    token: str = ''


def later_token(a, b):
    """Of two tokens the one that includes both; None if that cannot be seen from here."""
    if not a or not b or a == b:
        return a or b
    found = [re.fullmatch(r'm1\.([0-9a-f]+-\d+)-([0-9a-f]+)', token) for token in (a, b)]
    if not all(found) or found[0][1] != found[1][1]:
        return None
    return max((a, b), key=lambda token: int(token.rpartition('-')[2], 16))


class Meridian:
    """entries: connection strings of some servers of the mesh. max_lag: an interval; region: whose replicas are preferred;
    max_idle: connections to keep to each server; refresh: seconds."""

    def __init__(self, entries, max_lag=None, region=None, max_idle=10, refresh=1.0, **defaults):
        self.entries, self.max_lag, self.region = entries, max_lag, region
        self.max_idle, self.refresh, self.defaults = max_idle, refresh, defaults
        self.idle, self.lock = {}, threading.Lock()
        self.replicas, self.primary, self.until = [], None, 0.0

    def read(self, query, parameters=(), user=None):
        for dsn in self.choose():
            try:
                return self.read_on(dsn, query, parameters, user)
            except psycopg.Error as error:
                if not elsewhere(error):
                    raise
                self.until = 0.0
        return self.read_on(self.primary, query, parameters, user)

    def write(self, query, parameters=(), user=None):
        """Rows if there are any, else their number."""
        with self.transaction(user) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    @contextlib.contextmanager
    def transaction(self, user=None):
        """with db.transaction(user) as connection: ... committed at the end, on the primary. Never repeated by itself."""
        self.choose()
        try:
            with self.connection(self.primary) as connection:
                before = connection.info.parameter_status('meridian.last_write')
                with connection.transaction():
                    yield connection
                token = connection.info.parameter_status('meridian.last_write')
                if user is not None and token != before:
                    user.token = self.merge(connection, user.token, token)
        except psycopg.Error as error:
            if elsewhere(error):
                self.until = 0.0
            raise

    def close(self):
        for connections in self.idle.values():
            while not connections.empty():
                connections.get().close()

    def read_on(self, dsn, query, parameters, user):
        with self.connection(dsn) as connection:
            token = user.token if user else ''
            # A connection that has waited for a token need not wait for it again.
            if getattr(connection, 'read_after', '') != token:
                connection.execute("SELECT set_config('meridian.read_after', %s, false)", (token,))
                connection.read_after = token
            return connection.execute(query, parameters).fetchall()

    @staticmethod
    def merge(connection, a, b):
        later = later_token(a, b)
        return later if later is not None else connection.execute('SELECT meridian.merge_tokens(%s, %s)', (a, b)).fetchone()[0]

    @contextlib.contextmanager
    def connection(self, dsn):
        with self.lock:
            connections = self.idle.setdefault(dsn, queue.LifoQueue(self.max_idle))
        try:
            connection = connections.get_nowait()
        except queue.Empty:
            connection = psycopg.connect(dsn, autocommit=True, **{'connect_timeout': 2, **self.defaults})
        try:
            yield connection
        except psycopg.Error as error:
            if elsewhere(error):
                connection.close()
            raise
        finally:
            with contextlib.suppress(queue.Full):
                if not connection.closed:
                    connections.put_nowait(connection)
                    connection = None
            if connection is not None:
                connection.close()

    def choose(self):
        """The replicas to try, in a random order by weight."""
        if time.monotonic() >= self.until:
            self.ask()
        left = list(self.replicas)
        random.shuffle(left)
        return list(dict.fromkeys(left))

    def ask(self):
        last = None
        for dsn in [*dict.fromkeys(self.replicas), *([self.primary] if self.primary else []), *self.entries]:
            try:
                with self.connection(dsn) as connection:
                    rows = connection.execute(SAMPLE, (self.max_lag, self.region)).fetchall()
                    write = connection.execute("SELECT meridian.conninfo('write')").fetchone()[0]
                    user = connection.info.user
                self.replicas = [make_conninfo(dsn, user=user) for dsn, role in rows if role == 'standby']
                self.primary = make_conninfo(write, user=user, target_session_attrs='read-write')
                self.until = time.monotonic() + self.refresh
                return
            except psycopg.Error as error:
                last = error
        raise last
