"""Threads that read, each one query after the other, through the reference client for as long as told.

    replication_reads.py DSN THREADS SECONDS ROWS     prints "rate QUERIES_PER_SECOND" and "servers PORT=QUERIES ..."

A read adds up a thousand rows that lie together, as a page of a report does.
"""
import collections
import random
import sys
import threading
import time

from meridian_client import Meridian

dsn, threads, seconds, rows = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
QUERY = "SELECT current_setting('port'), sum(balance), max(note) FROM account WHERE id BETWEEN %s AND %s"
database = Meridian([dsn], max_idle=threads)
database.choose()
begin = threading.Barrier(threads + 1)
counts = [collections.Counter() for _ in range(threads)]


def read(count):
    database.read(QUERY, (1, 1))
    begin.wait()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        first = random.randrange(1, rows - 1000)
        count[database.read(QUERY, (first, first + 999))[0][0]] += 1


workers = [threading.Thread(target=read, args=(count,)) for count in counts]
for worker in workers:
    worker.start()
begin.wait()
started = time.monotonic()
for worker in workers:
    worker.join()
total = sum(counts, collections.Counter())
print(f'rate {total.total() / (time.monotonic() - started):.0f}')
print('servers', ' '.join(f'{port}={number}' for port, number in sorted(total.items())))
