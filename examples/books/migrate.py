"""Apply the files of migrations/ that were not applied to the database yet, in the order of their names.

Everything happens in one transaction: if a file fails, the database stays as it was.
"""

import os
from pathlib import Path

import psycopg

LOCK = 7_206_141
"""Any number, the same in all containers of this app. One container holds the lock and migrates; the others wait."""

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY)")
    applied = {name for (name,) in connection.execute("SELECT name FROM migration")}
    for path in sorted(Path(__file__).parent.glob("migrations/*.sql")):
        if path.name not in applied:
            connection.execute(path.read_text())
            connection.execute("INSERT INTO migration (name) VALUES (%s)", [path.name])
            print(f"migration {path.name} applied")
