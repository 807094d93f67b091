"""Which events the app has acted on, where all workers see it."""

import sqlite3
import time
from contextlib import closing

FILE = "handled.sqlite3"
REMEMBERED = 3600  # seconds

with closing(sqlite3.connect(FILE)) as db:
    db.execute("pragma journal_mode = wal")
    db.execute("create table if not exists handled (id text primary key, at integer)")
    db.execute("create index if not exists by_age on handled (at)")


def once(id, act):
    """Act unless that has been done for this X-Request-Id: an event comes again if its answer was lost."""
    with closing(sqlite3.connect(FILE)) as db:
        if db.execute("select 1 from handled where id = ?", [id]).fetchone():
            return
        act()
        now = int(time.time())
        with db:
            db.execute("insert or ignore into handled values (?, ?)", [id, now])
            db.execute("delete from handled where at < ?", [now - REMEMBERED])
