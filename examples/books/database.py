"""Pool of database connections, one for each process of the app."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

pool = ConnectionPool(
    os.environ["DATABASE_URL"],
    open=False,
    min_size=1,
    max_size=8,  # as many as the process has threads
    timeout=5,  # seconds that a request waits for a connection
    reconnect_timeout=5,  # after that the next request tries again, however long the database was down
    check=ConnectionPool.check_connection,  # a connection that broke while it was idle is replaced
    kwargs={"row_factory": dict_row, "connect_timeout": 2},  # seconds that an address may take to answer
)


@contextmanager
def transaction() -> Iterator[Connection]:
    """Lend a connection. What its block did is committed, or rolled back if the block raised an exception."""
    pool.open()  # not at import: the pool's threads would be lost in a fork
    with pool.connection() as connection:
        yield connection
