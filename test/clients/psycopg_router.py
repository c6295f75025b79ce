#!/usr/bin/python3
"""Drives docs/clients/meridian_client.py: see 074_routing_clients.pl. Arguments: the connection string of a server, and the table to
use. Each line of standard input is a number of cycles of one write and one read of it; the answer counts what was stale or failed, and
who answered."""
import collections
import pathlib
import sys
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'clients'))
sys.dont_write_bytecode = True
from meridian_client import Meridian, User  # noqa: E402

db = Meridian([sys.argv[1]], refresh=0.1)
table = sys.argv[2]
user = User()
n = 0

for line in sys.stdin:
    count = collections.Counter(stale=0, failed=0)
    for _ in range(int(line)):
        n += 1
        try:
            with db.transaction(user) as connection:
                connection.execute(f'INSERT INTO {table} VALUES (%s)', (n,))
            (found, node), = db.read(f"SELECT max(n), current_setting('meridian.node') FROM {table}", (), user)
            count['stale'] += found != n
            count[node] += 1
        except Exception:  # counted: the test says how many there may be
            traceback.print_exc()
            count['failed'] += 1
    print(' '.join(f'{key}={count[key]}' for key in sorted(count)), flush=True)
db.close()
