"""Queries. A book is a dict with the keys `id`, `title`, `author`, `year`, `status` and `notes`."""

from psycopg.sql import SQL

from database import transaction

STATUSES = {"wanted": "To read", "reading": "Reading", "read": "Read"}

# A placeholder cannot stand for a column, so the order comes from this table.
ORDERS = {
    "title": SQL("lower(title), id"),
    "author": SQL("lower(author), lower(title), id"),
    "year": SQL("year NULLS LAST, lower(title), id"),
    "newest": SQL("id DESC"),
}

PAGE_ROWS = 24


def search(words, order, page):
    """Return the books of a page (1, 2...) whose title or author contains `words`, and True if there are more."""
    query = SQL(
        "SELECT * FROM book WHERE strpos(lower(title || ' ' || author), lower(%s)) > 0 ORDER BY {} LIMIT %s OFFSET %s"
    ).format(ORDERS[order])
    with transaction() as connection:
        rows = connection.execute(query, [words, PAGE_ROWS + 1, (page - 1) * PAGE_ROWS]).fetchall()
    return rows[:PAGE_ROWS], len(rows) > PAGE_ROWS


def find(number):
    """Return a book, or None."""
    with transaction() as connection:
        return connection.execute("SELECT * FROM book WHERE id = %s", [number]).fetchone()


def insert(values):
    """Store a new book and return it. Raise UniqueViolation if there is one of this title and author."""
    with transaction() as connection:
        return connection.execute(
            "INSERT INTO book (title, author, year, status, notes)"
            " VALUES (%(title)s, %(author)s, %(year)s, %(status)s, %(notes)s) RETURNING *",
            values,
        ).fetchone()


def update(number, values):
    """Replace the values of a book and return it, or None. Raise UniqueViolation as `insert` does."""
    with transaction() as connection:
        return connection.execute(
            "UPDATE book SET title = %(title)s, author = %(author)s, year = %(year)s, status = %(status)s,"
            " notes = %(notes)s WHERE id = %(id)s RETURNING *",
            values | {"id": number},
        ).fetchone()


def delete(number):
    """Remove a book and return it, or None."""
    with transaction() as connection:
        return connection.execute("DELETE FROM book WHERE id = %s RETURNING *", [number]).fetchone()
